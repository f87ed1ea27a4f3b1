"""From a stretch of grid samples to walking blocks and gait windows: the one definition that live workers and evaluation share.

Grid index n is the sample at n / 50 s since the epoch. Block k covers grid samples [64 k, 64 k + 64). It is decided from the fixed input
[64 k - context, 64 k + 64 + lookahead), so it exists only where that input is complete, and it walks where the mean walking probability of
its samples is at least one half. A gait window covers 128 samples from 64 k on and exists where blocks k and k + 1 both walk. Nothing
depends on where a message or a recording begins, except which blocks exist at all.

Shape letters: T time (50 Hz), B blocks, W windows; 6 are the device's axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.types import Float32, ShapeError

WALKING_THRESHOLD = 0.5
"""Least mean probability of a walking block."""

BLOCKS_PER_WINDOW = 2
"""A gait window of 2.56 s covers two blocks and begins with every block."""


class BlockShape(Protocol):
    """Lengths of an extractor's input, in grid samples."""

    context_samples: int
    block_samples: int
    lookahead_samples: int


class Extractor(BlockShape, Protocol):
    """What cutting needs of a walking extractor (models.inertial.extractor.WalkExtractor is one)."""

    def predict(self, x_BT6: Float32) -> Float32:
        """(B, context + block + lookahead, 6) -> (B, block) walking probability."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a stretch of samples yields.

    first_block: absolute number of the first decided block.  probability_BT: (B, 64) walking probability, one row per block.
    walking_B: (B,) bool.  window_starts_W: (W,) int64 absolute grid index of the first sample of every gait window.
    """

    first_block: int
    probability_BT: Float32
    walking_B: NDArray[np.bool_]
    window_starts_W: NDArray[np.int64]


def decidable_blocks(first_index: int, samples: int, shape: BlockShape) -> range:
    """Absolute numbers of the blocks whose whole input lies in the `samples` grid samples from `first_index` on."""
    block = shape.block_samples
    first = -(-(first_index + shape.context_samples) // block)  # rounded up
    stop = (first_index + samples - shape.lookahead_samples) // block
    return range(first, max(first, stop))


def block_inputs(samples_T6: Float32, first_index: int, blocks: range, shape: BlockShape) -> Float32:
    """(B, context + block + lookahead, 6) view of the inputs of consecutive decidable blocks; nothing is copied."""
    length = shape.context_samples + shape.block_samples + shape.lookahead_samples
    if not len(blocks):
        return np.zeros((0, length, 6), np.float32)
    begin = blocks.start * shape.block_samples - shape.context_samples - first_index
    views = sliding_window_view(samples_T6, length, axis=0)[begin :: shape.block_samples][: len(blocks)]
    return views.transpose(0, 2, 1)


def walking_blocks(probability_BT: Float32) -> NDArray[np.bool_]:
    """(B,) whether each block walks."""
    return probability_BT.mean(axis=1) >= WALKING_THRESHOLD


def windows_of_blocks(walking_B: NDArray[np.bool_], first_block: int, block_samples: int) -> NDArray[np.int64]:
    """Absolute start index of every gait window: where a block and the next one walk. Blocks are consecutive from first_block on."""
    pairs = np.flatnonzero(walking_B[:-1] & walking_B[1:])
    return (pairs + first_block).astype(np.int64) * block_samples


def cut(samples_T6: Float32, first_index: int, extractor: Extractor) -> Cut:
    """Decides every block of one gap-free stretch whose first sample lies at grid index `first_index`, and lists its gait windows.

    samples_T6: (T, 6) float32, raw samples on the grid. Raises ShapeError for another shape.
    """
    if samples_T6.ndim != 2 or samples_T6.shape[1] != 6:
        raise ShapeError(f"samples_T6 must be (T, 6), got {samples_T6.shape}")
    blocks = decidable_blocks(first_index, len(samples_T6), extractor)
    probability_BT = extractor.predict(block_inputs(samples_T6, first_index, blocks, extractor))
    walking_B = walking_blocks(probability_BT)
    return Cut(blocks.start, probability_BT, walking_B, windows_of_blocks(walking_B, blocks.start, extractor.block_samples))


def window_samples(samples_T6: Float32, first_index: int, starts_W: NDArray[np.int64], samples: int) -> Float32:
    """(W, samples, 6) copies of the windows that begin at the absolute grid indexes `starts_W`."""
    index_WT = (starts_W - first_index)[:, None] + np.arange(samples)[None, :]
    return samples_T6[index_WT]
