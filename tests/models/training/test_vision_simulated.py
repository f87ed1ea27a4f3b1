"""Simulated walkers as training walks, and shipping a run on permitted data to the live camera path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.catalogue import NetworkEntry
from models.data.recordings import RecordingError
from models.registry import load_weights
from models.skeleton.live import PublishedSkeleton
from models.training import vision_ship
from models.training.vision import VisionRun, built, write_run
from models.training.vision_data import enrolment_of, people_of
from models.training.vision_run import main
from models.training.vision_ship import live_network, ship
from models.training.vision_simulated import simulated_crop_walks, simulated_joint_walks
from models.vision_catalogue import catalogue_fields


def test_walkers_walk_on_two_days_before_two_cameras(tmp_path: Path) -> None:
    walks = simulated_joint_walks(2, tmp_path)
    assert people_of(walks) == [("simulation", "sim10000"), ("simulation", "sim10001")]
    assert len(walks) == 2 * 2 * 2
    assert enrolment_of(walks).sum() == 4  # both views of the first day
    assert all(walk.keypoints_TJ3.shape[1:] == (17, 3) and np.isfinite(walk.keypoints_TJ3).all() for walk in walks)
    again = simulated_joint_walks(2, tmp_path)  # kept in half precision
    assert np.allclose(walks[0].keypoints_TJ3, again[0].keypoints_TJ3, atol=1.0)  # pixels


def test_their_silhouettes_fill_a_square(tmp_path: Path) -> None:
    walks = simulated_crop_walks(1, tmp_path)
    assert all((a.masks_THW == b.masks_THW).all() for a, b in zip(walks, simulated_crop_walks(1, tmp_path), strict=True))
    assert {(walk.subject, walk.session) for walk in walks} == {("sim10000", "0"), ("sim10000", "1")}
    for walk in walks:
        assert walk.masks_THW.shape[1:] == (64, 64)
        assert walk.masks_THW.any(axis=(1, 2)).all()
        assert walk.view in ("90", "45")


def run_of(people: tuple[str, ...], name: str = "gaitformer-sm") -> VisionRun:
    torch.manual_seed(0)
    return VisionRun(name, True, built(name, len(people), True).eval(), people, ({"epoch": 0.0, "loss": 1.0},), {"score": 0.5})


def test_a_run_on_permitted_data_is_shipped_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_ship, "CALIBRATION_SEEDS", range(90_000, 90_003))
    run = run_of(("cmu_walk/1", "cmu_walk/2", "simulation/sim10000"))
    write_run(run, tmp_path)
    (tmp_path / vision_ship.COMMAND).write_text("python -m models.training.vision_run train gaitformer-sm\n")
    card = ship(tmp_path, tmp_path / "weights")
    assert (card["weights_set"], card["seed"], card["parameters"]) == ("default", 0, 2_244_010)
    assert card["command"].startswith("python -m models.training.vision_run train gaitformer-sm; ")
    assert ("calibration" in card) != ("calibration_missing" in card)
    assert (tmp_path / "weights" / "gaitformer-sm.safetensors").stat().st_size < 10e6
    entry = next(NetworkEntry(**fields) for fields in catalogue_fields() if fields["name"] == "gaitformer-sm")
    network, read = load_weights(entry, tmp_path / "weights")
    assert isinstance(network, PublishedSkeleton)
    assert read["space"] == card["space"]
    keypoints_BTJ3 = torch.from_numpy(simulated_joint_walks(1)[0].keypoints_TJ3[None, :32])
    with torch.no_grad():
        expected, _ = live_network(run)(keypoints_BTJ3)
        assert torch.allclose(network.eval()(keypoints_BTJ3)[0], expected, atol=5e-3)  # half precision


def test_other_runs_are_not_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(run_of(("kgbd/1", "cmu_walk/2")), tmp_path)
    with pytest.raises(RecordingError, match="kgbd, not all of which may train shipped weights"):
        ship(tmp_path, tmp_path / "weights")
    with pytest.raises(RecordingError, match="gaitnn-gru-1: only gaitformer-sm"):
        live_network(run_of(("cmu_walk/1", "cmu_walk/2"), "gaitnn-gru-1"))
    with pytest.raises(SystemExit):
        vision_ship.main([str(tmp_path / "absent"), "--out", str(tmp_path)])
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["table", str(tmp_path / "absent"), "--data-dir", str(tmp_path)])
    assert "no folder of a training run" in capsys.readouterr().err
