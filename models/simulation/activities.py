"""Activities a walker can do, their labels, and scripts: who does what for how long.

Label codes are those of the recordings: ``walk`` 1 level walking, 0 not gait, 2 other gait; ``act`` 0 still, 1 walk, 2 up, 3 down, 5 run,
6 turn, 7 other motion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Activity:
    """Label codes, whether the legs step, whether the body sits, and how long changing into it takes (the larger of two neighbours
    rules)."""

    act: int
    walk: int
    steps: bool = False
    sits: bool = False
    blend_s: float = 0.8


ACTIVITIES = {
    "stand": Activity(act=0, walk=0),
    "sit": Activity(act=0, walk=0, sits=True, blend_s=1.6),
    "table": Activity(act=0, walk=0),  # the phone lies somewhere, whatever its owner does
    "walk": Activity(act=1, walk=1, steps=True),
    "turn": Activity(act=6, walk=2, steps=True, blend_s=0.5),
    "stairs_up": Activity(act=2, walk=2, steps=True),
    "stairs_down": Activity(act=3, walk=2, steps=True),
    "run": Activity(act=5, walk=2, steps=True),
    "vehicle": Activity(act=7, walk=0, sits=True, blend_s=1.6),
    "handle": Activity(act=7, walk=0),
}

Script = list[tuple[str, float]]


def _daily(rng: np.random.Generator, duration_s: float) -> Script:
    """Bouts of walking between everything else, until the time is filled."""
    others: list[Callable[[], Script]] = [
        lambda: [("stand", rng.uniform(3, 12))],
        lambda: [("stand", rng.uniform(1, 3)), ("handle", rng.uniform(3, 9)), ("stand", rng.uniform(1, 3))],
        lambda: [("turn", rng.uniform(1.2, 2.6))],
        lambda: [("turn", rng.uniform(1.2, 2.6))],
        lambda: [("stairs_up", rng.uniform(6, 16))],
        lambda: [("stairs_down", rng.uniform(6, 16))],
        lambda: [("stand", rng.uniform(1, 3)), ("sit", rng.uniform(6, 20)), ("stand", rng.uniform(1, 3))],
        lambda: [("run", rng.uniform(4, 10))],
    ]
    chance = np.array([4, 2, 3, 3, 1.5, 1.5, 2.5, 0.7])
    script: Script = [("stand", rng.uniform(1, 5))]
    while sum(s for _, s in script) < duration_s:
        script.append(("walk", float(np.clip(rng.lognormal(np.log(14), 0.6), 4, 60))))
        script += others[rng.choice(len(others), p=chance / chance.sum())]()
    return script


def _stairs(rng: np.random.Generator, duration_s: float) -> Script:
    script: Script = []
    while sum(s for _, s in script) < duration_s:
        script += [
            ("stairs_up", rng.uniform(8, 16)),
            ("turn", rng.uniform(1.2, 2)),
            ("stairs_down", rng.uniform(8, 16)),
            ("turn", rng.uniform(1.2, 2)),
        ]
    return script


def _still(rng: np.random.Generator, duration_s: float) -> Script:
    return [("table" if rng.random() < 0.5 else "sit", duration_s)]


SCRIPTS: dict[str, Callable[[np.random.Generator, float], Script]] = {
    "walk": lambda _, duration_s: [("walk", duration_s)],
    "run": lambda _, duration_s: [("run", duration_s)],
    "vehicle": lambda _, duration_s: [("vehicle", duration_s)],
    "stairs": _stairs,
    "still": _still,
    "daily": _daily,
}


def expand(script: str | Sequence[tuple[str, float]], duration_s: float, rng: np.random.Generator) -> Script:
    """A script of exactly ``duration_s``: a named one, or a list of (activity, seconds) that is repeated until the time is filled.

    Raises ValueError for an unknown name, a time that is not positive, or a "table" mixed with activities of a body.
    """
    if not duration_s > 0:
        raise ValueError(f"duration_s must be positive, got {duration_s}")
    if isinstance(script, str):
        if script not in SCRIPTS:
            raise ValueError(f"unknown script {script!r}; scripts: {', '.join(SCRIPTS)}")
        parts = SCRIPTS[script](rng, duration_s)
    else:
        parts = [(str(name), float(seconds)) for name, seconds in script]
        for name, seconds in parts:
            if name not in ACTIVITIES:
                raise ValueError(f"unknown activity {name!r}; activities: {', '.join(ACTIVITIES)}")
            if not seconds > 0:
                raise ValueError(f"{name!r} must last a positive time, got {seconds} s")
        if not parts:
            raise ValueError("a script needs at least one activity")
    if len({name == "table" for name, _ in parts}) > 1:
        raise ValueError("'table' means a phone off the body: it cannot be mixed with other activities")
    out: Script = []
    left = duration_s
    while left > 1e-9:
        for name, seconds in parts:
            if left <= 1e-9:
                break
            out.append((name, min(seconds, left)))
            left -= seconds
    return out
