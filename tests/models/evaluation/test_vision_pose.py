"""The table of joints: what the verdict says of the paired interval, and that a network is measured beside the mean place by people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.data.vision_formats.pictures import JointPicture
from models.evaluation import vision_pose
from models.evaluation.vision_pose import evaluate_pose
from models.evaluation.vision_report import pose_table
from models.training.vision import VisionRun, built
from models.training.vision_pose import Pictures
from models.types import Float32
from models.video.human_pose import HumanPoseResNet152

NAME = "human-pose-resnet152"


def row(low: float | None, high: float | None) -> dict[str, Any]:
    value = 0.1 if low is None or high is None else (low + high) / 2
    figure = {"value": value, "low": low, "high": high}
    names = (f"{who}pck{share}" for who in ("", "usual_", "untrained_") for share in (20, 50))
    return {"people": 5, "pictures": 9, "figures": {**dict.fromkeys(names, figure), "pck20_gained": figure, "pck50_gained": figure}}


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.2, "PCK@0.2 beats the mean place; PCK@0.5 beats the mean place"),
        (-0.01, 0.2, "PCK@0.2 as the mean place; PCK@0.5 as the mean place"),  # the interval holds zero
        (-0.3, -0.1, "PCK@0.2 is below the mean place; PCK@0.5 is below the mean place"),
        (None, None, "PCK@0.2 as the mean place; PCK@0.5 as the mean place"),  # one person has no interval
    ],
)
def test_the_verdict_is_whether_the_paired_interval_leaves_zero(low: float | None, high: float | None, words: str) -> None:
    text = pose_table({Path("run"): {"name": NAME, "pose": {"simulation": row(low, high)}}})
    assert f"simulated walkers · {NAME} [run] | 5 | 9 |" in text
    assert words in text


def picture(source: str, subject: str, moved_px: float) -> JointPicture:
    """A standing body; only its ankles are anywhere else than in another picture."""
    joints_J3 = np.column_stack([np.linspace(60, 90, 16), np.linspace(20, 130, 16), np.ones(16)]).astype(np.float32)
    joints_J3[[0, 5], 0] += moved_px
    return JointPicture(np.zeros((160, 160, 3), np.uint8), joints_J3, source, subject)


def test_a_network_is_measured_on_people_it_did_not_see_by_source(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = built(NAME, 0, True).eval()

    def found(asked: nn.Module, pictures: Pictures, device: str) -> Float32:
        assert isinstance(asked, HumanPoseResNet152)
        assert device == "cpu"
        right_NJ2 = pictures.joints_NJ3[..., :2].copy()
        return right_NJ2 if asked is network else right_NJ2 + 1000.0

    monkeypatch.setattr(vision_pose, "_found", found)
    items = [picture("lsp", str(k), 3.0 * k) for k in range(10)]
    items += [picture("simulation", f"sim{k // 2}", 3.0 * k) for k in range(20)]
    rows = evaluate_pose(VisionRun(NAME, True, network, ("simulation/sim9",), (), {}), items)
    assert {source: (own["people"], own["pictures"]) for source, own in rows.items()} == {"lsp": (2, 2), "simulation": (1, 2)}
    figures = rows["lsp"]["figures"]
    assert (figures["pck20"]["value"], figures["untrained_pck50"]["value"]) == (1.0, 0.0)
    assert figures["pck20_gained"]["value"] == pytest.approx(1.0 - figures["usual_pck20"]["value"])
    assert figures["usual_pck20"]["value"] < 1.0
