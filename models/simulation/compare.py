"""Simulated against real level walking: how far the simulation is from people with a phone in the front trouser pocket (MotionSense).

    python -m models.simulation.compare [--data ../shared/data] [--people 36]

Prints percentiles over people, the agreed tolerance of each median and whether it is kept. The real recordings are only read.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.simulation.features import NAMES, record_features
from models.simulation.walker import Walker

Array = npt.NDArray[np.float64]

LEVEL_WALKING_TRIALS = ("7", "8", "15")
SETTLING_S = 3.0  # the phone goes into the pocket
ENDING_S = 2.0

TOLERANCES = {
    # Half of the real range between the 5th and the 95th percentile of people, unless a comment says otherwise: a median within it is the
    # median of a plausible other group of 18 people. Wider ones are known shortcomings, kept visible.
    "step_hz": 0.12,
    "acc_mean_ms2": 1.1,
    "acc_sd_ms2": 1.4,
    "acc_p99_ms2": 9.0,
    "gyro_mean_rad_s": 0.6,
    "gyro_sd_rad_s": 0.45,
    "acc_0_3hz": 0.15,
    "acc_3_8hz": 0.10,  # real .19-.35: the second and fourth harmonic of the simulated pelvis are a little strong
    "acc_8_25hz": 0.12,
    "gyro_8_25hz": 0.07,
    "step_autocorrelation": 0.19,
    "stride_autocorrelation": 0.08,
    "acc_kurtosis": 3.2,
    "vertical_sd_ms2": 1.6,
    "horizontal_mean_ms2": 1.5,
    "gyro_axis_ratio": 0.15,
}


def data_folder() -> Path:
    """Where the recordings lie: ``GAITSTREAM_DATA`` or ``../shared/data`` beside the repository."""
    return Path(os.environ.get("GAITSTREAM_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def real_people(motionsense: Path) -> dict[str, Array]:
    """Median features of every level walk, (walks, len(NAMES)) per person."""
    with np.load(motionsense, allow_pickle=False) as z:
        acc, gyro, off, fs = z["acc"], z["gyro"], z["off"], float(z["fs"])
        out: dict[str, list[Array]] = {}
        for i, (subject, trial) in enumerate(zip(z["subject"], z["trial"], strict=True)):
            a, b = off[i] + round(SETTLING_S * fs), off[i + 1] - round(ENDING_S * fs)
            if trial in LEVEL_WALKING_TRIALS and b - a > 11 * fs:
                out.setdefault(str(subject), []).append(np.median(record_features(acc[a:b], gyro[a:b], fs), axis=0))
    return {who: np.array(walks) for who, walks in out.items()}


def simulated_people(people: int, first_seed: int = 0, sessions: int = 2, duration_s: float = 45.0) -> dict[str, Array]:
    """The same for simulated walkers: one walk per session."""
    out = {}
    for seed in range(first_seed, first_seed + people):
        recordings = [Walker(seed).record(duration_s=duration_s, session=s) for s in range(sessions)]
        out[str(seed)] = np.array([np.median(record_features(r.acc_N3, r.gyro_N3, r.rate_hz), axis=0) for r in recordings])
    return out


def other_activities(motionsense: Path, people: int = 20) -> dict[str, tuple[Array, Array]]:
    """Median features (len(NAMES),) of real and of simulated windows for what is not level walking (no tolerance is claimed here)."""
    scripts = {"still": 0, "stairs_up": 2, "stairs_down": 3, "run": 5}
    out = {}
    with np.load(motionsense, allow_pickle=False) as z:
        acc, gyro, act, off, fs = z["acc"], z["gyro"], z["act"], z["off"], float(z["fs"])
        for name, code in scripts.items():
            real = []
            for a, b in zip(off[:-1] + round(SETTLING_S * fs), off[1:] - round(ENDING_S * fs), strict=True):
                if b - a > 11 * fs and (act[a:b] == code).all():
                    real.append(np.median(record_features(acc[a:b], gyro[a:b], fs), axis=0))
            script = [("sit", 20.0)] if name == "still" else [(name, 20.0)]
            recordings = [Walker(seed).record(duration_s=20, script=script) for seed in range(people)]
            simulated = [np.median(record_features(r.acc_N3, r.gyro_N3, r.rate_hz), axis=0) for r in recordings]
            out[name] = np.median(real, axis=0), np.median(simulated, axis=0)
    return out


def over_people(people: dict[str, Array]) -> tuple[Array, Array]:
    """Percentiles 5, 50, 95 over people (3, F) of their mean features, and the mean standard deviation within a person (F,)."""
    means = np.array([walks.mean(0) for walks in people.values()])
    return np.percentile(means, [5, 50, 95], axis=0), np.mean([walks.std(0) for walks in people.values()], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder that holds imu/motionsense.npz")
    parser.add_argument("--people", type=int, default=36, help="simulated walkers")
    parser.add_argument("--first-seed", type=int, default=0)
    args = parser.parse_args()
    real, simulated = real_people(args.data / "imu" / "motionsense.npz"), simulated_people(args.people, args.first_seed)
    (real_P, real_within), (simulated_P, simulated_within) = over_people(real), over_people(simulated)
    print(
        f"level walking, phone in the front pocket: {len(real)} real people, {len(simulated)} simulated; 5/50/95 % of people, sd within one"
    )
    print(f"{'':24}{'real':>26}{'within':>9}{'simulated':>29}{'within':>9}{'median off by':>15}{'allowed':>9}")
    for i, name in enumerate(NAMES):
        off = simulated_P[1, i] - real_P[1, i]
        row = [
            f"{p[0, i]:9.3f}{p[1, i]:9.3f}{p[2, i]:9.3f}{w[i]:9.3f}" for p, w in ((real_P, real_within), (simulated_P, simulated_within))
        ]
        print(f"{name:24}{row[0]}  {row[1]}{off:15.3f}{TOLERANCES[name]:9.3f}  {'ok' if abs(off) <= TOLERANCES[name] else 'OUT'}")
    shown = ("acc_mean_ms2", "acc_sd_ms2", "acc_p99_ms2", "gyro_mean_rad_s", "acc_8_25hz", "step_autocorrelation")
    print(f"\n{'medians, real / simulated':24}" + "".join(f"{name:>22}" for name in shown))
    for activity, (real_F, simulated_F) in other_activities(args.data / "imu" / "motionsense.npz").items():
        print(f"{activity:24}" + "".join(f"{real_F[NAMES.index(n)]:13.2f} /{simulated_F[NAMES.index(n)]:7.2f}" for n in shown))


if __name__ == "__main__":
    main()
