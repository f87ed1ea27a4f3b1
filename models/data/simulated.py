"""Simulated walkers as recordings, for training.

Seeds from 10,000 on are for training; the demo and the tests use the ones below, so what they meet was never trained on.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.data.recordings import Recording
from models.simulation.walker import Walker

FIRST_TRAINING_SEED = 10_000

SOURCE = "simulation"


def simulate(
    seeds: Iterable[int], *, sessions: int, duration_s: float, placement: str = "pocket_front", script: str = "walk"
) -> list[Recording]:
    """`sessions` recordings of each walker, another day (clothes, device, mounting, small changes of gait) each; subject is simSEED."""
    recordings = []
    for seed in seeds:
        walker = Walker(seed)
        for session in range(sessions):
            made = walker.record(duration_s=duration_s, session=session, placement=placement, script=script)
            recordings.append(
                Recording(
                    acc_N3=made.acc_N3,
                    gyro_N3=made.gyro_N3,
                    walk_N=made.walk_N,
                    act_N=made.act_N,
                    rate_hz=made.rate_hz,
                    subject=f"sim{seed:05d}",
                    session=str(session),
                    trial=script,
                    placement=made.placement,
                    name=f"sim{seed:05d}_{session}_{script}",
                    source=SOURCE,
                )
            )
    return recordings
