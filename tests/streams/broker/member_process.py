"""A group member in a process of its own, to be killed: prints its partitions, one line per assignment.

Usage: member_process.py BOOTSTRAP TOPIC GROUP SESSION_TIMEOUT_MS
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener


class Printer(ConsumerRebalanceListener):
    """Prints what it is given."""

    def on_partitions_revoked(self, revoked: set) -> None:
        """Nothing to give back."""

    def on_partitions_assigned(self, assigned: set) -> None:
        """One line."""
        print(*sorted(p.partition for p in assigned), flush=True)


async def main(bootstrap: str, topic: str, group: str, session_timeout_ms: str) -> None:
    """Consume for ever."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        session_timeout_ms=int(session_timeout_ms),
        heartbeat_interval_ms=int(session_timeout_ms) // 5,
    )
    consumer.subscribe([topic], listener=Printer())
    await consumer.start()
    while True:
        await consumer.getmany(timeout_ms=1000)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
