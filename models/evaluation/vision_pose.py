"""Evaluates a trained pose network on pictures of people that it was not trained on: right joints beside the mean place, with heat maps.

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
from models.training.vision_pose import Pictures, PoseTask, correct_joints, cropped, usual_places
from models.training.vision_pose_run import split_pictures
from models.types import Float32
from models.video.human_pose import HumanPoseIR, HumanPoseResNet152

PICTURED = 4


def evaluate_pose(run: VisionRun, items: Sequence[JointPicture], figures_dir: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """By source the shares of right joints (within 20 and 50 % of the torso) in held-out pictures: of the network, of its untrained self and of the
    mean place of that source's training joints, and what the network gained over that place. Intervals: bootstrap over people, which are
    pictures where nobody has a name."""
    training, held_out = split_pictures(items)
    known = set(run.people)
    result = {}
    for source in sorted({item.source for item in held_out}):
        own = [item for item in held_out if item.source == source and f"{source}/{item.subject}" not in known]
        if own:
            file = None if figures_dir is None else figures_dir / f"heat-maps-{source}.png"
            result[source] = _of_source(run, [item for item in training if item.source == source], own, file, device)
    return result


def _of_source(
    run: VisionRun, training: Sequence[JointPicture], items: Sequence[JointPicture], file: Path | None, device: str
) -> dict[str, Any]:
    network, untrained = run.network, run.untrained()
    assert isinstance(network, HumanPoseIR | HumanPoseResNet152)
    assert isinstance(untrained, HumanPoseIR | HumanPoseResNet152)
    held_out = cropped(items, network.picture_px)
    places = {
        "": _found(network, held_out, device),
        "usual_": usual_places(cropped(training, network.picture_px), held_out),
        "untrained_": _found(untrained, held_out, device),
    }
    rates = {
        f"{who}pck{100 * share:g}": rate_N for who, found in places.items() for share, rate_N in correct_joints(found, held_out).items()
    }
    rates |= {f"{name}_gained": rates[name] - rates[f"usual_{name}"] for name in ("pck20", "pck50")}
    rows = {subject: np.flatnonzero(held_out.subject_N == subject) for subject in np.unique(held_out.subject_N)}

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        row_N = np.concatenate([rows[subject] for subject in chosen])
        return {name: float(np.nanmean(rate_N[row_N])) for name, rate_N in rates.items()}

    if file is not None:
        _picture(network, held_out, places[""], file, f"{run.name}, pictures not trained on", device)
    own = {name: asdict(figure) for name, figure in over_people(list(rows), figures).items()}
    return {"pictures": len(held_out), "people": len(rows), "figures": own}


def _picture(
    network: HumanPoseIR | HumanPoseResNet152, pictures: Pictures, found_NJ2: Float32, file: Path, title: str, device: str
) -> None:
    """Maps of pictures spread over all."""
    chosen = np.linspace(0, len(pictures) - 1, min(PICTURED, len(pictures))).round().astype(int)
    shown = Pictures(pictures.rgb_NHW3[chosen], pictures.joints_NJ3[chosen], pictures.subject_N[chosen])
    with torch.no_grad():
        x_B3HW = torch.from_numpy(shown.rgb_NHW3.transpose(0, 3, 1, 2).copy()).to(device).float()
        heat_BJHW = torch.sigmoid(network(x_B3HW)).cpu().numpy()
    heat_map_picture(shown, heat_BJHW, found_NJ2[chosen], file, title)


def _found(network: HumanPoseIR | HumanPoseResNet152, pictures: Pictures, device: str) -> Float32:
    network.to(device).eval()
    return PoseTask(network, pictures, pictures, 1, device).found(pictures)[0]
