"""Prints who walks.  Start several with the same group: they share the partitions."""

import asyncio
import sys

import aiokafka
import msgpack


async def subscribe(bootstrap, group):
    consumer = aiokafka.AIOKafkaConsumer(
        "gait.identity.events", bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    async with consumer:
        async for record in consumer:
            event = msgpack.unpackb(record.value)
            who = event["subject"] or event["decision"]  # a name, or unknown, or undecided
            print(
                f"{event['stream_key']}: {who}, score {event['score']:.2f}, sure {event['confidence']:.0%}, event {event['id']}", flush=True
            )
            await consumer.commit()  # after the work is done: a crash before it repeats the event, with the same id


asyncio.run(subscribe(*sys.argv[1:3]))
