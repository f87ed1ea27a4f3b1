"""A run of a published pose network on a file of pictures with joints: which pictures train it, by which recipe, and what it leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.data.vision_formats.pictures import JointPicture
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision import SmallRun, VisionRun, built, cost_since, small_run, take_over, write_run
from models.training.vision_optimisation import optimisation_of
from models.training.vision_pose import Pictures, PoseTask, Target, cropped
from models.video.human_pose import HumanPoseIR, HumanPoseResNet152

HELD_OUT = 0.2
"""Share of a file's pictures, its last ones, that no run trains on."""

SMALL_HELD_OUT = 100
"""Pictures that a small run is measured on."""

SMALL: dict[str, SmallRun] = {
    "human-pose-ir": small_run("rmsprop", 3e-4, 6, 5, 14, clip=2.0),
    "human-pose-resnet152": small_run("rmsprop", 3e-4, 6, 3, 10, clip=2.0),
}


def split_pictures(items: Sequence[JointPicture]) -> tuple[list[JointPicture], list[JointPicture]]:
    """(training, held out)."""
    first = len(items) - max(1, round(HELD_OUT * len(items)))
    return list(items[:first]), list(items[first:])


def pose_pictures(items: Sequence[JointPicture], side_px: int, *, small: bool) -> tuple[Pictures, Pictures]:
    """(training, held out) as crops; a small run holds out no more than SMALL_HELD_OUT."""
    training, held_out = split_pictures(items)
    if small:
        held_out = held_out[:SMALL_HELD_OUT]
    return cropped(training, side_px), cropped(held_out, side_px)


def train_pose(
    name: str,
    items: Sequence[JointPicture],
    out_dir: Path,
    *,
    target: Target = "disc",
    small: bool = False,
    device: str = "cpu",
    seed: int = 0,
    accumulate: int = 1,
    steps: int = 0,
    start: Mapping[str, Tensor] | None = None,
) -> VisionRun:
    """Trains `human-pose-ir` or `human-pose-resnet152`. accumulate: the published batch is divided into so many.  steps: of every epoch, 0 for a
    pass over the pictures or what the small recipe says.  start: weights to begin with, as of
    `train_joints`. Raises KeyError for another name, ValueError where no picture shows a joint."""
    began_s = time.process_time()
    torch.manual_seed(seed)
    network = built(name, 0, small)
    assert isinstance(network, HumanPoseIR | HumanPoseResNet152)
    take_over(network, start)
    run = SMALL[name] if small else None
    recipe = run.recipe if run else network.recipe
    training, held_out = pose_pictures(items, network.picture_px, small=small)
    task = PoseTask(network, training, held_out, max(1, recipe.batch // accumulate), device, target)
    epochs = recipe.epochs or 1
    options = TrainOptions(
        f"{name}-{target}", (), device=device, seed=seed, epochs=epochs, steps=steps or (run.steps if run else task.steps),
        batch=recipe.batch, learning_rate=recipe.learning_rate, patience=epochs,
    )  # fmt: skip
    history, kept = fit(task, options, out_dir, optimisation=optimisation_of(recipe, accumulate=accumulate))
    return write_run(VisionRun(name, small, network, (), tuple(history), kept, seed, cost_since(began_s)), out_dir)
