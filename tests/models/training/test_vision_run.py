"""Training and evaluating a published camera network by its commands: what a run leaves, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.data.recordings import RecordingError
from models.training import vision, vision_run
from models.training.vision import SmallRun, VisionRun, built, load_run, write_run
from models.training.vision_run import main, train_files
from models.video.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_run_is_trained_resumed_and_evaluated(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    file = data_dir / "vision" / "cmu_walk.npz"
    if not file.exists():
        pytest.skip("no recordings: vision/cmu_walk.npz is absent")
    monkeypatch.setitem(vision.SMALL, "gaitformer", SmallRun(1, 2, Recipe("adamw", 1e-3, 8, epochs=1, published=False)))
    out = tmp_path / "run"
    command = ["train", "gaitformer-sm", str(file), "--out", str(out), "--small", "--most-people", "9", "--device", "cpu"]
    main(command)
    kept = json.loads(capsys.readouterr().out)
    assert kept["chance"] <= 0.5
    run = load_run(out)
    assert (run.name, run.small, len(run.people)) == ("gaitformer-sm", True, 6)
    main(command)  # the checkpoint says that the run is over: the same figures, nothing trained
    assert json.loads(capsys.readouterr().out) == kept
    main(["evaluate", str(out), str(file), "--most-people", "9", "--figures", str(tmp_path / "figures"), "--device", "cpu"])
    figures = json.loads(capsys.readouterr().out)["cmu_walk"]
    assert figures["people"] <= 3  # those that were held out, and have two recordings
    assert {"rank1", "rank5", "chance", "eer", "view_matrix", "pooled_gallery"} <= set(figures)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"views-cmu_walk.png", "fourier.png", "det.png"}


def test_unusable_requests_are_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecordingError, match="gaitnn-gru-1"):
        train_files("gaitnn", [], tmp_path)
    for name in ("human-pose-ir", "gaitformer-sm"):
        with pytest.raises(RecordingError, match="name files or simulated walkers"):
            train_files(name, [], tmp_path)
    with pytest.raises(SystemExit):
        main(["train", "gaitnet", str(tmp_path / "absent.npz"), "--out", str(tmp_path / "run")])
    assert "absent.npz: no such file" in capsys.readouterr().err
    with pytest.raises(RecordingError, match=r"run\.json"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RecordingError, match="not what a training run leaves"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", ["human-pose-resnet152", "gaitnet", "gaitformer-sm"])
def test_a_start_reaches_the_training_of_every_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of the run that is named are handed on, whatever trains the network."""
    start = tmp_path / "start"
    start.mkdir()
    before = built("gaitformer-sm", 0, True)
    write_run(VisionRun("gaitformer-sm", True, before, (), (), {}), start)
    given: list[dict[str, Any]] = []
    for trainer in ("train_pose", "train_gaitnet", "train_joints"):
        monkeypatch.setattr(vision_run, trainer, lambda *_, **options: given.append(options))
    monkeypatch.setattr(vision_run, "Walks", lambda *_: SimpleNamespace(pictures=list, crops=list, joints=list))
    train_files(name, [tmp_path / "data.npz"], tmp_path / "out", start=start, steps=7)
    (options,) = given
    assert options["steps"] == 7
    assert options["start"].keys() == before.state_dict().keys()
