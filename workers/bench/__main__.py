"""`python -m workers.bench live PHONES SECONDS | cameras FILE SECONDS | faust MESSAGES WARM_UP`: parts of the benchmark with an own process."""

import sys
from pathlib import Path

from workers.bench.live import generate
from workers.cli.run import run_async

if __name__ == "__main__":
    what, first, second = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if what == "live":
        run_async(generate(int(first), second))
    elif what == "cameras":
        from workers.bench import cameras

        run_async(cameras.generate(Path(first), second))
    else:
        from workers.bench.faust_agent import main

        main(int(first), second)
