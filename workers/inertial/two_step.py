"""Two-step gait samples of a live bout (models.inertial.steps), beside the fixed windows.

Whether a peak is a step depends on more than four seconds on either side, so a sample comes out BACK_BLOCKS blocks after the one that it
begins in: when block k walks, the samples that begin in block k - BACK_BLOCKS, if the bout already walked there. A bout yields its first
sample after some ten seconds and nothing of its last seven; every sample is a function of the grid alone, whoever cuts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.inertial.steps import stretch, two_step_bounds
from models.types import GRID_STEP_NS
from streams.messages.fields import stable_id
from workers.inertial.bouts import BLOCK_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.messages import GaitSample
    from workers.inertial.grid import Grid

TWO_STEP_CUT = "two-step-128"
"""Name of this way of cutting: from one strike of the device's leg to the next but one, stretched to 128 points."""

BACK_BLOCKS = 6
"""A sample begins up to 63 samples into its block, lasts at most 152, and its last strike is decided by 211 more: 426 of 448."""

CONTEXT_BLOCKS = 5
"""Before the block: what decides about the first strike, and the stride's period before it."""

BACK_SAMPLES = (CONTEXT_BLOCKS + BACK_BLOCKS + 1) * BLOCK_SAMPLES
"""From the first sample that is looked at to the end of the block that is decided."""


def two_step_samples_of(window: GaitSample, grid: Grid, slot: int, block: int, bout_block: int | None) -> Iterator[GaitSample]:
    """The samples that come out with `block`, whose fixed window is `window`; bout_block: the first of its bout."""
    first_block = block - BACK_BLOCKS
    if bout_block is None or bout_block > first_block:
        return
    begin = max((first_block - CONTEXT_BLOCKS) * BLOCK_SAMPLES, int(grid.begin[slot]))
    samples_T6 = grid.gather(np.array([slot]), np.array([begin]), (block + 1) * BLOCK_SAMPLES - begin)[0]
    for start, last in two_step_bounds(samples_T6, begin).tolist():
        if start // BLOCK_SAMPLES == first_block:
            start_ns = start * GRID_STEP_NS
            yield window.model_copy(
                update={
                    "id": stable_id(window.stream_key, window.session, start_ns, TWO_STEP_CUT),
                    "start_ns": start_ns,
                    "end_ns": (last + 1) * GRID_STEP_NS,
                    "cut": TWO_STEP_CUT,
                    "samples": stretch(samples_T6[start - begin : last - begin + 1]),
                }
            )
