"""A run of a published pose network on pictures with joints: which pictures train it, by which recipe, and what it leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.data.vision_formats.pictures import JointPicture
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision import SmallRun, VisionRun, built, cost_since, names_of, small_run, take_over, write_run
from models.training.vision_data import people_of, split_walks
from models.training.vision_optimisation import optimisation_of
from models.training.vision_pose import PoseTask, Target, cropped
from models.video.human_pose import HumanPoseIR, HumanPoseResNet152

HELD_OUT = 0.2
"""Share of each source's people, its last ones, that no run trains on. Of files without names every picture is a person."""

SMALL_HELD_OUT = 100
"""Pictures at most, evenly over those held out, that a small run looks at after every epoch."""

SMALL: dict[str, SmallRun] = {
    "human-pose-ir": small_run("rmsprop", 3e-4, 8, 4, 75, clip=2.0, schedule="cosine"),
    "human-pose-resnet152": small_run("rmsprop", 3e-4, 8, 4, 75, clip=2.0, schedule="cosine"),
}


def split_pictures(items: Sequence[JointPicture]) -> tuple[list[JointPicture], list[JointPicture]]:
    """(training, held out) by people, at least two of each source held out."""
    return split_walks(items, HELD_OUT)


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
    `train_joints`. Raises KeyError for another name, ValueError where nobody is left to train on or
    no picture shows a joint."""
    began_s = time.process_time()
    torch.manual_seed(seed)
    network = built(name, 0, small)
    assert isinstance(network, HumanPoseIR | HumanPoseResNet152)
    take_over(network, start)
    run = SMALL[name] if small else None
    recipe = run.recipe if run else network.recipe
    training, held_out = split_pictures(items)
    if not training:
        raise ValueError(
            f"{len(held_out)} pictures of {len(people_of(held_out))} people: two people of every source are held out, nobody is left to train on"
        )
    watched = held_out[:: -(-len(held_out) // SMALL_HELD_OUT)] if small else held_out
    training_crops, watched_crops = (cropped(own, network.picture_px) for own in (training, watched))
    task = PoseTask(network, training_crops, watched_crops, max(1, recipe.batch // accumulate), device, target)
    epochs = recipe.epochs or 1
    options = TrainOptions(
        f"{name}-{target}", (), device=device, seed=seed, epochs=epochs, steps=steps or (run.steps if run else task.steps),
        batch=recipe.batch, learning_rate=recipe.learning_rate, patience=epochs,
    )  # fmt: skip
    history, kept = fit(task, options, out_dir, optimisation=optimisation_of(recipe, accumulate=accumulate))
    return write_run(
        VisionRun(name, small, network, names_of(people_of(training)), tuple(history), kept, seed, cost_since(began_s)), out_dir
    )
