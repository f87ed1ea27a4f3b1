"""Pictures, pages and the table of everything are written from evaluations that were really made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.catalogue import NETWORKS
from models.data.recordings import CONDITIONS, Recording
from models.data.simulated import simulate
from models.evaluation import suite as suites
from models.evaluation.adaptation import evaluate_adaptation
from models.evaluation.figures import write_figures
from models.evaluation.full_report import write_report
from models.evaluation.labelled import embed_windows, labelled_windows, recognise
from models.evaluation.markdown import evaluation_report, percent, table
from models.evaluation.report import Figure
from models.evaluation.small_sites import evaluate_small_sites
from models.evaluation.splits import RECOGNITION, by_halves, by_session
from models.evaluation.strangers import evaluate_strangers, widened
from models.evaluation.suite import Suite, order_of_training
from models.registry import load_embedder
from tests.models.evaluation.test_labelled import features

PNG = b"\x89PNG\r\n\x1a\n"


def walk(person: int, trial: str, seconds: float = 9.0) -> Recording:
    """A simulated walk under the names of MotionSense."""
    (made,) = simulate([100 + person], sessions=1, duration_s=seconds)
    return replace(made, subject=f"ms{person:02d}", trial=trial, session=trial, source="motionsense")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of 18 simulated people under the names of MotionSense, so that its choices of people and trials apply."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "imu").mkdir()
    recordings = [walk(person, trial) for person in range(1, 19) for trial in ("7", "8", "15")]
    columns = {key: np.array([getattr(recording, key) for recording in recordings]) for key in CONDITIONS}
    arrays = {"acc": "acc_N3", "gyro": "gyro_N3", "walk": "walk_N", "act": "act_N"}
    samples = {name: np.concatenate([getattr(recording, key) for recording in recordings]) for name, key in arrays.items()}
    offsets = np.cumsum([0, *(len(recording.acc_N3) for recording in recordings)])
    np.savez(folder / "imu" / "motionsense.npz", off=offsets, fs=np.float64(50.0), **columns, **samples)
    return folder


def test_the_suite_trains_caches_and_reports(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "RECOGNITION", RECOGNITION[:1])
    said: list[str] = []
    names = ["whugait-fourier", "whugait-pair-fourier-horizontal"]
    rows = Suite(data_dir, tmp_path / "cache", said.append).rows(names)
    assert [row["network"] for row in rows] == names
    assert rows[0]["space"].startswith("whugait-fourier@")
    assert rows[0]["identification"]["counts"]["enrolled"] == 6  # people 13-18
    said.clear()
    again = Suite(data_dir, tmp_path / "cache", said.append).rows(names)
    assert json.dumps(again) == json.dumps(rows)  # all of it from the cache (as text: NaN is not equal to itself)
    assert said == []
    (tmp_path / "REPORT.md").write_text("# Evaluation\n\noutdated\n\n## Networks\n\noutdated\n\n## Cameras\n\n### By hand\n\nfigures\n")
    write_report(rows, {}, {}, {}, tmp_path / "REPORT.md", "gaitstream evaluate --all")
    page = (tmp_path / "REPORT.md").read_text()
    assert page.endswith("## Cameras\n\n### By hand\n\nfigures\n")  # sections of other commands stay
    assert "outdated" not in page
    assert "`gaitstream evaluate --all`" in page
    assert page.count("| whugait-fourier |") == 1
    assert (tmp_path / "figures" / "det-motionsense.png").read_bytes().startswith(PNG)


def test_pictures_and_page_of_one_evaluation(tmp_path: Path) -> None:
    walks = simulate(range(60, 64), sessions=2, duration_s=16)
    both = recognise(features, labelled_windows(walks[::2]), labelled_windows(walks[1::2]), {"embedder": "features@0"})
    for evaluation, name in zip(both, ("confusion.png", "det.png"), strict=True):
        pictures = write_figures(evaluation, tmp_path / evaluation.task, "simulated walkers")
        assert [picture.name for picture in pictures] == [name]
        assert pictures[0].read_bytes().startswith(PNG)
        page = evaluation_report(evaluation, "simulated walkers", "gaitstream evaluate", pictures)
        assert f"]({name})" in page
        assert "features@0" in page


def test_strangers_and_named_people_are_counted(tmp_path: Path) -> None:
    embedder = load_embedder()
    walks = simulate(range(60, 66), sessions=2, duration_s=26)
    embedded = embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(walks))
    for basis in ("shipped", "site"):
        outcome = evaluate_strangers(embedder, embedded[::2], embedded[1::2], basis=basis)
        assert outcome.counts["people"] == 6
        assert outcome.counts["probes_4"] == sum(len(item.vector_WD) // 4 for item in embedded[1::2])
        assert 0 <= outcome.figures["fpir_4"].value <= 1
        assert outcome.figures["fpir_4"].high > outcome.figures["fpir_4"].value or outcome.figures["fpir_4"].value == 1
    with pytest.raises(ValueError, match="too few"):
        evaluate_strangers(embedder, embedded[::2], embedded[1::2], basis="space")
    everyone = evaluate_strangers(embedder, embedded[::2], embedded[1::2], target_fpir=0.9)
    nobody = evaluate_strangers(embedder, embedded[::2], embedded[1::2], target_fpir=1e-9)
    assert everyone.figures["fpir_4"].value >= nobody.figures["fpir_4"].value
    assert everyone.figures["tpir_4"].value >= nobody.figures["tpir_4"].value


def test_small_sites_meet_everybody_who_is_not_theirs() -> None:
    embedder = load_embedder()
    walks = simulate(range(60, 70), sessions=3, duration_s=20)
    embedded = embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(walks))
    days = [embedded[day::3] for day in range(3)]
    outcome = evaluate_small_sites(embedder, [*days[0], *days[1]], days[2], 8, draws=3)
    probes = [len(item.vector_WD) // 4 for item in days[2]]
    assert outcome.counts["people"] == 8
    assert 3 * 2 * min(probes) <= outcome.counts["probes_4"] <= 3 * 2 * max(probes)  # two strangers to each site
    assert 0 <= outcome.figures["fpir_4"].value <= outcome.figures["fpir_4"].high
    assert outcome.figures["tpir_4"].value > 0
    assert "tpir_4" not in evaluate_small_sites(embedder, embedded, days[2], 8, draws=1).figures, "whose probes taught are not counted"
    with pytest.raises(ValueError, match="no stranger to a site of 10"):
        evaluate_small_sites(embedder, days[0], days[2], 10)


def test_adaptation_is_measured_on_people_who_did_not_teach_it() -> None:
    embedder = load_embedder()
    walks = simulate(range(300, 320), sessions=2, duration_s=16)
    embedded = embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(walks))
    plain, moved = (evaluate_adaptation(embedder, embedded[::2], embedded[1::2], adapted=adapted) for adapted in (False, True))
    assert plain.counts == moved.counts
    assert plain.counts["impostor_1"] == 9 * plain.counts["genuine_1"]  # ten people in a half
    assert plain.figures["eer_1"].value != moved.figures["eer_1"].value
    with pytest.raises(ValueError, match="too few"):
        evaluate_adaptation(embedder, embedded[:8:2], embedded[1:8:2], adapted=True)


@pytest.mark.parametrize(
    ("hits", "probes", "low", "high"),
    [
        (0, 100, 0.0, 0.0362),  # no hit in a hundred is not a rate of 0
        (1, 100, 0.000253, 0.0545),
        (100, 100, 0.9638, 1.0),
    ],
)
def test_intervals_are_never_narrower_than_the_binomial_one(hits: int, probes: int, low: float, high: float) -> None:
    rate = hits / probes
    wide = widened(Figure(rate, rate, rate), hits, probes)
    assert (wide.low, wide.high) == (pytest.approx(low, rel=0.01, abs=1e-6), pytest.approx(high, rel=0.01))
    assert widened(Figure(0.5, 0.1, 0.9), 50, 100) == Figure(0.5, 0.1, 0.9)  # the bootstrap is wider


def test_divisions_share_no_recording() -> None:
    recordings = [walk(person, trial, 1.0) for person in (1, 2) for trial in ("7", "8", "15")]
    for divide in (by_session(["7"]), by_halves):
        enrol, probe = divide(recordings)
        assert len(enrol) + len(probe) == 6
        assert not {id(item) for item in enrol} & {id(item) for item in probe}
        assert {item.subject for item in enrol} == {item.subject for item in probe} == {"ms01", "ms02"}


def test_slow_networks_are_trained_last() -> None:
    names = [entry.name for entry in order_of_training(list(NETWORKS.values()))]
    assert set(names) == set(NETWORKS)
    assert names.index("whugait-sl-lstm-mag") < names.index("whugait-cnn-lstm") < names.index("whugait-unet")
    assert names.index("whugait-dl-lstm-1024") > names.index("whugait-dl-lstm")


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (None, "–"),
        ({"value": float("nan"), "low": None, "high": None}, "–"),  # nothing to measure
        ({"value": 0.1234, "low": None, "high": None}, "12.3"),  # one person: no interval
        ({"value": 0.5, "low": 0.25, "high": 0.75}, "50.0 (25–75)"),
    ],
)
def test_percent(figure: dict[str, float] | None, text: str) -> None:
    assert percent(figure) == text


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["x", "1"]]).splitlines() == ["| a | b |", "| --- | ---: |", "| x | 1 |"]
    assert json.dumps(percent({"value": 1.0, "low": 1.0, "high": 1.0}, interval=False)) == '"100.0"'
