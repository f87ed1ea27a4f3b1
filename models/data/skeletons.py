"""Walks as skeletons, from tidy npz files: depth camera and motion capture in 3-D, pose networks in pictures; and 3-D walks seen by a camera.

Formats (frames of all walks end to end, `start` and `length` cut them out, one `subject` each): `X` (N, J, 3) float in metres with y up, the
names `joints` (J,) and `fps`; or `keypoints` (N, 17, 3) COCO-17 x, y, score with frame numbers `frame`.

Shape letters: N frames as recorded, T steps of the camera grid, J 17 joints of COCO, 3 is x, y, z in metres (z up) or x, y in pixels (y down)
and confidence.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.pose.joints import ORDERS, conversion, convert
from models.types import CAMERA_RATE_HZ, CAMERA_STEP_NS, Float32, PoseSequence

PICTURE_RATE_HZ = 25.0
"""Frames per second behind frame numbers where a file does not say: both video sets here were filmed at this rate."""

LONGEST_GAP_S = 0.25
"""Between two frames further apart than this nothing is interpolated: the person was not seen."""

HEADING_S = 0.8
"""The heading is that of the mean line from right to left joints over so long: about a step's time, so that shoulders swing in the body's
own axes."""

_WORLD: dict[str, NDArray[np.float64]] = {
    # KGBD's x runs to the left of its camera's picture: read the other way round, feet would point backwards.
    "kinect-20": np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    "cmu-38": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}
"""Rows: our x, y, z (z up, right-handed) in the file's axes (y up)."""


@dataclass(frozen=True, slots=True)
class Walk3D:
    """One walk of one person in space.

    joints_TJ3: (T, 17, 3) float32, metres, z up, COCO-17.  seen_J: (17,) bool, which joints the device knows.  rate_hz: of T.
    subject, session: who, and which of the walks.  source: the file's stem.
    """

    joints_TJ3: Float32
    seen_J: NDArray[np.bool_]
    rate_hz: float
    subject: str
    session: str
    source: str


@dataclass(frozen=True, slots=True)
class PoseWalk:
    """One walk of one person before a camera. conditions: further entries of the file, for example {"scenario": "1"}."""

    poses: PoseSequence
    subject: str
    session: str
    source: str
    conditions: Mapping[str, str]


def load_walks_3d(path: str | Path) -> list[Walk3D]:
    """Walks of a depth camera (20 joints) or motion capture (38). Raises RecordingError naming file and field."""
    path = Path(path)
    fields = read_fields(path, ("X", "start", "length", "subject", "trial", "joints", "fps"))
    joints = len(fields["joints"])
    order = {20: "kinect-20", 38: "cmu-38"}.get(joints)
    points = fields["X"]
    if order is None or points.shape[1:] != (joints, 3):
        raise RecordingError(f"{path}: field 'X' must be (N, 20, 3) or (N, 38, 3) with as many 'joints', got {points.shape} and {joints}")
    if not np.isfinite(points).all():
        raise RecordingError(f"{path}: field 'X' holds NaN or infinity")
    if fields["fps"].shape != () or not 1.0 <= float(fields["fps"]) <= 1000.0:
        raise RecordingError(f"{path}: field 'fps' must be one rate in Hz between 1 and 1000")
    seen_J = np.asarray(conversion(order, "coco-17").any(axis=1))
    walks = []
    for part, index in parts(path, fields, len(points)):
        joints_TJ3 = convert(points[part].astype(np.float64) @ _WORLD[order].T, order)
        subject, session = str(fields["subject"][index]), str(fields["trial"][index])
        walks.append(Walk3D(joints_TJ3, seen_J, float(fields["fps"]), subject, session, path.stem))
    return walks


def load_pose_walks(path: str | Path) -> list[PoseWalk]:
    """Walks of a pose network, on the camera grid. Raises RecordingError naming file and field."""
    path = Path(path)
    fields = read_fields(path, ("keypoints", "frame", "start", "length", "subject", "scenario", "pas"))
    keypoints = fields["keypoints"]
    if keypoints.ndim != 3 or keypoints.shape[1:] != (17, 3) or not np.isfinite(keypoints).all():
        raise RecordingError(f"{path}: field 'keypoints' must be finite (N, 17, 3), got {keypoints.shape}")
    walks = []
    for part, index in parts(path, fields, len(keypoints)):
        time_s_N = fields["frame"][part].astype(np.float64) / PICTURE_RATE_HZ
        poses = on_camera_grid(time_s_N, keypoints[part])
        scenario, session = str(fields["scenario"][index]), str(fields["pas"][index])
        walks.append(PoseWalk(poses, str(fields["subject"][index]), session, path.stem, {"scenario": scenario}))
    return walks


def read_fields(path: Path, wanted: Sequence[str]) -> dict[str, NDArray]:
    """The wanted arrays of an npz file, read without pickle. Raises RecordingError naming the file, and the field that is missing."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in wanted:
                if name not in archive.files:
                    raise RecordingError(f"{path}: field {name!r} is missing")
            return {name: archive[name] for name in wanted}
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except RecordingError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise RecordingError(f"{path}: not a readable npz file ({error})") from error


def parts(path: Path, fields: Mapping[str, NDArray], frames: int) -> list[tuple[slice, int]]:
    """(frames of a walk, its index) by `start` and `length`. Raises RecordingError where they leave the file."""
    start, length = fields["start"], fields["length"]
    if start.ndim != 1 or start.shape != length.shape or not np.issubdtype(start.dtype, np.integer):
        raise RecordingError(
            f"{path}: fields 'start' and 'length' must be integers, one of each per walk, got {start.shape}, {length.shape}"
        )
    if (start < 0).any() or (length < 1).any() or (start + length > frames).any():
        raise RecordingError(f"{path}: fields 'start' and 'length' leave the {frames} frames of the file")
    for name, values in fields.items():
        if name in ("subject", "trial", "scenario", "pas", "view", "run") and values.shape != start.shape:
            raise RecordingError(f"{path}: field {name!r} must have one entry per walk ({len(start)}), got {values.shape}")
    return [(slice(int(s), int(s + n)), i) for i, (s, n) in enumerate(zip(start, length, strict=True))]


def on_camera_grid(time_s_N: NDArray[np.float64], keypoints_NJ3: NDArray[np.floating]) -> PoseSequence:
    """Keypoints at rising times, brought to the grid by linear interpolation; confidence 0 within gaps beyond LONGEST_GAP_S."""
    first, last = int(np.ceil(time_s_N[0] * CAMERA_RATE_HZ - 1e-6)), int(np.floor(time_s_N[-1] * CAMERA_RATE_HZ + 1e-6))
    at_s_T = np.arange(first, max(first, last) + 1) / CAMERA_RATE_HZ
    after_T = np.clip(np.searchsorted(time_s_N, at_s_T - 1e-9), 1, max(1, len(time_s_N) - 1))
    before_T = np.minimum(after_T - 1, len(time_s_N) - 1)
    after_T = np.minimum(after_T, len(time_s_N) - 1)
    span_T = time_s_N[after_T] - time_s_N[before_T]
    share_T = np.clip(np.divide(at_s_T - time_s_N[before_T], span_T, out=np.zeros_like(span_T), where=span_T > 0), 0.0, 1.0)[:, None, None]
    row_TJ3 = (1.0 - share_T) * keypoints_NJ3[before_T] + share_T * keypoints_NJ3[after_T]
    row_TJ3[span_T > LONGEST_GAP_S, :, 2] = 0.0
    return PoseSequence(row_TJ3.astype(np.float32), first * CAMERA_STEP_NS)


def resampled(walk: Walk3D, rate_hz: float = CAMERA_RATE_HZ, *, tempo: float = 1.0) -> Float32:
    """(T, 17, 3) joints at another rate, the walk performed `tempo` times as fast; linear between frames."""
    count = int((len(walk.joints_TJ3) - 1) / walk.rate_hz / tempo * rate_hz) + 1
    place = np.minimum(np.arange(count) / rate_hz * tempo * walk.rate_hz, len(walk.joints_TJ3) - 1)
    before = np.minimum(place.astype(np.int64), max(0, len(walk.joints_TJ3) - 2))
    share = (place - before)[:, None, None].astype(np.float32)
    after = np.minimum(before + 1, len(walk.joints_TJ3) - 1)
    return np.asarray((1.0 - share) * walk.joints_TJ3[before] + share * walk.joints_TJ3[after], np.float32)


def facing_forward(joints_TJ3: Float32, rate_hz: float = CAMERA_RATE_HZ) -> Float32:
    """(T, 17, 3) the same body walking on the spot towards +x, its left at +y, mid-hip at the origin on average: what is left where a
    world's way means nothing.

    The heading is at right angles to the mean line from right to left shoulder and hip over HEADING_S.
    """
    names = ORDERS["coco-17"]
    left, right = ([names.index(f"{side}_{part}") for part in ("shoulder", "hip")] for side in ("left", "right"))
    across_T2 = (joints_TJ3[:, left, :2] - joints_TJ3[:, right, :2]).sum(axis=1)
    across_T2 = across_T2 / np.maximum(np.linalg.norm(across_T2, axis=1, keepdims=True), 1e-6)
    half = max(1, round(HEADING_S * rate_hz / 2))
    padded = np.pad(across_T2, ((half, half), (0, 0)), mode="edge")
    mean_T2 = np.stack([np.convolve(padded[:, i], np.ones(2 * half + 1), "valid") for i in range(2)], axis=1)
    left_T2 = mean_T2 / np.maximum(np.linalg.norm(mean_T2, axis=1, keepdims=True), 1e-6)
    forward_T2 = np.stack([left_T2[:, 1], -left_T2[:, 0]], axis=1)
    hips = [names.index("left_hip"), names.index("right_hip")]
    centre_T3 = joints_TJ3[:, hips].mean(axis=1)
    centre_T3[:, 2] = centre_T3[:, 2].mean()
    offset_TJ3 = joints_TJ3 - centre_T3[:, None]
    x_TJ = np.einsum("tjc,tc->tj", offset_TJ3[:, :, :2], forward_T2)
    y_TJ = np.einsum("tjc,tc->tj", offset_TJ3[:, :, :2], left_T2)
    return np.stack([x_TJ, y_TJ, offset_TJ3[:, :, 2]], axis=-1).astype(np.float32)


def seen_by_camera(
    body_NTJ3: Float32,
    azimuth_NT: NDArray[np.floating],
    elevation_N: NDArray[np.floating],
    distance_m_N: NDArray[np.floating],
    focal_px_N: NDArray[np.floating],
) -> Float32:
    """(N, T, J, 2) pixels (y down, origin at the middle of the picture) of bodies that walk on the spot (`facing_forward`).

    The camera looks at the origin, the hips. azimuth_NT: where it stands in the body's axes, radians: 0 in front, pi / 2 to the
    person's left.  elevation_N: how far above the horizon.  Pinhole, no distortion.
    """
    c, s = np.cos(azimuth_NT)[..., None], np.sin(azimuth_NT)[..., None]
    ce, se = (f(elevation_N)[:, None, None] for f in (np.cos, np.sin))
    x, y, z = body_NTJ3[..., 0], body_NTJ3[..., 1], body_NTJ3[..., 2]
    towards = x * c + y * s
    # Seen from the front a person's left is on the right-hand side of the picture.
    right = -x * s + y * c
    up, near = z * ce - towards * se, towards * ce + z * se
    scale = focal_px_N[:, None, None] / np.maximum(distance_m_N[:, None, None] - near, 0.3)
    return np.stack([right * scale, -up * scale], axis=-1).astype(np.float32)


def filmed(
    walk: Walk3D, azimuth_deg: float, *, elevation_deg: float = 8.0, distance_m: float = 5.0, focal_px: float = 480.0
) -> PoseSequence:
    """A 3-D walk as a camera sees it that keeps its place in the person's own axes: without noise, confidence 1 for what the device knows."""
    body_TJ3 = facing_forward(resampled(walk))
    ones = np.ones(1)
    xy_TJ2 = seen_by_camera(
        body_TJ3[None],
        np.full((1, len(body_TJ3)), np.radians(azimuth_deg)),
        np.radians(elevation_deg) * ones,
        distance_m * ones,
        focal_px * ones,
    )[0]
    confidence_TJ1 = np.broadcast_to(walk.seen_J[:, None].astype(np.float32), (len(xy_TJ2), 17, 1))
    return PoseSequence(np.concatenate([xy_TJ2, confidence_TJ1], axis=-1), 0)
