"""Blocks and windows lie on the absolute grid, whatever a stretch of samples begins with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inertial.cutting import block_inputs, cut, decidable_blocks, window_samples, windows_of_blocks
from models.types import Float32, ShapeError


class LoudBlocks:
    """A real rule in place of the network: a sample walks where its first axis exceeds 1; keeps what it was asked."""

    context_samples, block_samples, lookahead_samples = 128, 64, 32

    def predict(self, x_BT6: Float32) -> Float32:
        return (x_BT6[:, 128:192, 0] > 1.0).astype(np.float32)


SHAPE = LoudBlocks()


@pytest.mark.parametrize(
    ("first_index", "samples", "blocks"),
    [
        (0, 223, []),  # one sample of look-ahead missing
        (0, 224, [2]),  # exactly one input
        (0, 288, [2, 3]),  # one hop more
        (1, 224, []),  # off the grid by one: block 3 needs samples up to 288
        (1, 287, [3]),  # 64 * 3 - 128 = 64 >= 1 and 64 * 4 + 32 = 288 = 1 + 287
        (64 * 10**9, 224, [10**9 + 2]),  # epoch-sized indexes
        (5, 0, []),  # nothing at all
    ],
)
def test_blocks_need_their_whole_input(first_index: int, samples: int, blocks: list[int]) -> None:
    assert list(decidable_blocks(first_index, samples, SHAPE)) == blocks


@given(first_index=st.integers(0, 200), samples=st.integers(0, 800))
def test_inputs_hold_the_samples_around_their_block(first_index: int, samples: int) -> None:
    values = np.repeat(np.arange(first_index, first_index + samples, dtype=np.float32)[:, None], 6, axis=1)
    blocks = decidable_blocks(first_index, samples, SHAPE)
    inputs = block_inputs(values, first_index, blocks, SHAPE)
    assert inputs.shape == (len(blocks), 224, 6)
    for block, item in zip(blocks, inputs, strict=True):
        assert np.array_equal(item[:, 0], np.arange(64 * block - 128, 64 * block + 96))


@pytest.mark.parametrize(
    ("walking", "windows"),
    [
        ([], []),  # no block
        ([1], []),  # one block is half a window
        ([1, 1], [7]),
        ([1, 1, 1], [7, 8]),  # windows overlap by half
        ([1, 0, 1, 1, 0], [9]),  # an interruption breaks the bout
    ],
)
def test_a_window_is_two_walking_blocks(walking: list[int], windows: list[int]) -> None:
    starts = windows_of_blocks(np.array(walking, dtype=bool), 7, 64)
    assert starts.tolist() == [64 * block for block in windows]


@settings(max_examples=30, deadline=None)
@given(first_index=st.integers(0, 500), offset=st.integers(0, 300), seed=st.integers(0, 99))
def test_a_part_of_a_stretch_decides_the_same(first_index: int, offset: int, seed: int) -> None:
    """Cutting from a later first sample gives the same windows wherever both have the input: no dependence on where a recording begins."""
    rng = np.random.default_rng(seed)
    walking = np.repeat(rng.random(30) < 0.6, 50)[:, None]
    samples = (walking * 4.0 * np.ones(6)).astype(np.float32)
    whole, part = cut(samples, first_index, SHAPE), cut(samples[offset:], first_index + offset, SHAPE)
    later = whole.window_starts_W[whole.window_starts_W >= 64 * part.first_block]
    assert np.array_equal(later, part.window_starts_W)
    assert np.array_equal(whole.walking_B[part.first_block - whole.first_block :], part.walking_B)


def test_windows_are_cut_out_by_absolute_index() -> None:
    samples = np.repeat(np.arange(500, dtype=np.float32)[:, None], 6, axis=1)
    windows = window_samples(samples, 1000, np.array([1024, 1088]), 128)
    assert windows.shape == (2, 128, 6)
    assert windows[:, 0, 0].tolist() == [24.0, 88.0]


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ShapeError, match=r"\(T, 6\)"):
        cut(np.zeros((100, 3), np.float32), 0, SHAPE)
