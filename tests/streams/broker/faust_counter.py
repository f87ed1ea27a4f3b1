"""A Faust application that counts events per key in a table and publishes every count.

Usage: faust_counter.py BOOTSTRAP NAME DATA_DIR
"""

import sys

import faust

BOOTSTRAP, NAME, DATA_DIR = sys.argv[1:4]
PARTITIONS = 2

app = faust.App(
    NAME,
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",  # nothing of the table is kept but its changelog
    datadir=DATA_DIR,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    broker_commit_interval=0.2,
    broker_session_timeout=6,
    broker_heartbeat_interval=0.5,
    web_enabled=False,
    value_serializer="raw",
)
events = app.topic(f"{NAME}-events", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
counts_topic = app.topic(f"{NAME}-counts", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
counts = app.Table("counts", key_type=str, value_type=int, default=int, partitions=PARTITIONS)


@app.agent(events)
async def count(stream: faust.Stream) -> None:
    """One count per event."""
    async for key, _ in stream.items():
        counts[key.decode()] += 1
        await counts_topic.send(key=key, value=b"%d" % counts[key.decode()])


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "info", "--without-web"]
    app.main()
