"""A run of a published pose network on pictures with joints: which pictures train it, by which recipe, and what it leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from models.data.vision_formats.pictures import JointPicture
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision import SmallRun, VisionRun, built, cost_since, names_of, small_run, take_over, write_run
from models.training.vision_data import people_of, split_walks
from models.training.vision_depth import prepared_for_few_steps, rest
from models.training.vision_optimisation import optimisation_of
from models.training.vision_pose import PoseTask, Target, cropped
from models.video.human_pose import HumanPoseIR, HumanPoseResNet152

HELD_OUT = 0.2
"""Share of each source's people, its last ones, that no run trains on. Of files without names every picture is a person."""

SMALL_HELD_OUT = 100
"""Pictures at most, evenly over those held out, that a small run looks at after every epoch."""

Phase = Literal["shallow", "whole"]

SMALL: dict[Phase, SmallRun] = {
    "shallow": small_run("adamw", 1e-3, 12, 4, 100, clip=2.0, weight_decay=0.01, schedule="cosine"),
    "whole": small_run("adamw", 3e-4, 12, 2, 20, clip=2.0, weight_decay=0.01, schedule="cosine"),
}
"""A step of the second phase takes five times as long as one of the first."""


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
    """Trains `human-pose-ir` or `human-pose-resnet152`; a small run first with few of its blocks (`models.training.vision_depth`), then whole.

    accumulate: the published batch is divided into so many.  steps: of every epoch, 0 for a pass over the pictures or what the small recipe
    says.  start: weights to begin with, as of `train_joints`, of a small run without the blocks that rest first. Raises KeyError for another name, ValueError where nobody is left to train on or
    no picture shows a joint.
    """
    began_s = time.process_time()
    torch.manual_seed(seed)
    network = built(name, 0, small)
    assert isinstance(network, HumanPoseIR | HumanPoseResNet152)
    take_over(network, start)
    if small:
        prepared_for_few_steps(network)  # what was taken over holds later blocks that are awake
    training, held_out = split_pictures(items)
    if not training:
        raise ValueError(
            f"{len(held_out)} pictures of {len(people_of(held_out))} people: two people of every source are held out, nobody is left to train on"
        )
    watched = held_out[:: -(-len(held_out) // SMALL_HELD_OUT)] if small else held_out
    training_crops, watched_crops = (cropped(own, network.picture_px) for own in (training, watched))
    phases = SMALL if small else _published(network, len(training))
    history: list[dict[str, Any]] = []
    kept: dict[str, float] = {}
    for phase, run in phases.items():
        recipe = run.recipe
        rest(network, phase == "shallow")
        task = PoseTask(network, training_crops, watched_crops, max(1, recipe.batch // accumulate), device, target)
        options = TrainOptions(
            f"{name}-{target}-{phase}", (), device=device, seed=seed, epochs=run.epochs, steps=steps or run.steps,
            batch=recipe.batch, learning_rate=recipe.learning_rate, patience=run.epochs,
        )  # fmt: skip
        rows, kept = fit(task, options, out_dir / phase, optimisation=optimisation_of(recipe, accumulate=accumulate))
        history += [{"stage": phase, **row} for row in rows]
    return write_run(
        VisionRun(name, small, network, names_of(people_of(training)), tuple(history), kept, seed, cost_since(began_s)), out_dir
    )


def _published(network: HumanPoseIR | HumanPoseResNet152, pictures: int) -> dict[Phase, SmallRun]:
    recipe = network.recipe
    return {"whole": SmallRun(recipe.epochs or 1, max(1, pictures // recipe.batch), recipe)}
