"""What each heel strike and the flesh around the phone do to it, beyond the rigid motion of the segment.

A strike excites two damped modes, a stiff one of the leg with the device and a slow one of the flesh, from the near foot, weaker from the
far one, and once more when the near foot leaves the ground; a person's response is a complex weight per channel (amplitude and phase).
On top, the thigh twists under the skin and in the trousers, locked to the stride.

Legend: T time, S events (see ``EVENTS``), M modes (stiff, slow), C channels (acceleration xyz in m/s², angular rate xyz in rad/s, segment
axes), K Fourier terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

PULSE_S = 0.018  # heel pad and shoe: the blow itself is not sharper than this
TWIST_HARMONICS = 6
EVENTS = ("near strike", "far strike", "near toe-off")
TOE_OFF_STEPS = 1.22  # after its own strike, in steps: stance is 61 % of a stride

# Standard deviations between people of the complex weights (M, C): chosen so that spread and spectrum of simulated walks meet MotionSense
# (`python -m models.simulation.compare`).
BONE_SD_C = np.array([12.5, 12.5, 12.5, 3.8, 3.8, 3.8])
FLESH_SD_C = np.array([4.2, 4.2, 4.2, 1.9, 1.9, 2.8])
TWIST_RATE_SD_3 = np.array([0.2, 0.2, 0.6])  # rad/s at the first harmonic; the thigh turns most about its own axis


@dataclass(frozen=True)
class Contact:
    """A person's response: ``weights_SMC`` per unit strike, mode frequencies and decays, ``twist_K3`` angular-rate coefficients (cos and
    sin terms of ``TWIST_HARMONICS`` harmonics of the stride)."""

    weights_SMC: ComplexArray
    hz_M: Array
    decay_s_M: Array
    twist_K3: Array


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2.0)


def _random_part(rng: np.random.Generator, size: float) -> tuple[ComplexArray, Array]:
    weights = _complex(rng, (len(EVENTS), 2, 6)) * np.stack([BONE_SD_C, FLESH_SD_C]) * size
    harmonic = np.repeat(np.arange(1, TWIST_HARMONICS + 1), 2)[:, None]
    return weights, rng.normal(size=(2 * TWIST_HARMONICS, 3)) * TWIST_RATE_SD_3 / np.sqrt(harmonic) * size


def sample_contact(rng: np.random.Generator) -> Contact:
    """A random person: a blow along the leg, with random direction, timing and twist."""
    weights_SMC, twist_K3 = _random_part(rng, 1.0)
    blow = float(rng.lognormal(np.log(36.0), 0.2))
    weights_SMC[0, 0, :3] += -1j * blow * (np.array([0.0, 0.0, 1.0]) + rng.normal(0.0, 0.3, size=3))
    weights_SMC[1] *= rng.uniform(0.25, 0.5)
    return Contact(
        weights_SMC,
        np.array([rng.uniform(9.5, 13.0), rng.uniform(4.0, 6.5)]),
        np.array([rng.lognormal(np.log(0.05), 0.12), rng.lognormal(np.log(0.08), 0.2)]),
        twist_K3,
    )


def in_session(contact: Contact, rng: np.random.Generator, drift: float) -> Contact:
    """The same person in other clothes and shoes; ``drift`` relative to the differences between people."""
    weights_SMC, twist_K3 = _random_part(rng, drift)
    weights_SMC[1] *= 0.4
    strength = float(np.exp(rng.normal(0.0, 0.12)))
    return Contact(
        contact.weights_SMC * strength + weights_SMC,
        contact.hz_M * np.exp(rng.normal(0.0, 0.05, size=2)),
        contact.decay_s_M * np.exp(rng.normal(0.0, 0.08, size=2)),
        contact.twist_K3 + twist_K3,
    )


def respond(contact: Contact, time_s_S: Array, near_S: npt.NDArray[np.bool_], strength_S: Array, samples: int, rate_hz: float) -> Array:
    """Acceleration and angular rate (T, 6) that strikes add. ``time_s_S``, ``near_S``, ``strength_S``: here S counts the heel strikes."""
    out = np.zeros((samples, 6))
    pulse = np.hanning(max(int(PULSE_S * rate_hz), 3) + 2)[1:-1]
    pulse /= pulse.sum()
    step_s_S = np.gradient(time_s_S)
    events = ((near_S, time_s_S), (~near_S, time_s_S), (near_S, time_s_S + TOE_OFF_STEPS * step_s_S))
    for side, (feet, when_s_S) in enumerate(events):
        at = when_s_S * rate_hz
        floor = np.floor(at).astype(int)
        impulses = np.zeros(samples)
        for shift, share in ((0, 1.0 - (at - floor)), (1, at - floor)):  # between two samples
            ok = feet & (floor + shift >= 0) & (floor + shift < samples)
            np.add.at(impulses, floor[ok] + shift, (strength_S * share)[ok])
        blow = np.convolve(impulses, pulse)[:samples]
        for mode in range(2):
            pole = np.exp((2j * np.pi * contact.hz_M[mode] - 1.0 / contact.decay_s_M[mode]) / rate_hz)
            ring = lfilter([1.0], [1.0, -pole], blow)
            out += (ring[:, None] * contact.weights_SMC[side, mode]).real
    return out


def twist_angle(contact: Contact, phase_T: Array, stride_s: float) -> Array:
    """Rotation vector (T, 3), radians, of the phone against its segment, locked to the stride."""
    k = np.arange(1, TWIST_HARMONICS + 1)
    angle = 2 * np.pi * phase_T[:, None] * k
    per_rate = stride_s / (2 * np.pi * k)  # angle of a unit angular rate
    return np.concatenate([np.sin(angle) * per_rate, -np.cos(angle) * per_rate], axis=1) @ np.concatenate(
        [contact.twist_K3[::2], contact.twist_K3[1::2]]
    )
