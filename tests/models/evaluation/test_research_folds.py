"""Folds of the research set: nobody known is measured, everybody else once; and the section of the report is replaced, not repeated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from models.data.recordings import Recording
from models.evaluation import research_folds
from models.evaluation.research_folds import FOLDS, HEADING, Scored, folds_of, known_to_trunk
from models.evaluation.sections import sections, write_section
from models.evaluation.splits import RECOGNITION
from models.evaluation.suite import Suite


def recording(source: str, subject: str, placement: str) -> Recording:
    empty = np.zeros((0, 3), np.float32)
    return Recording(empty, empty, np.zeros(0, np.uint8), np.zeros(0, np.int8), 50.0, subject, "1", "1", placement, subject, source)


def test_everybody_unknown_is_measured_once_and_nobody_known() -> None:
    foot = [recording("ipol265_footL", f"ip{n:03d}", f"foot_l/{'XSens' if n % 4 else 'TCon'}") for n in range(40)]
    pocket = [recording("motionsense", f"ms{n:02d}", "pocket_front") for n in range(1, 19)]
    folds = folds_of([*foot, *pocket], {("motionsense", f"ms{n:02d}") for n in range(1, 13)})
    assert {person for source, person in folds if source == "motionsense"} == {f"ms{n}" for n in range(13, 19)}
    assert len({fold for (source, _), fold in folds.items() if source == "motionsense"}) == 1
    own = {person: fold for (source, person), fold in folds.items() if source == "ipol265_footL"}
    assert len(own) == 40
    rare = Counter(own[f"ip{n:03d}"] for n in range(0, 40, 4))  # few people wore the other sensor: they are spread over the folds
    assert len(rare) == FOLDS and max(rare.values()) - min(rare.values()) <= 1


def test_the_trunk_knows_whom_its_card_names() -> None:
    known = known_to_trunk()
    assert ("motionsense", "ms01") in known and ("motionsense", "ms12") in known  # trained on, held out
    assert not known & {("motionsense", f"ms{n}") for n in range(13, 19)}
    assert not {source for source, _ in known} & {"hapt", "ipol265_footL"}


def test_rate_of_identification_uses_the_threshold_of_each_gallery() -> None:
    """Two galleries at different levels of score: a common threshold would lose the lower one's people."""
    galleries: research_folds.Galleries = {}
    for name, level in (("1", 0.0), ("2", -0.5)):
        for column in (0, 1):
            rows = np.full((100, 2), 0.1 + level)
            rows[:, column] = 0.4 + level
            galleries.setdefault(name, {})[f"{name}{column}"] = {1: (rows, column)}
    scored = Scored({}, galleries, [])
    assert scored._tpir([(gallery, person) for gallery, own in galleries.items() for person in own], 1) == 1.0
    assert scored.enrolled() == "2"


def test_the_section_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    report = tmp_path / "REPORT.md"
    report.write_text(f"# Report\n\nfigures\n\n{HEADING}\n\nold\n\n## Networks\n\nlist\n")
    for _ in range(2):
        write_section(report, f"{HEADING}\n\nnew\n")
    assert sections(report.read_text())[HEADING] == f"{HEADING}\n\nnew"
    assert report.read_text() == f"# Report\n\nfigures\n\n{HEADING}\n\nnew\n\n## Networks\n\nlist\n"


def test_the_section_goes_to_the_end_of_a_report_without_one(tmp_path: Path) -> None:
    report = tmp_path / "REPORT.md"
    report.write_text("# Report\n\nfigures\n")
    assert HEADING not in sections(report.read_text())
    write_section(report, f"{HEADING}\n\nnew")
    assert report.read_text() == f"# Report\n\nfigures\n\n{HEADING}\n\nnew\n"


def test_a_set_whose_people_trained_the_network_is_no_row(data_dir: Path, tmp_path: Path) -> None:
    suite = Suite(data_dir, tmp_path)
    split = next(split for split in RECOGNITION if split.key == "motionsense")
    assert not suite.knows({"data": {"motionsense": {"trained_on": ["ms01"], "held_out": ["ms02"]}}}, split)
    assert suite.knows({"data": {"motionsense": {"trained_on": ["ms01"], "held_out": ["ms13"]}}}, split)
    assert not suite.knows({"data": {}}, split)
