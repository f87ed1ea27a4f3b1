"""Evaluates a trained pose network on the pictures of a file that no run trains on: right joints beside the mean place, with heat maps.

Shape letters: N pictures, J 16 joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.data.vision_formats.pictures import JointPicture
from models.evaluation.report import over_people
from models.evaluation.vision_pictures import heat_map_picture
from models.training.vision import VisionRun
from models.training.vision_pose import Pictures, PoseTask, correct_joints, usual_places
from models.training.vision_pose_run import pose_pictures
from models.types import Float32
from models.video.human_pose import HumanPoseIR, HumanPoseResNet152

PICTURED = 4


def evaluate_pose(run: VisionRun, items: Sequence[JointPicture], figures_dir: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """Shares of right joints (within 20 and 50 % of the torso) of held-out pictures, of the network, of its untrained self and of the mean place of
    training joints, with bootstrap intervals over pictures."""
    network = run.network
    assert isinstance(network, HumanPoseIR | HumanPoseResNet152)
    training, held_out = pose_pictures(items, network.picture_px, small=run.small)
    places = {"": _found(network, held_out, device), "usual_": usual_places(training, held_out)}
    untrained = run.untrained()
    assert isinstance(untrained, HumanPoseIR | HumanPoseResNet152)
    places["untrained_"] = _found(untrained, held_out, device)
    rates = {
        f"{who}pck{100 * share:g}": rate_N for who, found in places.items() for share, rate_N in correct_joints(found, held_out).items()
    }

    def figures(chosen: Sequence[int]) -> dict[str, float]:
        return {name: float(np.nanmean(rate_N[list(chosen)])) for name, rate_N in rates.items()}

    if figures_dir is not None:
        shown = Pictures(held_out.rgb_NHW3[:PICTURED], held_out.joints_NJ3[:PICTURED])
        with torch.no_grad():
            x_B3HW = torch.from_numpy(shown.rgb_NHW3.transpose(0, 3, 1, 2).copy()).to(device).float()
            heat_BJHW = torch.sigmoid(network(x_B3HW)).cpu().numpy()
        heat_map_picture(shown, heat_BJHW, places[""][:PICTURED], figures_dir / "heat-maps.png", f"{run.name}, pictures not trained on")
    rows = over_people(range(len(held_out)), figures)
    return {"pictures": len(held_out), "trained_on": len(training), "figures": {name: asdict(figure) for name, figure in rows.items()}}


def _found(network: HumanPoseIR | HumanPoseResNet152, pictures: Pictures, device: str) -> Float32:
    network.to(device).eval()
    return PoseTask(network, pictures, pictures, 1, device).found(pictures)[0]
