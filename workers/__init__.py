"""What runs: the workers of the data plane and the control plane, the sources, the supervisor and the command line."""

import os
from importlib.metadata import PackageNotFoundError, version

# Workers scale by processes.  OpenBLAS reads this when numpy is first imported; its own threads would take the other workers' cores
# and wait there actively (a match against 200,000 templates took two to three times as long).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

try:
    __version__ = version("gaitstream")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
