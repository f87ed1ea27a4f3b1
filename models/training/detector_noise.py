"""What a pose network does to joints: jitter, slips, swapped legs, hidden joints, lost pictures, windows that somebody only walks into.

Sizes were measured with BlazePose on rendered walkers: joints are off by 4-10 % of the trunk, left and right legs are exchanged in 2-8 % of the
pictures, as with real people (a side view, both legs close together). Pose networks give a hidden joint a place and a small confidence.

Shape letters: N windows, T steps, J 17 joints of COCO, 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.pose.joints import ORDERS
from models.types import Float32

_NAMES = ORDERS["coco-17"]
LEGS = [_NAMES.index(f"{side}_{part}") for part in ("hip", "knee", "ankle") for side in ("left", "right")]
ARMS = [_NAMES.index(f"{side}_{part}") for part in ("elbow", "wrist") for side in ("left", "right")]

JITTER = 0.07
"""Largest standard deviation of a joint from picture to picture, trunk lengths; windows are spread evenly up to it."""

BIAS = 0.03
"""Largest standard deviation of a joint's constant error in a window: clothes and viewpoint shift what the network takes for a joint."""

SWAP_SHARE, SWAP_RUN = 0.08, 3
"""Largest share of pictures with exchanged legs, and how long such a run lasts at most."""

EXCHANGED = 0.08
"""Share of windows in which the network takes one leg for the other, or one arm for the other, throughout: a side view, far away."""

SLIP_SHARE, SLIP = 0.01, 0.5
"""Largest share of joints that slip, and the standard deviation of a slip in trunk lengths."""

LOST_SHARE = 0.12
"""Largest share of pictures in which the person is not found."""

PARTIAL, LEAST_SEEN = 0.4, 10
"""Share of windows that begin or end with nobody in view, and the least number of steps seen."""

HIDDEN_LIMB = 0.25
"""Share of windows in which an arm, or both lower legs, are out of sight for a while."""


def detected(place_NTJ2: Float32, seen_NJ: NDArray[np.bool_], rng: Generator, strength: float = 1.0) -> Float32:
    """(N, T, 17, 3) what a pose network reports of true places in the picture. strength scales all errors; 0 leaves everything as it is."""
    n, t, j = (int(size) for size in place_NTJ2.shape[:3])
    shoulders, hips = ([_NAMES.index(f"{side}_{part}") for side in ("left", "right")] for part in ("shoulder", "hip"))
    trunk_N = np.linalg.norm(place_NTJ2[:, :, shoulders].mean(2) - place_NTJ2[:, :, hips].mean(2), axis=-1).mean(1)[:, None, None, None]
    place = place_NTJ2.copy()
    jitter_N = rng.uniform(0.0, JITTER * strength, n) * (rng.random(n) < 0.85)
    bias_N = rng.uniform(0.0, BIAS * strength, n)
    place += rng.normal(size=place.shape).astype(np.float32) * trunk_N * jitter_N[:, None, None, None]
    place += rng.normal(size=(n, 1, j, 2)).astype(np.float32) * trunk_N * bias_N[:, None, None, None]
    slips = rng.random((n, t, j)) < rng.uniform(0, SLIP_SHARE * strength, (n, 1, 1)) * (jitter_N > 0)[:, None, None]
    place += slips[..., None] * rng.normal(size=place.shape).astype(np.float32) * trunk_N * SLIP
    swapped = _runs((n, t), rng.uniform(0, SWAP_SHARE * strength, n) * (jitter_N > 0), SWAP_RUN, rng)
    for limbs, shows in ((LEGS[2:], True), (ARMS, False)):
        exchanged = (rng.random(n) < EXCHANGED * strength)[:, None] ^ (swapped & shows)
        for left, right in zip(limbs[::2], limbs[1::2], strict=True):
            pair = place[:, :, [left, right]]
            place[:, :, [left, right]] = np.where(exchanged[:, :, None, None], pair[:, :, ::-1], pair)
    sure = np.broadcast_to(seen_NJ[:, None].astype(np.float32), (n, t, j)).copy()
    if strength > 0:
        sure *= np.where(rng.random((n, 1, 1)) < 0.5, 1.0, rng.uniform(0.7, 1.0, (n, t, j))).astype(np.float32)
        _hide(sure, rng, strength)
    return np.concatenate([place, sure[..., None]], axis=-1).astype(np.float32)


def _hide(sure_NTJ: Float32, rng: Generator, strength: float) -> None:
    """Takes confidence away, in place: limbs for a while, pictures, ends of the window."""
    n, t = (int(size) for size in sure_NTJ.shape[:2])
    step = np.arange(t)
    for joints in ([ARMS[0], ARMS[2]], [ARMS[1], ARMS[3]], LEGS[2:], LEGS[2::2], LEGS[3::2]):
        chosen = rng.random(n) < HIDDEN_LIMB * strength * (1.0 if joints[0] in ARMS else 0.3)
        begin, length = rng.integers(-8, t, n), rng.integers(4, t + 8, n)
        hidden = chosen[:, None] & (step >= begin[:, None]) & (step < (begin + length)[:, None])
        low = rng.uniform(0.0, 0.3, n)[:, None, None]
        sure_NTJ[:, :, joints] = np.where(hidden[:, :, None], np.minimum(sure_NTJ[:, :, joints], low), sure_NTJ[:, :, joints])
    sure_NTJ *= ~_runs((n, t), rng.uniform(0, LOST_SHARE * strength, n), 4, rng)[:, :, None]
    partial = rng.random(n) < PARTIAL * strength
    length = np.where(partial, rng.integers(LEAST_SEEN, t + 1, n), t)
    begin = (rng.random(n) * (t - length + 1)).astype(int)
    sure_NTJ *= ((step >= begin[:, None]) & (step < (begin + length)[:, None]))[:, :, None]


def _runs(shape: tuple[int, int], share_N: NDArray[np.floating], longest: int, rng: Generator) -> NDArray[np.bool_]:
    """(N, T) bool: runs of up to `longest` steps that cover about the given share of every row."""
    n, t = shape
    starts = rng.random((n, t)) < (share_N / ((1 + longest) / 2))[:, None]
    length = rng.integers(1, longest + 1, (n, t))
    covered = np.zeros((n, t), bool)
    for k in range(longest):
        covered[:, k:] |= (starts & (length > k))[:, : t - k]
    return covered
