"""`gaitstream bench` measures everything and says so in numbers; how fast this machine is, is not tested."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

FIGURES = {
    "pipeline_to_bare_ratio",
    "phones_realtime",
    "versus_faust_per_message",
    "batch_gain",
    "event_latency_p99_ms",
    "event_latency_p50_ms",
    "gallery_match_ms_200k",
    "erase_s_200k",
    "broker_messages_per_s",
    "walking_share",
    "camera_frames_per_s",
    "people_poses_per_s",
    "camera_pipeline_to_bare_ratio",
    "camera_latency_p50_ms",
    "camera_latency_p99_ms",
}


@pytest.mark.timeout(300)
def test_every_figure_is_measured(tmp_path: Path) -> None:
    """A small run from a folder of its own: the numbers mean little, but each of them was measured."""
    command = [sys.executable, "-m", "workers.cli", "bench", "--phones", "40", "--seconds", "12", "--json"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    figures = json.loads(run.stdout)
    assert figures.keys() >= FIGURES
    for name in FIGURES:
        assert math.isfinite(figures[name]), name
        assert figures[name] > 0, name
    assert set(figures["rss_mb"]) == {"inertial", "identity"}
    assert all(10 < mb < 10_000 for mb in figures["rss_mb"].values())
    parts = figures["parts"]
    assert parts["messages"] == 40 * 12
    # Twelve seconds are at most nine blocks of 1.28 s each; the first needs 2.56 s before it and 0.64 s after it.
    assert 0 < parts["blocks"] <= 40 * 9
    assert 0 < parts["windows"] <= parts["blocks"]
    # One forward pass per item in both: the networks alone cannot be slower than the workers that also decode, cut and write.
    assert figures["pipeline_to_bare_ratio"] < 1.5
    assert figures["live"]["events"] > 0
