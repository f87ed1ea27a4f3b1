"""`gaitstream evaluate` prints figures and writes pictures, a page and JSON; `--all` says what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

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
