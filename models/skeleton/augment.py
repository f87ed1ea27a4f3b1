"""Augmentation of skeleton clips as published with GaitFormer, in its faulty and its intended form.

Source: Cosma, Radoi, Sensors 22(18), 2022. Shape letters: T frames, J = 18 joints of OpenPose, 3 is (x, y, confidence); x = 0 is the hip.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Form = Literal["fixed", "faithful"]

PACES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
NOISE = 5e-4
SQUEEZE = 0.1
TRAINING_FRAMES, FRAMES = 96, 48

MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
"""Joint j of a mirrored body is joint MIRRORED[j] of the original."""


def centred(clip_TJ3: Float32, frames: int = FRAMES) -> Float32:
    """(frames, J, 3) from the middle; a shorter clip is repeated. Raises ValueError for an empty clip."""
    if len(clip_TJ3) == 0:
        raise ValueError("a clip without frames cannot be cut or repeated")
    if len(clip_TJ3) < frames:
        return clip_TJ3[np.arange(frames) % len(clip_TJ3)]
    start = (len(clip_TJ3) - frames) // 2
    return clip_TJ3[start : start + frames]


def repace(clip_TJ3: Float32, pace: float, form: Form) -> Float32:
    """The clip at `pace` times the speed.

    "fixed" interpolates between frames. "faithful" cuts the factor to an integer, as published: 1.25 to 1.75 leave the clip as it is, 2
    takes every other frame, 0.25 and 0.5 repeat frames four times and twice, 0.75 (1 / 0.75 = 1.33) changes nothing.
    """
    if form == "faithful":
        return clip_TJ3[:: int(pace)] if pace >= 1 else np.repeat(clip_TJ3, int(1 / pace), axis=0)
    place = np.arange(0, len(clip_TJ3) - 1 + 1e-9, pace)
    before = np.minimum(place.astype(np.int64), len(clip_TJ3) - 1)
    after = np.minimum(before + 1, len(clip_TJ3) - 1)
    share = (place - before)[:, None, None].astype(np.float32)
    result: Float32 = ((1 - share) * clip_TJ3[before] + share * clip_TJ3[after]).astype(np.float32)
    return result


def squeeze(clip_TJ3: Float32, factor: float, form: Form) -> Float32:
    """x times the factor; "faithful" scales all three values of joint 0 instead, as the published indexing does."""
    scaled = clip_TJ3.copy()
    if form == "faithful":
        scaled[:, 0] *= factor
    else:
        scaled[..., 0] *= factor
    return scaled


def mirror(clip_TJ3: Float32, form: Form) -> Float32:
    """Left and right exchanged; "faithful" negates joint 0 instead."""
    flipped = squeeze(clip_TJ3, -1.0, form)
    return flipped[:, MIRRORED] if form == "fixed" else flipped


def augmented(clip_TJ3: Float32, rng: np.random.Generator, form: Form = "fixed") -> Float32:
    """(48, J, 3) one random view of a clip for training: pace, squeeze, mirror, reversal and noise of x and y, in the published order.

    The last cut to 48 frames is at a random place.
    """
    clip = centred(clip_TJ3, TRAINING_FRAMES)
    clip = repace(clip, float(rng.choice(PACES)), form)
    if rng.random() < 0.5:
        clip = squeeze(clip, 1.0 - SQUEEZE * float(rng.random()), form)
    if rng.random() < 0.5:
        clip = mirror(clip, form)
    if rng.random() < 0.5:
        clip = clip[::-1]
    if len(clip) > FRAMES:
        start = int(rng.integers(len(clip) - FRAMES + 1))
        clip = clip[start : start + FRAMES]
    clip = centred(clip).copy()
    clip[..., :2] += rng.normal(0.0, NOISE, (1, clip.shape[1], 2)).astype(np.float32)
    clip[..., :2] += rng.normal(0.0, NOISE, (*clip.shape[:2], 2)).astype(np.float32)
    return clip
