"""``python -m streams.broker --data DIR --port P``: print the address when ready, run until SIGTERM or SIGINT."""

import argparse
import logging
import sys
from pathlib import Path

from streams.broker.embedded import DirectoryInUse, NotLoopback, serve


def main() -> int:
    """Exit status 2 where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m streams.broker", description="Single-node Kafka-protocol broker, loopback only.")
    parser.add_argument("--data", type=Path, required=True, help="directory for logs, topics and groups")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=9092, help="0 takes any free one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(arguments.data, arguments.host, arguments.port, ready=lambda address: print(address, flush=True))
    except (NotLoopback, DirectoryInUse, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
