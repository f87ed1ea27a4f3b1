"""Publishes samples of your own device, read from standard input: time_ns,ax,ay,az,gx,gy,gz (m/s² with gravity, rad/s, Android axes)."""

import asyncio
import sys
import time
from itertools import count, islice

import msgpack
import numpy as np
from aiokafka import AIOKafkaProducer


def array(values, dtype):
    return {"dtype": dtype, "shape": list(values.shape), "data": np.ascontiguousarray(values, dtype).tobytes()}


async def publish(bootstrap, device_id):
    session = str(time.time_ns())  # a new one whenever the device starts or sets its clock
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for seq in count():
            rows = [line.split(",") for line in await asyncio.to_thread(lambda: list(islice(sys.stdin, 50)))]  # a second at 50 Hz
            if not rows:
                return
            time_ns, values = np.array([row[0] for row in rows], int), np.array([row[1:7] for row in rows], float)
            chunk = {"device_id": device_id, "session": session, "seq": seq, "start_ns": int(time_ns[0])}
            chunk |= {"offsets_ns": array(time_ns - time_ns[0], "<i8"), "acc": array(values[:, :3], "<f4")}
            chunk |= {"gyro": array(values[:, 3:], "<f4")}
            await producer.send_and_wait("gait.imu.raw", msgpack.packb(chunk), key=device_id.encode())


asyncio.run(publish(*sys.argv[1:3]))
