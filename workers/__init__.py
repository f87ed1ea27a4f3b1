"""What runs: the workers of the data plane and the control plane, the sources, the supervisor and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("gaitstream")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
