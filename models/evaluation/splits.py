"""How the report divides each data set: who enrols with which recording, who probes with which other, and who is a stranger to the networks.

People MotionSense 13-18 and GeoTec 12-15 trained nothing that ships. HAPT, IPOL 265 and HuGaDB trained nothing at all. Nobody is ever
compared with a person of another set, since there the device gives the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.data.recordings import Recording, load_recordings
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
    """Recordings of one row of the report for extraction. file None: simulated."""

    key: str
    title: str
    file: str | None
    people: str | None
    where: str | None
    note: str

    def load(self, data_dir: Path) -> list[Recording]:
        """The recordings."""
        if self.file is None:
            seeds = range(SIMULATED_PEOPLE)
            day = simulate(seeds, sessions=1, duration_s=60.0, script="daily")
            return day + simulate(seeds, sessions=1, duration_s=20.0, script="vehicle")
        return load_recordings(data_dir / "imu" / f"{self.file}.npz", people=self.people, where=self.where)


SIMULATED_PEOPLE = 12
"""Seeds below those of training (models.data.simulated)."""


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
        "1-24",
        None,
        by_halves,
        6,
        "gravity is removed from these data, which no network was made for; healthy people and patients",
    ),
)

EXTRACTION: tuple[ExtractionSplit, ...] = (
    ExtractionSplit(
        "geotec", "GeoTec, pocket and wrist", "geotec_spsw", "12-15", None, "4 people no network saw; 10 s runs, every sample labelled"
    ),
    ExtractionSplit(
        "motionsense", "MotionSense", "motionsense", "13-18", "trial=9,11,12,13,14,15,16", "6 people no network saw; the shorter trials"
    ),
    ExtractionSplit("hapt", "HAPT, experiment 2", "hapt", None, "session=2,3", "device, placement and people no network saw"),
    ExtractionSplit(
        "hugadb",
        "HuGaDB, right thigh",
        "hugadb_thigh",
        None,
        "placement=thigh_r;trial=00,01",
        "sensor, placement and people no network saw",
    ),
    ExtractionSplit("ipol265", "IPOL 265, left foot", "ipol265_footL", "1-24", None, "foot, gravity removed: no network was made for it"),
    ExtractionSplit("simulation", "simulated walkers and rides", None, None, None, "seeds that trained nothing; holds a ride in a vehicle"),
)
