"""How one person moves: everything that identifies a walker besides the body, and how it drifts from session to session."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.simulation import contact
from models.simulation.body import Body
from models.simulation.contact import Contact, sample_contact
from models.simulation.gait import PELVIS_OFFSET, Gait, channels_of, gait_from_vector, gait_model, grounded

Array = npt.NDArray[np.float64]

SPREAD = 0.7  # of the scatter between CMU's people: they were asked for "a walk", and some acted one
SESSION_DRIFT = 0.6  # of the scatter between walks of one person in the laboratory
CADENCE_SD = 0.035  # on top of tempo in the components; MotionSense: step rates of people differ by 4 %
CADENCE_SHIFT = 0.05  # and outdoors they are as quick as MotionSense's people
SESSION_CADENCE_SD = 0.012  # assumed as well
BOUNCE = 2.0  # the mean of many gaits is flatter than any of them, and the grounding is soft
CONTACT_DRIFT = 0.3  # of the scatter between people; assumed, no data set has a second day
RAD = np.pi / 180.0


@dataclass(frozen=True)
class Style:
    """A person's manner.

    ``gait_V``: the gait vector; ``cadence``: tempo relative to it; ``asymmetry``: share by which left steps last longer than right ones;
    ``irregularity``: standard deviation of the logarithm of step times; ``bounce``: gain of the pelvis' rise and fall; ``contact``: what a
    heel strike does to a phone; ``right_handed``: the side of the phone.
    """

    gait_V: Array
    cadence: float
    asymmetry: float
    irregularity: float
    bounce: float
    contact: Contact
    right_handed: bool


def sample_style(rng: np.random.Generator) -> Style:
    """A random person."""
    model = gait_model()
    z_E = np.clip(rng.normal(size=len(model.between_E)), -2.0, 2.0) * SPREAD
    return Style(
        gait_V=model.mean_V + (z_E * model.between_E) @ model.components_EV,
        cadence=float(np.exp(rng.normal(CADENCE_SHIFT, CADENCE_SD))),
        asymmetry=float(rng.normal(0.0, 0.015)),
        irregularity=float(rng.lognormal(np.log(0.022), 0.25)),
        bounce=float(rng.lognormal(np.log(BOUNCE), 0.15)),
        contact=sample_contact(rng),
        right_handed=bool(rng.random() < 0.8),
    )


def in_session(style: Style, rng: np.random.Generator) -> Style:
    """The same person on another day: other shoes and clothes, a small drift of the gait."""
    model = gait_model()
    drift_E = np.clip(rng.normal(size=len(model.within_E)), -2.0, 2.0) * model.within_E * SESSION_DRIFT
    return replace(
        style,
        gait_V=style.gait_V + drift_E @ model.components_EV,
        cadence=style.cadence * float(np.exp(rng.normal(0.0, SESSION_CADENCE_SD))),
        irregularity=style.irregularity * float(np.exp(rng.normal(0.0, 0.1))),
        contact=contact.in_session(style.contact, rng, CONTACT_DRIFT),
    )


@dataclass(frozen=True)
class Stepping:
    """A gait as one activity uses it: ``climb_m`` per stride, ``shock`` relative to level walking, the rest as in Gait."""

    gait: Gait
    climb_m: float
    shock: float


def stepping(style: Style, body: Body) -> dict[str, Stepping]:
    """Walking and, derived from it, turning, stairs and running of a person (stairs-like and run-like: plausible, not captured)."""
    gait = gait_from_vector(style.gait_V, body)
    coef_KC = gait.coef_KC.copy()
    coef_KC[1:, PELVIS_OFFSET.start + 2] *= style.bounce
    walk = Gait(coef_KC, gait.stride_s / style.cadence, gait.stride_m)
    out = {"walk": Stepping(walk, 0.0, 1.0)}
    out["turn"] = Stepping(Gait(_scaled(coef_KC, 0.65), walk.stride_s * 1.02, walk.stride_m * 0.5), 0.0, 0.5)
    # Up: the hip and the knee lift; the body rises in the pull of each step (second harmonic). Down: flatter swing, harder contact.
    up = _lifted(_scaled(coef_KC, 0.8), hip=-24 * RAD, knee=26 * RAD, swing=14 * RAD, heave=0.012)
    down = _lifted(_scaled(coef_KC, 0.62), hip=-10 * RAD, knee=24 * RAD, swing=8 * RAD, heave=0.014)
    up, down = _on_the_ground(up, body), _on_the_ground(down, body)
    out["stairs_up"] = Stepping(Gait(up, walk.stride_s * 1.08, 0.56), 0.34, 0.5)
    out["stairs_down"] = Stepping(Gait(down, walk.stride_s * 0.97, 0.56), -0.34, 0.75)
    run = _lifted(_scaled(coef_KC, 1.0), hip=-10 * RAD, knee=32 * RAD, swing=20 * RAD, heave=0.022)
    run[0, channels_of("trunk").start + 1] += 6 * RAD
    for side in ("_l", "_r"):
        run[0, channels_of("forearm" + side).start + 1] -= 55 * RAD
    run = _on_the_ground(run, body)
    out["run"] = Stepping(Gait(run, walk.stride_s * 0.70, walk.stride_m * 1.45), 0.0, 1.25)
    return out


def _on_the_ground(coef_KC: Array, body: Body) -> Array:
    """The mean height of the pelvis that puts the standing foot on the ground; its rise and fall stay as they are."""
    out = coef_KC.copy()
    out[0, PELVIS_OFFSET.start + 2] = grounded(Gait(coef_KC, 1.0, 1.0), body).coef_KC[0, PELVIS_OFFSET.start + 2]
    return out


def _scaled(coef_KC: Array, gain: float) -> Array:
    out = coef_KC.copy()
    out[1:] *= gain
    return out


def _lifted(coef_KC: Array, *, hip: float, knee: float, swing: float, heave: float) -> Array:
    """Flex hips and knees by a constant and once per stride in each leg's swing (centred on phase .75 of the left leg); let the pelvis
    heave."""
    out = coef_KC.copy()
    for side, centre in (("_l", 0.75), ("_r", 0.25)):
        for segment, constant, gain in (("thigh", hip, -0.8), ("calf", knee, 1.0)):
            c = channels_of(segment + side).start + 1
            out[0, c] += constant / 2.0
            out[1, c] += gain * swing * np.cos(2 * np.pi * centre)
            out[2, c] += gain * swing * np.sin(2 * np.pi * centre)
    out[3, PELVIS_OFFSET.start + 2] -= heave  # lowest at the two heel strikes, highest between
    return out
