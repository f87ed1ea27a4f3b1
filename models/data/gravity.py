"""Recordings whose set left gravity out, or mixed sensors, made fit to train an embedding with.

The channels of an embedding need the vertical. Where a set gives the acceleration without gravity, it is put back along the axis that points
up when the wearer stands still; between, when the foot tips, the vertical is wrong in the same way for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.data.recordings import Recording

GRAVITY_MS2: dict[str, tuple[float, float, float]] = {"ipol265_footL": (0.0, 0.0, 9.81)}
"""By source: what was taken away, on the device's axes. The foot sensor lies on the instep, z up."""

SENSOR_IN_SESSION = ("ipol265_footL",)
"""Sources whose session is "group / sensor"."""


def completed(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings, gravity put back where it is missing; where a set used several sensors the placement names the sensor too, as
    "foot_l/XSens", so that nobody is told from anybody by the sensor."""
    return [_completed(recording) for recording in recordings]


def _completed(recording: Recording) -> Recording:
    if recording.source in GRAVITY_MS2:
        recording = replace(recording, acc_N3=recording.acc_N3 + np.array(GRAVITY_MS2[recording.source], np.float32))
    if recording.source in SENSOR_IN_SESSION:
        recording = replace(recording, placement=f"{recording.placement}/{recording.session.rpartition('/')[2]}")
    return recording
