"""The entry point of the simulation: a seed is a person, a session is one day of that person, a recording is what the phone measured.

recording = Walker(seed=7).record(duration_s=60, session=1, placement="pocket_front", script="daily")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from models.simulation.activities import Script, expand
from models.simulation.body import sample_body
from models.simulation.motion import Motion
from models.simulation.phone import lying, measure, sample_mount
from models.simulation.sensor import Sensor, low_passed, sample_times_s
from models.simulation.style import Style, in_session, sample_style, stepping

INTERNAL_RATE_HZ = 200.0  # the lowest multiple of the sampling rate not below this one carries the motion; a shock of 13 Hz rings in 35 ms
LEAD_S = 1.0  # rendered before and after and cut off: filters and differences settle outside the recording

# Random streams: adding a draw to one part must not change another.
_BODY, _STYLE, _SESSION, _MOUNT, _DEVICE, _SCRIPT, _MOTION, _PHONE, _SAMPLING = range(9)


@dataclass(frozen=True)
class SimulatedRecording:
    """N samples in Android axes.

    ``acc_N3`` float32 m/s² with gravity, ``gyro_N3`` float32 rad/s, ``walk_N`` uint8 (1 level walking, 0 not gait, 2 other gait), ``act_N``
    int8 (codes of ``activities``), ``time_s_N`` float64 from 0, ``phase_N`` float32 strides (heel strikes of the left foot at integers, of
    the right foot at halves; it runs on while the body stands), ``rate_hz`` nominal, ``stride_s`` the mean stride of level walking (two
    steps) of this session.
    """

    acc_N3: npt.NDArray[np.float32]
    gyro_N3: npt.NDArray[np.float32]
    walk_N: npt.NDArray[np.uint8]
    act_N: npt.NDArray[np.int8]
    time_s_N: npt.NDArray[np.float64]
    phase_N: npt.NDArray[np.float32]
    rate_hz: float
    stride_s: float
    seed: int
    session: int
    placement: str


class Walker:
    """One simulated person; ``seed`` >= 0 is the identity: body, gait, tempo, asymmetry, heel strike, side of the phone."""

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}")
        self.seed = seed
        self.body = sample_body(np.random.default_rng([_BODY, seed]))
        self.style = sample_style(np.random.default_rng([_STYLE, seed]))

    def record(
        self, *, duration_s: float, session: int = 0, placement: str = "pocket_front", script: str | Sequence[tuple[str, float]] = "walk",
        rate_hz: float = 50.0, irregular: bool = False, take: int = 0, start_phase: float | None = None,
    ) -> SimulatedRecording:  # fmt: skip
        """What the phone measures while the person follows the script.

        The same arguments give the same recording. ``session`` changes clothes, shoes, how the phone sits, the device and, a little, the
        gait; ``take`` only what happens within a session (irregular steps, turns, noise); ``irregular`` the times of the samples;
        ``start_phase`` in strides continues another recording.
        Raises ValueError for unknown scripts, activities and placements, and for a duration or rate that is not positive.
        """
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        what = crc32(repr(script).encode())
        where = crc32(placement.encode())

        def stream(purpose: int, *more: int) -> np.random.Generator:
            return np.random.default_rng([purpose, self.seed, session, *more])

        parts, style, padded, internal_hz = self._plan(duration_s, session, script, rate_hz, take)
        mount = sample_mount(style, self.body, placement, stream(_MOUNT, where))
        at_s = sample_times_s(duration_s, rate_hz, irregular, stream(_SAMPLING, take))
        n = len(at_s)
        if parts[0][0] == "table":
            acc, gyro = lying(n, stream(_MOUNT, where))
            act, walk, phase = np.zeros(n, np.int8), np.zeros(n, np.uint8), np.zeros(n)
        else:
            motion = self._perform(style, padded, internal_hz, session, script, take, start_phase)
            true = low_passed(
                np.concatenate(measure(motion, style, mount, stream(_PHONE, take, what, where)), axis=1), internal_hz, rate_hz
            )
            nearest = np.minimum(np.round((at_s + LEAD_S) * internal_hz).astype(int), len(true) - 1)
            true = CubicSpline(motion.time_T, true)(at_s + LEAD_S) if irregular else true[nearest]
            acc, gyro = true[:, :3], true[:, 3:]
            act, walk, phase = motion.act_T[nearest], motion.walk_T[nearest], motion.phase_T[nearest]
        sensor = Sensor.sample(stream(_DEVICE))
        acc_N3, gyro_N3 = sensor.read(acc, gyro, stream(_SAMPLING, take, 1))
        return SimulatedRecording(
            acc_N3=acc_N3, gyro_N3=gyro_N3, walk_N=walk, act_N=act, time_s_N=at_s, phase_N=phase.astype(np.float32), rate_hz=rate_hz,
            stride_s=stepping(style, self.body)["walk"].gait.stride_s, seed=self.seed, session=session,
            placement="table" if parts[0][0] == "table" else placement,
        )  # fmt: skip

    def motion(
        self, *, duration_s: float, session: int = 0, script: str | Sequence[tuple[str, float]] = "walk", rate_hz: float = 50.0,
        take: int = 0, start_phase: float | None = None,
    ) -> Motion:  # fmt: skip
        """The motion that ``record`` measures with the same arguments, for whatever else looks at it. It begins ``LEAD_S`` before the
        recording's first sample and ends as much after its last.

        Raises ValueError as ``record`` does, and for a phone on a table: nobody is seen there.
        """
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        parts, style, padded, internal_hz = self._plan(duration_s, session, script, rate_hz, take)
        if parts[0][0] == "table":
            raise ValueError("'table' means a phone off the body: there is no motion to see")
        return self._perform(style, padded, internal_hz, session, script, take, start_phase)

    def _plan(
        self, duration_s: float, session: int, script: str | Sequence[tuple[str, float]], rate_hz: float, take: int
    ) -> tuple[Script, Style, Script, float]:
        """The script, the session's style, the script with its lead, and the rate of the motion."""
        parts = expand(script, duration_s, np.random.default_rng([_SCRIPT, self.seed, session, take, crc32(repr(script).encode())]))
        style = in_session(self.style, np.random.default_rng([_SESSION, self.seed, session]))
        padded = [(parts[0][0], parts[0][1] + LEAD_S), *parts[1:]]
        padded[-1] = (padded[-1][0], padded[-1][1] + LEAD_S)
        return parts, style, padded, float(rate_hz * np.ceil(INTERNAL_RATE_HZ / rate_hz))

    def _perform(
        self, style: Style, padded: Script, internal_hz: float, session: int, script: str | Sequence[tuple[str, float]], take: int,
        start_phase: float | None,
    ) -> Motion:  # fmt: skip
        rng = np.random.default_rng([_MOTION, self.seed, session, take, crc32(repr(script).encode())])
        return Motion(self.body, style, padded, internal_hz, rng, None if start_phase is None else (LEAD_S, start_phase))
