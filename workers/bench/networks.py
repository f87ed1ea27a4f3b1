"""The networks without the pipeline: the yardstick that the pipeline is held against."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.registry import load_embedder, load_extractor

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.types import Float32
    from streams.settings import Settings

ENOUGH_S = 1.5
"""CPU seconds that a loop runs at most; the rest of a long one is extrapolated from what ran."""

BATCH = 64
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Passes:
    """What a network did in the pipeline: `items` in `passes` forward passes."""

    items: int
    passes: int

    @property
    def batch(self) -> int:
        """Mean items per pass."""
        return max(1, round(self.items / max(1, self.passes)))


class BareNetworks:
    """The extractor and the embedder of the settings, called in a loop."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.extractor, self.embedder = load_extractor(settings.extractor), load_embedder(settings.embedder)
        self._input_BT6 = np.random.default_rng(0).standard_normal((BATCH, 256, 6), np.float32) * 2.0
        self._input_BT6[..., 2] += 9.81

    def extraction_s(self, work: Passes) -> float:
        """CPU seconds of the extractor for the same items in batches of the same size."""
        return _loop_s(self.extractor.predict, self._inputs(work.batch, self.extractor.input_samples), work)

    def embedding_s(self, work: Passes) -> float:
        """CPU seconds of the embedder for the same items in batches of the same size."""
        return _loop_s(self.embedder.embed, self._inputs(work.batch, self.embedder.window_samples), work)

    def batch_gain(self) -> float:
        """Time per item of the embedder alone over in a batch of 64: the medians of alternating rounds."""
        x_BT6 = self._inputs(BATCH, self.embedder.window_samples)
        self.embedder.embed(x_BT6)
        single_s, batched_s = [], []
        for _ in range(REPEATS):
            single_s.append(_cpu_s(lambda: [self.embedder.embed(x_BT6[i : i + 1]) for i in range(BATCH)]))
            batched_s.append(_cpu_s(lambda: self.embedder.embed(x_BT6)))
        return float(np.median(single_s) / np.median(batched_s))

    def _inputs(self, batch: int, samples: int) -> Float32:
        return np.ascontiguousarray(np.resize(self._input_BT6[:, :samples], (batch, samples, 6)))


def _loop_s(forward: Callable[[Float32], object], x_BT6: Float32, work: Passes) -> float:
    if not work.items:
        return 0.0
    forward(x_BT6)
    began, done = time.process_time(), 0
    while done < work.items and (done == 0 or time.process_time() - began < ENOUGH_S):
        forward(x_BT6)
        done += len(x_BT6)
    return (time.process_time() - began) * work.items / done


def _cpu_s(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began
