"""A walker in motion: a script becomes a continuous root trajectory and segment poses in time. What measures them lives elsewhere.

Legend: T time, 3 axes, E components, C channels. World frame as in ``rotation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from models.simulation.activities import ACTIVITIES, Script
from models.simulation.body import PARENT, Body
from models.simulation.gait import CHANNELS, PELVIS_OFFSET, TERMS, channels_of, fourier_basis, gait_model
from models.simulation.noise import shaped_noise, smooth_noise, smoothstep
from models.simulation.rotation import rotate, rotation_matrix, yaw_rotation
from models.simulation.style import RAD, Stepping, Style, stepping

Array = npt.NDArray[np.float64]

STEP_SCATTER = 0.5  # step-to-step scatter along the components, of the scatter between walks of one person
OTHER_MOTION = 7  # act code
MARGIN_STRIDES = 2.0  # steps before and after, so that no spline is used beyond its ends
PACE_SD = 0.05  # slow changes of pace within a bout
BOUT_PACE_SD = 0.08  # and from bout to bout: half of it in the tempo, half in the stride
WANDER_RAD_S = 0.05  # nobody walks a ruler line


@dataclass(frozen=True)
class Strikes:
    """Heel strikes: when, which foot, how hard relative to level walking (length S each)."""

    time_S: Array
    left_S: npt.NDArray[np.bool_]
    strength_S: Array


class Motion:
    """One performance of a script by a person; deterministic given ``rng``.

    After construction: ``time_T`` seconds, ``weight`` activity -> (T,) shares that sum to 1, ``act_T`` and ``walk_T`` labels, ``phase_T``
    strides, ``strikes``, ``yaw_T`` heading, ``root_T3`` mid-hip in metres. ``frame`` gives any segment. ``phase_at``: (seconds, phase) that
    must be met, for a performance that continues another one.
    """

    def __init__(
        self,
        body: Body,
        style: Style,
        script: Script,
        rate_hz: float,
        rng: np.random.Generator,
        phase_at: tuple[float, float] | None = None,
    ) -> None:
        self.body, self.rate_hz = body, rate_hz
        duration_s = sum(seconds for _, seconds in script)
        self.time_T = np.arange(round(duration_s * rate_hz)) / rate_hz
        self.names = list(dict.fromkeys(name for name, _ in script))
        self._steppings: dict[str, Stepping] = stepping(style, body)
        self._blend(script)
        self._step(script, style, rng, phase_at)
        self._posture(rng)
        self._travel(script, rng)

    def _blend(self, script: Script) -> None:
        """Shares of the activities in time: each change takes ``blend_s`` around the border, less where parts are short."""
        self.weight = {name: np.zeros(len(self.time_T)) for name in self.names}
        self.act_T, self.walk_T = np.zeros(len(self.time_T), np.int8), np.zeros(len(self.time_T), np.uint8)
        rising_s: list[tuple[float, float]] = []
        begun_T, begin_s = np.ones(len(self.time_T)), 0.0
        for i, (name, seconds) in enumerate(script):
            end_s = begin_s + seconds
            ended_T = np.zeros(len(self.time_T))
            if i + 1 < len(script):
                follower, follows_s = script[i + 1]
                span_s = min(max(ACTIVITIES[name].blend_s, ACTIVITIES[follower].blend_s), seconds, follows_s)
                ended_T = smoothstep((self.time_T - end_s) / span_s + 0.5)
                if ACTIVITIES[name].sits != ACTIVITIES[follower].sits:
                    rising_s.append((end_s - span_s / 2.0, end_s + span_s / 2.0))
            self.weight[name] += begun_T - ended_T
            self.act_T[round(begin_s * self.rate_hz) :] = ACTIVITIES[name].act
            self.walk_T[round(begin_s * self.rate_hz) :] = ACTIVITIES[name].walk
            begun_T, begin_s = ended_T, end_s
        for from_s, to_s in rising_s:  # getting up and sitting down are motion, whatever lies on either side
            part = slice(round(from_s * self.rate_hz), round(to_s * self.rate_hz))
            self.act_T[part], self.walk_T[part] = OTHER_MOTION, 0
        zero = np.zeros(len(self.time_T))
        self.stepping_T: Array = sum((self.weight[n] for n in self.names if ACTIVITIES[n].steps), zero)
        self.seated_T: Array = sum((self.weight[n] for n in self.names if ACTIVITIES[n].sits), zero)

    def _step(self, script: Script, style: Style, rng: np.random.Generator, phase_at: tuple[float, float] | None) -> None:
        """Step by step: times with asymmetry and irregularity give the phase; amplitude and shape scatter around the person's gait."""
        ends_s = np.cumsum([seconds for _, seconds in script])
        pace_knots = 1.0 + PACE_SD * smooth_noise(rng, np.arange(np.ceil(ends_s[-1]) + 1.0), 9.0, 1)[:, 0]
        pace_knots = np.clip(pace_knots, 0.8, 1.2)
        bout_pace = np.exp(BOUT_PACE_SD * rng.normal(size=len(script))) if len(script) > 1 else np.ones(1)
        stride_s = self._steppings["walk"].gait.stride_s
        meet_s, meet_phase = phase_at or (0.0, rng.random())
        paces: list[float] = []
        times = [-MARGIN_STRIDES * stride_s]
        phases = [np.floor(2.0 * (meet_phase - meet_s / stride_s - MARGIN_STRIDES)) / 2.0]
        while times[-1] < self.time_T[-1] + MARGIN_STRIDES * stride_s or phases[-1] < meet_phase + 1.0:
            part = min(int(np.searchsorted(ends_s, times[-1], side="right")), len(script) - 1)
            step = self._steppings.get(script[part][0], self._steppings["walk"])
            pace = float(pace_knots[min(max(int(times[-1]), 0), len(pace_knots) - 1)] * bout_pace[part])
            paces.append(pace)
            side = 1.0 if round(phases[-1] * 2) % 2 == 0 else -1.0
            seconds = step.gait.stride_s / 2.0 / np.sqrt(pace) * (1.0 + side * style.asymmetry) * np.exp(style.irregularity * rng.normal())
            times.append(times[-1] + float(seconds))
            phases.append(phases[-1] + 0.5)
        if phase_at:
            times = list(np.array(times) + meet_s - np.interp(meet_phase, phases, times))
        knots_s, steps_n = np.array(times), len(times)
        self.phase_T = CubicSpline(knots_s, np.array(phases))(self.time_T)
        # Each step has its own size and its own shape; a spline through the steps keeps the body smooth.
        gain_S = np.sqrt([*paces, paces[-1]]) * np.exp(2.0 * style.irregularity * rng.normal(size=steps_n))
        self._gain_T = CubicSpline(knots_s, gain_S)(self.time_T)
        scatter_SE = rng.normal(size=(steps_n, len(gait_model().within_E))) * gait_model().within_E * STEP_SCATTER
        self._scatter_TE = CubicSpline(knots_s, scatter_SE)(self.time_T)
        at = np.clip(np.round(knots_s * self.rate_hz).astype(int), 0, len(self.time_T) - 1)
        hard_T = sum((self.weight[n] * s.shock for n, s in self._steppings.items() if n in self.weight), np.zeros(len(self.time_T)))
        strength_S = hard_T[at] * gain_S * np.exp(6.0 * style.irregularity * rng.normal(size=steps_n))
        self.strikes = Strikes(knots_s, np.round(np.array(phases) * 2) % 2 == 0, strength_S)
        self._basis_TK = fourier_basis(self.phase_T % 1.0)

    def _posture(self, rng: np.random.Generator) -> None:
        """Sway, shifts of weight and fidgeting of a body that does not step; only pelvis, trunk and thighs."""
        quiet_T = 1.0 - self.stepping_T
        sway = smooth_noise(rng, self.time_T, 1.2, 6) * 0.25 * RAD + smooth_noise(rng, self.time_T, 7.0, 6) * 0.8 * RAD
        rare = smoothstep(np.abs(smooth_noise(rng, self.time_T, 3.0, 1)) - 1.6)  # now and then a fidget
        sway += rare * smooth_noise(rng, self.time_T, 0.5, 6) * 3.0 * RAD
        self._sway_TC = sway * quiet_T[:, None]

    def pose(self, channels: slice) -> Array:
        """Three channels of the pose in time: a segment's rotation vector (radians), or the pelvis offset (leg lengths)."""
        out = np.zeros((len(self.time_T), 3))
        moving = self._basis_TK * np.concatenate([np.ones((len(self.time_T), 1)), np.repeat(self._gain_T[:, None], TERMS - 1, 1)], axis=1)
        for name, step in self._steppings.items():
            if name in self.weight:
                out += (moving @ step.gait.coef_KC[:, channels]) * self.weight[name][:, None]
        if self.stepping_T.any():
            components_EKC = gait_model().components_EV[:, :-2].reshape(-1, TERMS, CHANNELS)[:, :, channels]
            waves_TE3 = np.tensordot(self._basis_TK, components_EKC, axes=(1, 1))
            out += np.einsum("te,teC->tC", self._scatter_TE * self.stepping_T[:, None], waves_TE3)
        out += self._still_pose_3(channels, seated=False) * (1.0 - self.stepping_T - self.seated_T)[:, None]
        out += self._still_pose_3(channels, seated=True) * self.seated_T[:, None]
        for i, segment in enumerate(("pelvis", "trunk", "thigh_l", "thigh_r")):
            if channels == channels_of(segment):
                out[:, :2] += self._sway_TC[:, [i, i + 1]]
        return out

    def _still_pose_3(self, channels: slice, *, seated: bool) -> Array:
        """Standing: all rotations zero, pelvis at leg height. Sitting: thighs forward, knees bent, hands towards the lap."""
        pose_C = np.zeros(CHANNELS)
        pose_C[PELVIS_OFFSET.start + 2] = 1.0 + self.body.ankle_height_m / self.body.leg_m
        if seated:
            pose_C[PELVIS_OFFSET.start + 2] -= self.body.thigh_m / self.body.leg_m
            for side in ("_l", "_r"):
                for segment, degrees in (("thigh", -82.0), ("calf", 80.0), ("upper_arm", -20.0), ("forearm", -60.0)):
                    pose_C[channels_of(segment + side).start + 1] = degrees * RAD
        return pose_C[channels]

    def _travel(self, script: Script, rng: np.random.Generator) -> None:
        """Heading and root: forward speed and climbing from the feet, turns from the script, roads from the vehicle."""
        stride_hz_T = np.gradient(self.phase_T, 1.0 / self.rate_hz)
        speed_T, climb_T = np.zeros(len(self.time_T)), np.zeros(len(self.time_T))
        for name, step in self._steppings.items():
            if name in self.weight:
                speed_T += self.weight[name] * step.gait.stride_m * self._gain_T * stride_hz_T
                climb_T += self.weight[name] * step.climb_m * stride_hz_T
        yaw_rate_T = WANDER_RAD_S * smooth_noise(rng, self.time_T, 4.0, 1)[:, 0] * self.stepping_T
        begin_s = 0.0
        for name, seconds in script:
            if name == "turn":
                angle = rng.choice([-1.0, 1.0]) * rng.choice([np.pi / 2, np.pi], p=[0.5, 0.5]) * rng.uniform(0.85, 1.15)
                x = np.clip((self.time_T - begin_s) / seconds, 0.0, 1.0)
                yaw_rate_T += angle / seconds * (1.0 - np.cos(2 * np.pi * x))
            begin_s += seconds
        shake_T3 = np.zeros((len(self.time_T), 3))
        if "vehicle" in self.weight:
            ride_T = self.weight["vehicle"]
            road_T = np.clip(8.0 + 6.0 * smooth_noise(rng, self.time_T, 9.0, 1)[:, 0], 0.0, None) * ride_T
            road_T = np.convolve(np.pad(road_T, int(self.rate_hz), "edge"), np.hanning(2 * int(self.rate_hz) + 1) / self.rate_hz, "valid")
            speed_T = speed_T + road_T
            yaw_rate_T += 0.12 * smooth_noise(rng, self.time_T, 5.0, 1)[:, 0] * np.minimum(road_T / 8.0, 1.0)
            # Body on its springs, seat and wheels, as displacement: amplitudes fall with the square of the frequency.
            for hz, width, rms_ms2 in ((1.6, 0.3, 0.25), (5.0, 1.2, 0.3), (11.0, 2.0, 0.25)):
                rms_m = rms_ms2 * rng.lognormal(0.0, 0.3) / (2 * np.pi * hz) ** 2
                shake_T3 += shaped_noise(rng, len(self.time_T), self.rate_hz, [(hz, width, rms_m)], 3) * [0.4, 0.5, 1.0]
            shake_T3 *= (0.15 + np.minimum(road_T / 10.0, 1.3))[:, None] * ride_T[:, None]
        self.yaw_T = np.cumsum(yaw_rate_T) / self.rate_hz
        path_T3 = np.stack([speed_T * np.cos(self.yaw_T), speed_T * np.sin(self.yaw_T), climb_T], axis=1).cumsum(0) / self.rate_hz
        self._heading_T33 = yaw_rotation(self.yaw_T)
        offset_T3 = self.pose(PELVIS_OFFSET) * self.body.leg_m
        self.root_T3 = path_T3 + rotate(self._heading_T33, offset_T3 + shake_T3)

    @cached_property
    def _pelvis(self) -> Array:
        return self._heading_T33 @ rotation_matrix(self.pose(channels_of("pelvis")))

    def frame(self, segment: str) -> tuple[Array, Array]:
        """World rotation (T, 3, 3) and joint position (T, 3) in metres of a segment."""
        if segment == "pelvis":
            return self._pelvis, self.root_T3
        parent_T33, joint_T3 = self.frame(PARENT[segment])
        position_T3 = joint_T3 + rotate(parent_T33, self.body.joint_3(segment))
        return parent_T33 @ rotation_matrix(self.pose(channels_of(segment))), position_T3
