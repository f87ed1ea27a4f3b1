"""`python -m workers.bench live PHONES SECONDS | faust MESSAGES WARM_UP`: the parts of the benchmark that have a process of their own."""

import sys

from workers.bench.live import generate
from workers.cli.run import run_async

if __name__ == "__main__":
    what, first, second = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if what == "live":
        run_async(generate(first, second))
    else:
        from workers.bench.faust_agent import main

        main(first, second)
