"""Walks that train camera networks: simulated walkers and motion capture as bodies on the spot, with varied limbs, views and detector noise.

Shape letters: N windows, T steps, J 17 joints of COCO, 3 is x, y, z in metres.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.simulated import SOURCE
from models.data.skeletons import Walk3D, facing_forward, seen_by_camera
from models.pose.joints import ORDERS
from models.simulation.mesh_pose import MeshPose
from models.simulation.rotation import rotation_matrix
from models.simulation.scene_actors import figure_of
from models.simulation.walker import LEAD_S, Walker
from models.training.detector_noise import detected
from models.types import CAMERA_RATE_HZ, Float32

MOTION_RATE_HZ = 25.0
"""Rate of stored bodies: twice the camera's, so that a walk can be performed at another tempo without loss."""

WALK_S = 6.0
"""Length of a simulated walk."""


@dataclass(frozen=True, slots=True)
class BodyWalk:
    """A walk on the spot. body_TJ3: (T, 17, 3) float32 at MOTION_RATE_HZ, `facing_forward`.  seen_J: joints that the source knows."""

    body_TJ3: Float32
    seen_J: NDArray[np.bool_]
    subject: str
    session: str
    source: str


def body_walks(walks: Sequence[Walk3D]) -> list[BodyWalk]:
    """Recorded walks as bodies on the spot."""
    out = []
    for walk in walks:
        count = int((len(walk.joints_TJ3) - 1) / walk.rate_hz * MOTION_RATE_HZ) + 1
        place_T = np.arange(count) / MOTION_RATE_HZ * walk.rate_hz
        joints_TJ3 = interpolated(walk.joints_TJ3, place_T)
        out.append(BodyWalk(facing_forward(joints_TJ3, MOTION_RATE_HZ), walk.seen_J, walk.subject, walk.session, walk.source))
    return out


def held_out_of(people: Collection[str]) -> set[str]:
    """Who is held out of a set's people: the last sixth of their sorted names, two at least of four or more (as `options.split_people`)."""
    count = max(2, len(people) // 6) if len(people) >= 4 else 0
    return set(sorted(people)[len(people) - count :])


def interpolated(rows_T: Float32, place_N: NDArray[np.floating]) -> Float32:
    """Rows at fractional places, linear between neighbours, the ends held."""
    place_N = np.clip(place_N, 0, len(rows_T) - 1)
    before_N = np.minimum(place_N.astype(np.int64), max(0, len(rows_T) - 2))
    after_N = np.minimum(before_N + 1, len(rows_T) - 1)
    share = (place_N - before_N).astype(np.float32).reshape(-1, *[1] * (rows_T.ndim - 1))
    return np.asarray((1 - share) * rows_T[before_N] + share * rows_T[after_N], np.float32)


def simulated_bodies(seeds: Sequence[int], sessions: int, cache_dir: Path | None = None) -> list[BodyWalk]:
    """Walks of simulated people, one per session (another day: other clothes, a little drift); kept in cache_dir, where there is one."""
    if not len(seeds):
        return []
    cache = None if cache_dir is None else cache_dir / f"walkers-{seeds[0]}-{seeds[-1]}-{sessions}.npz"
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as archive:
            body_KTJ3 = archive["body_KTJ3"].astype(np.float32)
    else:
        body_KTJ3 = np.stack([_performed(seed, session) for seed in seeds for session in range(sessions)])
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache.with_suffix(".tmp.npz")
            np.savez(temporary, body_KTJ3=body_KTJ3.astype(np.float16))  # half a millimetre
            temporary.replace(cache)
    everything = np.ones(17, bool)
    names = [(f"sim{seed}", str(session)) for seed in seeds for session in range(sessions)]
    return [BodyWalk(body, everything, subject, session, SOURCE) for body, (subject, session) in zip(body_KTJ3, names, strict=True)]


def _performed(seed: int, session: int) -> Float32:
    motion = Walker(seed).motion(duration_s=WALK_S, session=session)
    figure = figure_of(seed, session)
    pose = MeshPose(figure.shape, motion)
    at_s_T = LEAD_S + np.arange(round(WALK_S * MOTION_RATE_HZ)) / MOTION_RATE_HZ
    joints_TJ3 = np.stack([figure.point_P4B @ pose.transforms(float(at_s)) for at_s in at_s_T])
    return facing_forward(joints_TJ3.astype(np.float32), MOTION_RATE_HZ)


LIMB_SD = 0.05
"""Of the logarithm of a limb's length between people, on top of what the walks hold: limb ratios of people vary by 3-8 %."""

TEMPO_SD = 0.06
"""Of the logarithm of an identity's tempo, where a walk serves several identities."""

CARRIAGE_RAD, ONE_SIDED_RAD = np.radians(6.0), np.radians(3.0)
"""How differently people carry a limb (about each axis), both sides alike and one against the other: stoops, bent elbows, feet turned out."""

CARRIAGE_DRIFT_RAD = np.radians(1.5)
"""The same from one walk of a person to another."""

SWING_SD = 0.12
"""Of the logarithm of how far a limb swings, between people."""

_NAMES = ORDERS["coco-17"]
LIMBS = ("trunk", "neck", "shoulders", "hips", "upper_arm", "forearm", "thigh", "calf")
_BELOW = {"upper_arm": 5, "forearm": 7, "thigh": 11, "calf": 13}
"""First joint (left, the right one follows) that a limb hangs on; its other end is two further."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What makes one body of another's walk. length_NL, swing_NL: factors per limb of LIMBS.  turn_NLS33: rotation of each limb's direction,
    left and right."""

    length_NL: NDArray[np.float64]
    swing_NL: NDArray[np.float64]
    turn_NLS33: NDArray[np.float64]

    def of(self, index_N: NDArray[np.int64]) -> Manner:
        """The manners of chosen identities."""
        return Manner(self.length_NL[index_N], self.swing_NL[index_N], self.turn_NLS33[index_N])


def random_manner(n: int, rng: np.random.Generator, strength: float = 1.0) -> Manner:
    """Manners of n people; strength scales how far they are from leaving a walk as it is."""
    shared_NL3 = rng.normal(0, CARRIAGE_RAD * strength, (n, len(LIMBS), 3))
    own_NL3 = rng.normal(0, ONE_SIDED_RAD * strength, (n, len(LIMBS), 3))
    # A turn about the sagittal axes is the opposite turn on the other side of a symmetric body.
    mirror = np.array([-1.0, 1.0, -1.0])
    vector_NLS3 = np.stack([shared_NL3 + own_NL3, shared_NL3 * mirror - own_NL3 * mirror], axis=2)
    turn_NLS33 = rotation_matrix(vector_NLS3.reshape(-1, 3)).reshape(n, len(LIMBS), 2, 3, 3)
    length_NL = np.exp(rng.normal(0, LIMB_SD * strength, (n, len(LIMBS))))
    return Manner(length_NL, np.exp(rng.normal(0, SWING_SD * strength, (n, len(LIMBS)))), turn_NLS33)


def drifted(manner: Manner, rng: np.random.Generator) -> Manner:
    """The same people at another walk."""
    n = len(manner.length_NL)
    vector = rng.normal(0, CARRIAGE_DRIFT_RAD, (n * len(LIMBS) * 2, 3))
    turn = rotation_matrix(vector).reshape(n, len(LIMBS), 2, 3, 3) @ manner.turn_NLS33
    return Manner(manner.length_NL, manner.swing_NL * np.exp(rng.normal(0, 0.03, manner.swing_NL.shape)), turn)


def in_manner(body_NTJ3: Float32, manner: Manner) -> Float32:
    """(N, T, 17, 3) the same walks by other people: limbs longer, carried and swung otherwise."""
    hip, shoulder = body_NTJ3[:, :, 11:13].mean(2), body_NTJ3[:, :, 5:7].mean(2)

    def limb(vector_NTS3: Float32, name: str) -> Float32:
        i = LIMBS.index(name)
        middle = vector_NTS3.mean(axis=1, keepdims=True)
        swung = middle + (vector_NTS3 - middle) * manner.swing_NL[:, i, None, None, None]
        length = np.linalg.norm(vector_NTS3, axis=-1, keepdims=True) * manner.length_NL[:, i, None, None, None]
        swung = swung / np.maximum(np.linalg.norm(swung, axis=-1, keepdims=True), 1e-6) * length
        turn = manner.turn_NLS33[:, i, : vector_NTS3.shape[2]].astype(np.float32)
        return np.asarray(np.einsum("nsij,ntsj->ntsi", turn, swung.astype(np.float32)), np.float32)

    out = np.empty_like(body_NTJ3)
    top = hip + limb((shoulder - hip)[:, :, None], "trunk")[:, :, 0]
    neck = LIMBS.index("neck")
    face = (body_NTJ3[:, :, :5] - shoulder[:, :, None]) * manner.length_NL[:, neck, None, None, None].astype(np.float32)
    out[:, :, :5] = top[:, :, None] + np.einsum("nij,ntkj->ntki", manner.turn_NLS33[:, neck, 0].astype(np.float32), face)
    out[:, :, 5:7] = top[:, :, None] + limb(body_NTJ3[:, :, 5:7] - shoulder[:, :, None], "shoulders")
    out[:, :, 11:13] = hip[:, :, None] + limb(body_NTJ3[:, :, 11:13] - hip[:, :, None], "hips")
    for name, first in _BELOW.items():
        parent, child = slice(first, first + 2), slice(first + 2, first + 4)
        out[:, :, child] = out[:, :, parent] + limb(body_NTJ3[:, :, child] - body_NTJ3[:, :, parent], name)
    return out


@dataclass(frozen=True, slots=True)
class Views:
    """Where cameras stand. azimuth_NT: radians in the body's axes, the rest per window."""

    azimuth_NT: NDArray[np.float64]
    elevation_N: NDArray[np.float64]
    distance_m_N: NDArray[np.float64]


def random_views(n: int, steps: int, rng: np.random.Generator, *, one_camera: bool) -> Views:
    """Views from all around, 3 degrees below to 35 above; in every window the person turns a little against the camera.

    one_camera: all windows from about the same direction, as when everybody walks along the same corridor.
    """
    if one_camera:
        azimuth_N = rng.uniform(0, 2 * np.pi) + np.radians(rng.normal(0, 6, n))
        elevation_N = rng.uniform(-3, 35) + rng.normal(0, 2, n)
        distance_N = np.exp(rng.uniform(np.log(2.5), np.log(12))) * np.exp(rng.normal(0, 0.1, n))
    else:
        azimuth_N = rng.uniform(0, 2 * np.pi, n)
        elevation_N = rng.uniform(-3, 35, n)
        distance_N = np.exp(rng.uniform(np.log(2.5), np.log(12), n))
    turn_N = np.radians(np.clip(rng.normal(0, 12, n), -40, 40))
    azimuth_NT = azimuth_N[:, None] + turn_N[:, None] * np.linspace(-0.5, 0.5, steps)
    return Views(azimuth_NT, np.radians(elevation_N), np.maximum(distance_N, 2.2))


@dataclass(frozen=True, slots=True)
class Windows:
    """Bodies on the spot (N, T, 17, 3), joints that their source knows (N, 17), steps with the person (N, T), identities (N,)."""

    body_NTJ3: Float32
    seen_NJ: NDArray[np.bool_]
    present_NT: NDArray[np.bool_]
    class_N: NDArray[np.int64]


class Cast:
    """Identities for training: every person of the walks, recorded ones several times, each time in another manner and at another tempo.

    persons: (source, subject).  walks_of: per person its walks.  class_P: first identity of each person; `copies_P` follow one another.
    strength: how far manners are from the recorded ones; 0 leaves people as they are.
    """

    def __init__(self, walks: Sequence[BodyWalk], *, copies: int, seed: int, strength: float = 1.0, least_s: float = 1.6) -> None:
        kept = [walk for walk in walks if len(walk.body_TJ3) >= least_s * MOTION_RATE_HZ]
        self.persons = sorted({(walk.source, walk.subject) for walk in kept})
        self.walks_of = [[walk for walk in kept if (walk.source, walk.subject) == person] for person in self.persons]
        self.recorded_P = np.array([source != SOURCE for source, _ in self.persons], bool)
        self.copies_P = np.where(self.recorded_P, copies, 1)
        self.class_P = np.concatenate([[0], np.cumsum(self.copies_P)])[:-1].astype(np.int64)
        self.identities = int(self.copies_P.sum())
        rng = np.random.default_rng([seed, 5])
        self.manner_K = random_manner(self.identities, rng, strength)
        self.tempo_K = np.exp(rng.normal(0, TEMPO_SD * strength, self.identities))

    def everybody(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(identities,) persons and copies, one of each identity."""
        copies = self.copies_P.astype(np.int64)
        return np.repeat(np.arange(len(self.persons)), copies), np.concatenate([np.arange(count) for count in copies])

    def windows(self, person_N: NDArray[np.int64], copy_N: NDArray[np.int64], steps: int, rng: np.random.Generator) -> Windows:
        """A random place of a random walk of each person. A walk shorter than a window leaves steps without the person."""
        class_N = self.class_P[person_N] + copy_N
        out = np.empty((len(person_N), steps, 17, 3), np.float32)
        seen = np.empty((len(person_N), 17), bool)
        present = np.empty((len(person_N), steps), bool)
        per_step = MOTION_RATE_HZ / CAMERA_RATE_HZ
        for i, (person, identity) in enumerate(zip(person_N, class_N, strict=True)):
            own = self.walks_of[person]
            walk = own[rng.integers(len(own))]
            pace = per_step * self.tempo_K[identity] * float(np.exp(rng.normal(0, 0.02)))
            spare = len(walk.body_TJ3) - 1 - pace * (steps - 1)
            place_T = rng.uniform(min(0.0, spare), max(0.0, spare)) + pace * np.arange(steps)
            out[i], seen[i] = interpolated(walk.body_TJ3, place_T), walk.seen_J
            present[i] = (place_T >= 0) & (place_T <= len(walk.body_TJ3) - 1)
        return Windows(in_manner(out, drifted(self.manner_K.of(class_N), rng)), seen, present, class_N)


DEFINITION_M = 0.03
"""Standard deviation of where a pose network puts a joint in everybody alike: every network and sensor has its own idea of a hip."""


def redefined(body_NTJ3: Float32, rng: np.random.Generator, strength: float = 1.0) -> Float32:
    """All joints moved alike for all windows, left and right symmetric: another pose network's idea of the joints."""
    shift_J3 = rng.normal(0, DEFINITION_M * strength, (17, 3))
    shift_J3[[_NAMES.index(name) for name in _NAMES if name.startswith("right")]] = (
        shift_J3[[_NAMES.index(name) for name in _NAMES if name.startswith("left")]] * [1, -1, 1]
    )  # fmt: skip
    return body_NTJ3 + shift_J3.astype(np.float32)


def filmed_windows(windows: Windows, views: Views, rng: np.random.Generator, strength: float = 1.0) -> Float32:
    """(N, T, 17, 3) pixels and confidences as a pose network reports them; strength scales its errors."""
    body_NTJ3, seen_NJ = windows.body_NTJ3.copy(), windows.seen_NJ.copy()
    # Depth cameras and some networks know one point of the head only; people who walk away show no face.
    one_point = rng.random(len(body_NTJ3)) < 0.4
    body_NTJ3[one_point, :, 3:5] = body_NTJ3[one_point, :, 3:5].mean(axis=2, keepdims=True)
    seen_NJ[one_point, :3] = False
    focal_N = rng.uniform(300, 900, len(body_NTJ3))
    place_NTJ2 = seen_by_camera(redefined(body_NTJ3, rng, strength), views.azimuth_NT, views.elevation_N, views.distance_m_N, focal_N)
    # Some cameras follow the person; before the others it travels (only the side that is seen is read from that).
    speed_px_N = rng.uniform(0.6, 1.6, len(body_NTJ3)) * focal_N / views.distance_m_N / CAMERA_RATE_HZ * (rng.random(len(body_NTJ3)) < 0.7)
    step_px_NT = -np.sin(views.azimuth_NT) * speed_px_N[:, None]
    place_NTJ2[..., 0] += np.cumsum(step_px_NT, axis=1)[..., None].astype(np.float32)
    keypoints_NTJ3 = detected(place_NTJ2, seen_NJ, rng, strength)
    keypoints_NTJ3[..., 2] *= windows.present_NT[:, :, None]
    return keypoints_NTJ3
