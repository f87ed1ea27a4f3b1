"""`gaitstream evaluate` prints figures and writes pictures, a page and JSON; `--all` says what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.evaluation.vision_measured import COMMAND
from models.training.vision import VisionRun, built, write_run
from models.training.vision_data import joint_walks, people_of
from workers.cli import app


@pytest.fixture
def motionsense(data_dir: Path) -> str:
    return str(data_dir / "imu" / "motionsense.npz")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_extraction_prints_its_look_ahead(motionsense: str, tmp_path: Path) -> None:
    out = run(
        "evaluate", "extraction", "default", "--data", motionsense, "--people", "13-14", "--where", "trial=15", "--figures", str(tmp_path)
    )
    assert "look-ahead 0.64 s" in out
    assert "walking share" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("task", "picture"), [("identification", "confusion.png"), ("verification", "det.png")])
def test_recognition_writes_picture_page_and_json(task: str, picture: str, motionsense: str, tmp_path: Path) -> None:
    figures, out = tmp_path / "figures", tmp_path / "out.json"
    choice = ["--data", motionsense, "--people", "16-18", "--enrol", "trial=8", "--probe", "trial=15"]
    run("evaluate", task, "default", *choice, "--figures", str(figures), "--json", str(out))
    assert (figures / picture).read_bytes().startswith(b"\x89PNG")
    assert f"]({picture})" in (figures / "report.md").read_text()
    assert json.loads(out.read_text())["task"] == task


def test_all_needs_the_data() -> None:
    result = CliRunner().invoke(app, ["evaluate", "--all"])
    assert result.exit_code == 2
    assert "--data-dir" in result.output


def test_a_published_camera_network_is_measured_on_whom_it_did_not_see(data_dir: Path, tmp_path: Path) -> None:
    file = data_dir / "vision" / "cmu_walk.npz"
    if not file.exists():
        pytest.skip("no recordings: vision/cmu_walk.npz is absent")
    everybody = people_of(joint_walks(file))
    seen = tuple(f"{source}/{subject}" for source, subject in everybody[:-8])
    write_run(VisionRun("gaitformer-sm", True, built("gaitformer-sm", len(seen), True), seen, (), {}), tmp_path)
    figures, out = tmp_path / "figures", tmp_path / "out.json"
    printed = run("evaluate", "walks", str(tmp_path), "--data", str(file), "--figures", str(figures), "--json", str(out))
    own = json.loads(out.read_text())
    assert json.loads(printed) == own
    assert 2 <= own["cmu_walk"]["people"] <= 8
    assert (figures / "views-cmu_walk.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_of_a_camera_network_says_by_which_command(data_dir: Path, tmp_path: Path) -> None:
    file = data_dir / "vision" / "cmu_walk.npz"
    if not file.exists():
        pytest.skip("no recordings: vision/cmu_walk.npz is absent")
    words = ["train", "gaitformer-sm", "--data", str(file), "--out", str(tmp_path), "--steps", "1", "--small"]
    run(*words)
    command = (tmp_path / COMMAND).read_text().split()
    assert command[0] == "gaitstream" and sorted(command[1:]) == sorted([*words, "--device", "cpu"])


def test_walks_need_data_and_a_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "walks", str(tmp_path)])
    assert result.exit_code == 2
    assert "--data" in result.output
    result = CliRunner().invoke(app, ["evaluate", "walks", str(tmp_path), "--simulated", "2"])
    assert result.exit_code == 1
    assert "run.json" in str(result.exception)
