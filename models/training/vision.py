"""Trains a published camera network by name on files of walks, by its published recipe or a small one for a processor core in minutes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from models.data.recordings import RecordingError
from models.skeleton.disentangle import Disentangle
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.gaitnn import GaitNN
from models.skeleton.st_gcn import STGCN
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision_data import AnyWalk, CropWalk, JointWalk, enrolment_of, people_of, split_walks
from models.training.vision_feeding import feeding_of
from models.training.vision_gaitnet import GaitNetTask
from models.training.vision_optimisation import optimisation_of
from models.training.vision_tasks import ContrastiveTask, DisentangleTask, PoseMapTask, SkeletonTask
from models.video.gaitnet import GaitNet, Stage
from models.video.recipe import Recipe
from models.vision_registry import BY_NAME

TEMPERATURE = {"st-gcn": 0.01}
PUBLISHED_TEMPERATURE, SMALL_TEMPERATURE = 0.001, 0.07
"""Of the contrastive loss. At 0.001 only the single nearest impostor teaches; few people in small batches learn more at 0.07."""


@dataclass(frozen=True, slots=True)
class SmallRun:
    """Length of a run on one processor core in about five minutes: epochs of `steps` steps, and how they move the weights."""

    epochs: int
    steps: int
    recipe: Recipe


def _small(optimizer: str, rate: float, batch: int, epochs: int, steps: int, **settings: Any) -> SmallRun:
    return SmallRun(epochs, steps, Recipe(optimizer, rate, batch, epochs=epochs, published=False, **settings))  # type: ignore[arg-type]


SMALL: dict[str, SmallRun] = {
    "gaitnn": _small("adam", 3e-4, 4, 5, 12, clip=1.0),
    "gaitformer": _small("adamw", 3e-4, 32, 10, 20, clip=1.5, weight_decay=0.01),
    "st-gcn": _small("adamw", 1e-3, 16, 6, 15, clip=1.5, weight_decay=0.01),
    "disentangle": _small("adam", 5e-4, 12, 6, 12, betas=(0.5, 0.999), weight_decay=1e-4),
}
"""By the first part of the network's name."""

SMALL_STAGES: dict[Stage, SmallRun] = {
    "seg": _small("adam", 3e-4, 4, 4, 15),
    "rec": _small("adam", 1e-3, 16, 4, 15),
    "joint": _small("adam", 2e-4, 6, 3, 12),
    "sia": _small("adam", 1e-4, 4, 3, 10),
}

SMALL_HELD_OUT = 4
"""Walks of each held-out person in a small run, the first ones."""

WEIGHTS, RECORD = "weights.safetensors", "run.json"
"""Files that a run leaves in its folder."""

SMALL_FEATURES = "motion"
"""What the disentangling head sees in a small run: the linear layer behind all codes has 156 million weights."""

SMALL_POOL = "mean"
"""How GaitFormer pools in a small run: its first token holds its position and little else until attention has learnt to fetch the rest."""


@dataclass(frozen=True, slots=True)
class VisionRun:
    """name, small: what was trained, by which recipe.  people: FILE/SUBJECT in the order of the last layer.  history: one row of figures per
    epoch (of all stages, which each row names).  kept: the row whose weights the network has."""

    name: str
    small: bool
    network: nn.Module
    people: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    kept: dict[str, float]


def train_joints(
    name: str, walks: Sequence[JointWalk], out_dir: Path, *, small: bool = False, device: str = "cpu", seed: int = 0, steps: int = 0
) -> VisionRun:
    """Trains a network on joints: `gaitnn-*`, `gaitformer-*`, `st-gcn`, `disentangle*`; a third of each file's people is held out.

    steps: per epoch, 0 for a pass over the walks or what the small recipe says. Leaves WEIGHTS and RECORD in out_dir.
    Raises KeyError for another name, ValueError where the walks do not suffice.
    """
    training, held_out = split_walks(walks)
    people = people_of(training)
    torch.manual_seed(seed)
    network = built(name, len(people), small)
    assert isinstance(network, GaitNN | GaitFormer | STGCN | Disentangle)
    run = SMALL[_family(name)] if small else None
    recipe = run.recipe if run else network.recipe
    common = (feeding_of(network, small=small), training, few_of(held_out) if small else held_out, recipe.batch, device)
    task: SkeletonTask
    if isinstance(network, GaitFormer | STGCN):
        task = ContrastiveTask(network, *common, temperature=SMALL_TEMPERATURE if small else TEMPERATURE.get(name, PUBLISHED_TEMPERATURE))
    elif isinstance(network, GaitNN):
        task = PoseMapTask(network, *common)
    else:
        task = DisentangleTask(network, *common, body_time="legacy" if network.layout == "legacy" else "intended")
    options = _options(name, recipe, steps or (run.steps if run else task.steps), device, seed)
    history, kept = fit(task, options, out_dir, optimisation=optimisation_of(recipe))
    return _written(VisionRun(name, small, network, _names(people), tuple(history), kept), out_dir)


def train_gaitnet(
    walks: Sequence[CropWalk],
    out_dir: Path,
    *,
    small: bool = False,
    stages: Sequence[Stage] = ("seg", "rec", "joint", "sia"),
    device: str = "cpu",
    seed: int = 0,
    accumulate: int = 1,
) -> VisionRun:
    """Trains GaitNet through its stages, each from the weights that the one before kept; a third of each file's people is held out.

    accumulate: the published batch is divided into so many. Raises ValueError where the walks do not suffice.
    """
    training, held_out = split_walks(walks)
    people = people_of(training)
    torch.manual_seed(seed)
    network = GaitNet(len(people))
    history: list[dict[str, Any]] = []
    kept: dict[str, float] = {}
    for stage in stages:
        run = SMALL_STAGES[stage] if small else None
        recipe = run.recipe if run else GaitNet.stages[stage]
        task = GaitNetTask(network, stage, training, few_of(held_out) if small else held_out, max(1, recipe.batch // accumulate), device)
        options = _options(f"gaitnet-{stage}", recipe, run.steps if run else task.steps, device, seed)
        optimisation = optimisation_of(recipe, partial(_groups, stage=stage, rate=recipe.learning_rate), accumulate=accumulate)
        rows, kept = fit(task, options, out_dir / stage, optimisation=optimisation)
        history += [{"stage": stage, **row} for row in rows]
    return _written(VisionRun("gaitnet", small, network, _names(people), tuple(history), kept), out_dir)


def few_of(walks: Sequence[AnyWalk], count: int = SMALL_HELD_OUT) -> list[AnyWalk]:
    """At most `count` walks of every person: half of the first recording, which is enrolled, half of the later ones."""
    kept: list[AnyWalk] = []
    seen: Counter[tuple[str, str, bool]] = Counter()
    for walk, enrolled in zip(walks, enrolment_of(walks), strict=True):
        key = (walk.source, walk.subject, bool(enrolled))
        if seen[key] < (count + 1) // 2:
            seen[key] += 1
            kept.append(walk)
    return kept


def _groups(network: nn.Module, stage: Stage, rate: float) -> list[dict[str, Any]]:
    assert isinstance(network, GaitNet)
    return network.groups(stage, rate)


def built(name: str, people: int, small: bool) -> nn.Module:
    """The network that a run trains, with fresh weights. Raises KeyError for an unknown name."""
    entry = BY_NAME[name]
    if small and name.startswith("disentangle"):
        return entry.build(people, feature_type=SMALL_FEATURES)
    if small and name.startswith("gaitformer"):
        return entry.build(pool=SMALL_POOL)
    return entry.build(people) if entry.per_person else entry.build()


def _family(name: str) -> str:
    return next(family for family in SMALL if name.startswith(family))


def _options(name: str, recipe: Recipe, steps: int, device: str, seed: int) -> TrainOptions:
    epochs = recipe.epochs if recipe.epochs is not None else -(-(recipe.iterations or 0) // steps)
    return TrainOptions(
        name,
        (),
        device=device,
        seed=seed,
        epochs=epochs,
        steps=steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        patience=epochs,
    )


def _names(people: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{source}/{subject}" for source, subject in people)


def _written(run: VisionRun, out_dir: Path) -> VisionRun:
    state = {name: tensor.contiguous() for name, tensor in run.network.state_dict().items()}
    safetensors.torch.save_file(state, out_dir / WEIGHTS)
    record = {"name": run.name, "small": run.small, "people": run.people, "kept": run.kept, "history": run.history}
    (out_dir / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return run


def load_run(out_dir: Path) -> VisionRun:
    """What a run left. Raises RecordingError naming the file that is missing or is not of a run."""
    try:
        record = json.loads((out_dir / RECORD).read_text(encoding="utf-8"))
        network = built(record["name"], len(record["people"]), record["small"])
        network.load_state_dict(safetensors.torch.load_file(out_dir / WEIGHTS))
    except FileNotFoundError as error:
        raise RecordingError(f"{error.filename or out_dir}: no such file; train the network first") from None
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise RecordingError(f"{out_dir}: not what a training run leaves ({error})") from error
    return VisionRun(record["name"], record["small"], network.eval(), tuple(record["people"]), tuple(record["history"]), record["kept"])
