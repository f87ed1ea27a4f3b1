"""The table of published camera networks: figures from scores, who is measured, baselines, and what a run's row says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.recordings import RecordingError
from models.evaluation import vision_measured
from models.evaluation.vision_measured import MEASURED, masks_of
from models.evaluation.vision_report import section, table_of_runs
from models.evaluation.vision_table import Comparison, compared, energy_baseline, fourier_baseline, held_out_walks, of_run
from models.training.vision import VisionRun, built, write_run
from models.training.vision_data import CropWalk, JointWalk, joint_walks, silhouette_walks, split_walks

rng = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def files(data_dir: Path) -> Path:
    folder = data_dir / "vision"
    if not (folder / "kth_pose.npz").exists():
        pytest.skip("no recordings: vision/kth_pose.npz is absent")
    return folder


def test_figures_count_people_who_are_drawn_twice_twice() -> None:
    score_PG = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.6]])  # people a, a, b against a, b
    own_PG = np.array([[True, False], [True, False], [False, True]])
    other_PG = np.array([[False, True], [True, True], [False, False]])
    comparison = Comparison(score_PG, own_PG, other_PG, np.array(["a", "a", "b"]), 0.5)
    # genuine .6 lies below the impostor .7; the first probe meets only b from another view, the third nobody
    assert comparison.figures(["a", "b"]) == {"rank1": 1.0, "across_rank1": 0.5, "eer": pytest.approx(1 / 3)}
    assert np.isnan(comparison.figures(["b"])["across_rank1"])
    score_PG[0, 0] = 0.0
    assert comparison.figures(["a", "b"])["rank1"] == pytest.approx(2 / 3)
    assert comparison.figures(["a", "a", "b"])["rank1"] == pytest.approx(3 / 5)
    svm = Comparison(score_PG, own_PG, other_PG, np.array(["a", "a", "b"]), 0.5, np.array([True, True, False]))
    assert svm.figures(["b"])["svm_rank1"] == 0.0


def crops(subject: str, session: str, left: int, source: str = "s") -> CropWalk:
    masks_THW = np.zeros((12, 64, 64), bool)
    masks_THW[:, 8:56, left : left + 20] = rng.random((12, 48, 20)) < 0.9
    return CropWalk(masks_THW, None, subject, "90", session, source)


def test_gait_energy_images_find_the_person_within_a_file_only() -> None:
    walks = [crops(str(k), session, 4 + 8 * k, source) for source in "st" for k in range(4) for session in ("0", "1")]
    rows = energy_baseline(walks)
    assert set(rows) == {"s", "t"}
    assert rows["s"]["figures"]["rank1"]["value"] == 1.0
    assert (rows["s"]["people"], rows["s"]["probes"], rows["s"]["chance"]) == (4, 4, 0.25)
    assert not compared(np.zeros((2, 3), np.float32), [crops("0", "0", 4), crops("0", "1", 4)], "l1")  # one person says nothing


def test_the_people_measured_are_those_that_runs_hold_out(data_dir: Path) -> None:
    walks = joint_walks(files(data_dir) / "kth_pose.npz")
    measured = held_out_walks(walks)
    assert {walk.subject for walk in measured} == {walk.subject for walk in split_walks(walks)[1]}
    assert fourier_baseline(measured)["kth_pose"]["people"] == 4  # of five: one was filmed once
    run = VisionRun("gaitformer-sm", True, built("gaitformer-sm", 0, True), (f"kth_pose/{measured[0].subject}",), (), {})
    with pytest.raises(ValueError, match="gaitformer-sm was trained on kth_pose/"):
        of_run(run, measured)


def test_an_untrained_network_gains_nothing_over_itself(data_dir: Path) -> None:
    measured = held_out_walks(joint_walks(files(data_dir) / "kth_pose.npz"))
    run = VisionRun("gaitformer-sm", True, built("gaitformer-sm", 0, True), (), (), {}, seed=3)
    same = VisionRun("gaitformer-sm", True, run.untrained(), (), (), {}, seed=3)
    row = of_run(same, measured)["kth_pose"]
    assert row["figures"]["rank1_gained"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert row["figures"]["eer"]["value"] == row["figures"]["untrained_eer"]["value"]


def test_runs_are_laid_beside_each_other_and_measured_once(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files(data_dir)
    monkeypatch.setattr(vision_measured, "JOINT_FILES", ("kth_pose",))
    monkeypatch.setattr(vision_measured, "SILHOUETTE_FILES", ("kth_sil",))
    out = tmp_path / "one"
    out.mkdir()
    history = ({"epoch": 0.0, "loss": 2.0}, {"epoch": 1.0, "loss": 1.0})
    write_run(VisionRun("gaitformer-sm", True, built("gaitformer-sm", 0, True), ("cmu_walk/1",), history, {}), out)
    text = table_of_runs([out, tmp_path / "no-run"], folder, 0, figures_dir=tmp_path / "figures")
    assert (tmp_path / "figures" / "loss-curves.png").exists()
    for words in ("KTH, poses · gaitformer-sm [one]", "**fourier-joints** (no network)", "never trained on this set", "2 → 1"):
        assert words in text
    assert section(text, "the command").startswith("## The four published camera systems\n\n`the command`")
    kept = json.loads((out / MEASURED).read_text())
    (out / MEASURED).write_text(json.dumps({**kept, "command": "as kept"}))
    assert "as kept" in table_of_runs([out], folder, 0)
    (out / MEASURED).write_text(json.dumps({**kept, "command": "as kept", "simulated": 3}))
    assert "as kept" not in table_of_runs([out], folder, 0), "other people are measured"
    with pytest.raises(RecordingError, match="no folder of a training run"):
        table_of_runs([tmp_path / "no-run"], folder, 0)


def test_masks_are_measured_on_people_not_trained_on() -> None:
    walk = crops("0", "0", 20)
    filmed = CropWalk(walk.masks_THW, rng.integers(0, 255, (12, 3, 64, 64), dtype=np.uint8), "0", "90", "0", "s")
    run = VisionRun("gaitnet", True, built("gaitnet", 2, True).eval(), ("s/1", "s/2"), (), {})
    assert 0 <= masks_of(run, [filmed])["s"]["figures"]["iou"]["value"] <= 1
    known = VisionRun("gaitnet", True, run.network, ("s/0", "s/1"), (), {})
    assert masks_of(known, [filmed]) == {}


def test_joint_walks_without_a_trunk_are_left_out_of_the_fourier_matcher() -> None:
    nobody = np.zeros((20, 17, 3), np.float32)
    assert fourier_baseline([JointWalk(nobody, "a", "90", str(k), "s") for k in range(2)]) == {}


def test_silhouettes_at_hand_have_a_baseline(data_dir: Path) -> None:
    row = energy_baseline(held_out_walks(silhouette_walks(files(data_dir) / "casia_a_sil.npz")))["casia_a_sil"]
    assert row["figures"]["rank1"]["value"] > row["chance"]
