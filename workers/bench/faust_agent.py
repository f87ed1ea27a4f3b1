"""The straightforward way to do the same: a Faust agent that runs the same networks for every message as it comes.

`python -m workers.bench faust MESSAGES WARM_UP` reads `gait.imu.raw` from its beginning, and after WARM_UP + MESSAGES messages
prints the CPU time of the last MESSAGES and ends.  Decoding, networks, messages and gallery are those of the pipeline; what it leaves out
(order, gaps, the absolute grid, bouts, evidence, commits that lose nothing) makes it cheaper, not dearer.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import defaultdict

import faust
import numpy as np
import torch
from numpy.typing import NDArray

from models.registry import load_embedder, load_extractor
from streams import topics
from streams.messages import Candidate, IdentityEvent, ImuChunk
from streams.messages.fields import stable_id
from streams.settings import Settings
from workers.bench.load import FAUST_TOPIC

GALLERY_TEMPLATES = 200


class PerMessage:
    """What a person would write first: keep the last samples of each device, look at them whenever a message arrives."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self._extractor, self._embedder = load_extractor(settings.extractor), load_embedder(settings.embedder)
        self._recent: defaultdict[str, NDArray[np.float32]] = defaultdict(lambda: np.zeros((0, 6), np.float32))
        gallery_ND = np.random.default_rng(0).standard_normal((GALLERY_TEMPLATES, self._embedder.dim), np.float32)
        self._gallery_ND = gallery_ND / np.linalg.norm(gallery_ND, axis=1, keepdims=True)

    def take(self, value: bytes) -> IdentityEvent | None:
        """The event of a message; None while the device does not walk (or its first seconds are being gathered)."""
        chunk = ImuChunk.from_bytes(value)
        new_N6 = np.concatenate([chunk.acc, chunk.gyro], axis=1)
        recent_T6 = np.concatenate([self._recent[chunk.device_id], new_N6])[-self._extractor.input_samples :]
        self._recent[chunk.device_id] = recent_T6
        if len(recent_T6) < self._extractor.input_samples:
            return None
        walking = float(self._extractor.predict(recent_T6[None]).mean())
        if walking < 0.5:
            return None
        vector_BD, quality_B = self._embedder.embed(recent_T6[None, -self._embedder.window_samples :])
        score_N = self._gallery_ND @ vector_BD[0]
        order = np.argsort(-score_N)[:5]
        end_ns = chunk.start_ns + 1_000_000_000
        return IdentityEvent(
            id=stable_id(chunk.device_id, chunk.start_ns),
            stream_key=chunk.device_id,
            bout_id=chunk.device_id,
            start_ns=end_ns - 2_560_000_000,
            end_ns=end_ns,
            decision="undecided",
            score=float(score_N[order[0]]),
            confidence=0.5,
            margin=float(score_N[order[0]] - score_N[order[1]]),
            candidates=[Candidate(subject=f"person-{i}", score=float(score_N[i])) for i in order],
            windows=1,
            effective_windows=1.0,
            target_fpir=0.01,
            enrolled=GALLERY_TEMPLATES,
            gallery_version=0,
            space=self._embedder.space,
            quality=float(quality_B[0]),
            received_ns=end_ns,
            decided_ns=time.time_ns(),
        )


def build(settings: Settings, messages: int, warm_up: int, folder: str) -> faust.App:
    """The application: one agent, an event per message of a walking device."""
    app = faust.App(
        f"{settings.group_prefix}-bench-faust",
        broker=f"kafka://{settings.bootstrap}",
        store="memory://",
        datadir=folder,
        consumer_auto_offset_reset="earliest",
        topic_replication_factor=1,
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
    )
    source = app.topic(topics.IMU_RAW.name, key_type=bytes, value_type=bytes)
    events = app.topic(FAUST_TOPIC, key_type=bytes, value_type=bytes, partitions=settings.partitions(topics.IMU_RAW))
    per_message = PerMessage(settings)

    @app.agent(source)
    async def recognise(stream: faust.StreamT[bytes]) -> None:
        seen, given, began_s = 0, 0, 0.0
        async for value in stream:
            event = per_message.take(value)
            if event is not None:
                await events.send(key=event.stream_key.encode(), value=event.to_bytes())
                given += 1
            seen += 1
            if seen == warm_up:
                began_s = time.process_time()
            if seen == warm_up + messages:
                cpu_s = time.process_time() - began_s
                # Faust turns what is printed into log lines; the reader wants the plain line.
                print(json.dumps({"messages": messages, "events": given, "cpu_s": cpu_s}), file=sys.__stdout__, flush=True)
                # Stopping a Faust worker takes seconds of waiting; there is nothing to keep.
                os._exit(0)

    return app


def main(messages: int, warm_up: int) -> None:
    """Run until the messages are through."""
    with tempfile.TemporaryDirectory(prefix="gaitstream-bench-faust-") as name:
        application = build(Settings.read(), messages, warm_up, name)
        sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
        application.main()
