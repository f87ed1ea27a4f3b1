"""Recordings laid end to end in memory, and random crops out of them as whole-batch gathers.

Shape letters: B batch, T time (50 Hz), N samples of the corpus, R recordings, K identities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import Recording
from models.data.simulated import SOURCE, simulate
from models.types import Float32

OTHER_PLACES = ("pocket_back", "coat", "bag", "wrist")

ELSEWHERE_SESSIONS, ELSEWHERE_S = 3, 9.0
"""Three days, so that clothes and mounting vary; long enough for two windows that share nothing."""


@dataclass(frozen=True)
class Corpus:
    """Samples (N, 6) float32 and labels (N,) of many recordings; recording r covers samples [start_R[r], stop_R[r]).

    identity_R: index of the recording's identity in `identities`, (source, subject, placement): how a wrist moves and how a pocket moves
    are two things to learn, and the same person in two data sets would be two people.
    """

    samples_N6: Float32
    walk_N: NDArray[np.uint8]
    act_N: NDArray[np.int8]
    start_R: NDArray[np.int64]
    stop_R: NDArray[np.int64]
    identity_R: NDArray[np.int64]
    identities: list[tuple[str, str, str]]

    def __len__(self) -> int:
        return len(self.start_R)


def build_corpus(recordings: Sequence[Recording]) -> Corpus:
    """Brings every recording to the 50 Hz grid and lays them end to end. Raises ValueError if there is none."""
    if not recordings:
        raise ValueError("no recording to build a corpus from")
    parts = [to_grid(recording) for recording in recordings]
    stops = np.cumsum([len(part[0]) for part in parts])
    keys = [(recording.source, recording.subject, recording.placement) for recording in recordings]
    identities = sorted(set(keys))
    position = {key: index for index, key in enumerate(identities)}
    return Corpus(
        samples_N6=np.concatenate([part[0] for part in parts]),
        walk_N=np.concatenate([trusted_labels(recording.source, part[1]) for recording, part in zip(recordings, parts, strict=True)]),
        act_N=np.concatenate([part[2] for part in parts]),
        start_R=np.concatenate([[0], stops[:-1]]).astype(np.int64),
        stop_R=stops.astype(np.int64),
        identity_R=np.array([position[key] for key in keys], dtype=np.int64),
        identities=identities,
    )


def crop(samples_N6: Float32, start_B: NDArray[np.float64], speed_B: NDArray[np.float64], samples: int) -> Float32:
    """(B, samples, 6): from fractional position start_B on, time running speed_B times as fast, linear interpolation.

    Playing a motion s times as fast multiplies angular rates by s and accelerations (less gravity, here the crop's mean) by s squared.
    """
    position_BT = start_B[:, None] + np.arange(samples)[None, :] * speed_B[:, None]
    below_BT = np.minimum(position_BT.astype(np.int64), len(samples_N6) - 2)
    weight_BT1 = (position_BT - below_BT)[..., None].astype(np.float32)
    crop_BT6 = samples_N6[below_BT] * (1.0 - weight_BT1) + samples_N6[below_BT + 1] * weight_BT1
    speed_B11 = speed_B.astype(np.float32)[:, None, None]
    mean_B13 = crop_BT6[..., :3].mean(axis=1, keepdims=True)
    crop_BT6[..., :3] = mean_B13 + (crop_BT6[..., :3] - mean_B13) * speed_B11**2
    crop_BT6[..., 3:] *= speed_B11
    return crop_BT6


def window_starts(corpus: Corpus, samples: int, least_walking: float, stride: int = 4) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts of pieces of `samples` in which at least the share `least_walking` is level walking, and the recording of each."""
    starts, records = [], []
    for record in range(len(corpus)):
        first, stop = int(corpus.start_R[record]), int(corpus.stop_R[record])
        if stop - first < samples:
            continue
        walking = np.concatenate([[0], np.cumsum(corpus.walk_N[first:stop] == 1)])
        offset = np.arange(0, stop - first - samples + 1, stride)
        good = offset[(walking[offset + samples] - walking[offset]) >= least_walking * samples]
        starts.append(first + good)
        records.append(np.full(len(good), record))
    if not starts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(starts).astype(np.int64), np.concatenate(records).astype(np.int64)


def elsewhere(recordings: Sequence[Recording]) -> list[Recording]:
    """The simulated walkers among the recordings with the device at two other places: the waist, and one of OTHER_PLACES in turn."""
    seeds = sorted({int(recording.subject.removeprefix("sim")) for recording in recordings if recording.source == SOURCE})
    return [made for seed in seeds for made in _walks_elsewhere(seed)]


@cache
def _walks_elsewhere(seed: int) -> list[Recording]:
    places = ("waist", OTHER_PLACES[seed % len(OTHER_PLACES)])
    return [made for place in places for made in simulate([seed], sessions=ELSEWHERE_SESSIONS, duration_s=ELSEWHERE_S, placement=place)]


def class_numbers(simulated_K: NDArray[np.bool_], copies: int) -> NDArray[np.int64]:
    """(K, copies) numbers of the classes of every identity and copy of it; a simulated walker has no copies, so all are one class."""
    per_identity = np.where(simulated_K, 1, copies)
    first = np.cumsum(per_identity) - per_identity
    return first[:, None] + np.where(simulated_K[:, None], 0, np.arange(copies)[None, :])
