"""How the report divides each data set: who enrols with which recording, who probes with which other, and who is a stranger to the networks.

People MotionSense 13-18 and GeoTec 12-15 trained nothing that ships. HAPT, IPOL 265 and HuGaDB trained nothing of the
default weights; those of the research set are measured by folds (`models.evaluation.research_folds`). Nobody is ever compared with a person of
another set, since there the device gives the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.data.grid import UNTRUSTED_ENDS_S
from models.data.loading import load_recordings
from models.data.recordings import Recording
from models.data.simulated import simulate

Divide = Callable[[Sequence[Recording]], tuple[list[Recording], list[Recording]]]


@dataclass(frozen=True, slots=True)
class RecognitionSplit:
    """People and recordings of one row of the report for identification and verification.

    divide: (enrolment, probes) of the chosen recordings.  windows_per_recording: consecutive windows taken of each, None for all.
    """

    key: str
    title: str
    file: str
    people: str | None
    where: str | None
    divide: Divide
    windows_per_recording: int | None
    note: str

    def load(self, data_dir: Path) -> tuple[list[Recording], list[Recording]]:
        """(enrolment, probes)."""
        return self.divide(load_recordings(data_dir / "imu" / f"{self.file}.npz", people=self.people, where=self.where))


@dataclass(frozen=True, slots=True)
class ExtractionSplit:
    """Recordings of one row of the report for extraction.

    load: the recordings, from the folder of the data.  other_motion: where they hold no level walking and serve to show what else is taken
    for walking, the words for their activity 7.
    """

    key: str
    title: str
    load: Callable[[Path], list[Recording]]
    note: str
    other_motion: str | None = None
    own_only: bool = False


def of_file(
    file: str, people: str | None = None, where: str | None = None, change: Callable[[Recording], Recording | None] | None = None
) -> Callable[[Path], list[Recording]]:
    """Loads the chosen recordings; change: what each becomes, None to leave it out."""

    def load(data_dir: Path) -> list[Recording]:
        recordings = load_recordings(data_dir / "imu" / f"{file}.npz", people=people, where=where)
        return [new for recording in recordings if (new := change(recording) if change else recording) is not None]

    return load


def named(part: str) -> Callable[[Recording], Recording | None]:
    """Keeps recordings with this in their name."""
    return lambda recording: recording if part in recording.name else None


def handling(recording: Recording) -> Recording:
    """Only the moments in which the phone goes into the pocket and comes out again keep a label, as other motion."""
    begin, end = (int(seconds * recording.rate_hz) for seconds in UNTRUSTED_ENDS_S["motionsense"])
    act_N = np.full_like(recording.act_N, -1)
    act_N[:begin], act_N[len(act_N) - end :] = OTHER_MOTION, OTHER_MOTION
    return replace(recording, act_N=act_N)


def simulated(script: str, duration_s: float) -> Callable[[Path], list[Recording]]:
    """Simulated people, seeds below those of training (models.data.simulated)."""
    return lambda data_dir: simulate(range(SIMULATED_PEOPLE), sessions=1, duration_s=duration_s, script=script)


OTHER_MOTION = 7
"""Its code among the activities."""

SIMULATED_PEOPLE = 12


def by_session(enrol: Iterable[str], *, key: str = "session") -> Divide:
    """Recordings of the named sessions (or trials) enrol, the others probe."""
    names = {str(name) for name in enrol}

    def divide(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
        enrolment = [recording for recording in recordings if getattr(recording, key) in names]
        return enrolment, [recording for recording in recordings if getattr(recording, key) not in names]

    return divide


def by_halves(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """The first half of each person's recordings, in the order of the file, enrols, the rest probes."""
    enrolment, probes = [], []
    for person in sorted({recording.subject for recording in recordings}):
        own = [recording for recording in recordings if recording.subject == person]
        enrolment += own[: len(own) // 2]
        probes += own[len(own) // 2 :]
    return enrolment, probes


RECOGNITION: tuple[RecognitionSplit, ...] = (
    RecognitionSplit(
        "motionsense",
        "MotionSense, trial 7 → 8 and 15",
        "motionsense",
        "13-18",
        "trial=7,8,15",
        by_session(["7"]),
        48,
        "front trouser pocket, iPhone 6s; 6 people no network saw",
    ),
    RecognitionSplit(
        "hapt",
        "HAPT, experiment 1 → 2",
        "hapt",
        None,
        None,
        by_session(["1"]),
        None,
        "waist, Galaxy S II: people, device and placement no network saw; experiment 2 placed by the wearer",
    ),
    RecognitionSplit(
        "geotec-pocket",
        "GeoTec pocket, first → second half of the runs",
        "geotec_spsw",
        "12-15",
        "placement=pocket_front",
        by_halves,
        None,
        "runs of 10 s with 3 m of walking: most windows hold the edge of a walk",
    ),
    RecognitionSplit(
        "geotec-wrist",
        "GeoTec wrist, first → second half of the runs",
        "geotec_spsw",
        "12-15",
        "placement=wrist",
        by_halves,
        None,
        "as above",
    ),
    RecognitionSplit(
        "ipol265",
        "IPOL 265, left foot, first → second half of the runs",
        "ipol265_footL",
        "1-16",
        None,
        by_halves,
        6,
        "gravity is removed from these data, which no network was made for; healthy people and patients",
    ),
)

EXTRACTION: tuple[ExtractionSplit, ...] = (
    ExtractionSplit(
        "geotec",
        "GeoTec, pocket and wrist",
        of_file("geotec_spsw", "12-15"),
        "4 people no network saw; 10 s runs, every sample labelled; other motion is sitting down and standing up",
    ),
    ExtractionSplit(
        "motionsense",
        "MotionSense",
        of_file("motionsense", "13-18", "trial=9,11,12,13,14,15,16"),
        "6 people no network saw; the shorter trials",
    ),
    ExtractionSplit(
        "hapt",
        "HAPT, experiment 2, people 1-12",
        of_file("hapt", "1-12", "session=2,3"),
        "device, placement and people no network saw; other motion is lying down, sitting down and getting up",
    ),
    ExtractionSplit("hapt-all", "HAPT, all people and experiments", of_file("hapt"), "as above", own_only=True),
    ExtractionSplit(
        "hugadb",
        "HuGaDB, right thigh",
        of_file("hugadb_thigh", None, "placement=thigh_r;trial=00"),
        "sensor, placement and people no network saw; other motion is mostly bicycling",
    ),
    ExtractionSplit("ipol265", "IPOL 265, left foot", of_file("ipol265_footL", "1-6"), "foot, gravity removed: no network was made for it"),
    ExtractionSplit("simulation", "simulated walkers", simulated("daily", 60.0), "seeds that trained nothing"),
    ExtractionSplit(
        "ride",
        "simulated ride",
        simulated("vehicle", 20.0),
        "a vehicle drives, turns and brakes; of a real car HuGaDB has 8 s, too short to decide",
        "driving",
    ),
    ExtractionSplit(
        "bicycle",
        "HuGaDB, bicycling",
        of_file("hugadb_thigh", None, "placement=thigh_r;trial=00", named("bicycling")),
        "right thigh",
        "bicycling",
    ),
    ExtractionSplit(
        "handling",
        "MotionSense, phone handling",
        of_file("motionsense", "13-18", "trial=5,6,13,14", handling),
        "the phone goes into the pocket or comes out: first 3 s and last 2 s of sitting and standing trials",
        "phone handling",
    ),
)
