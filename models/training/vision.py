"""Trains a published camera network by name on files of walks, by its published recipe or a small one for a processor core in minutes."""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from models.data.recordings import RecordingError
from models.skeleton.disentangle import Disentangle
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.gaitnn import GaitNN
from models.skeleton.st_gcn import STGCN
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision_data import AnyWalk, CropWalk, JointWalk, enrolment_of, people_of, split_walks
from models.training.vision_depth import prepared_for_few_steps
from models.training.vision_feeding import feeding_of
from models.training.vision_gaitnet import GaitNetTask
from models.training.vision_optimisation import optimisation_of
from models.training.vision_tasks import ContrastiveTask, DisentangleTask, PoseMapTask, SequenceTask
from models.video.gaitnet import GaitNet, Stage
from models.video.recipe import Recipe
from models.vision_catalogue import BY_NAME

TEMPERATURE = {"st-gcn": 0.01}
PUBLISHED_TEMPERATURE, SMALL_TEMPERATURE = 0.001, 0.07
"""Of the contrastive loss. At 0.001 only the single nearest impostor teaches; few people in small batches learn more at 0.07."""


@dataclass(frozen=True, slots=True)
class SmallRun:
    """Length of a run on one processor core in about five minutes: epochs of `steps` steps, and how they move the weights."""

    epochs: int
    steps: int
    recipe: Recipe


def small_run(optimizer: str, rate: float, batch: int, epochs: int, steps: int, **settings: Any) -> SmallRun:
    """A small run with a recipe of its own."""
    return SmallRun(epochs, steps, Recipe(optimizer, rate, batch, epochs=epochs, published=False, **settings))  # type: ignore[arg-type]


SMALL: dict[str, SmallRun] = {
    "gaitnn-gru-1": small_run("adam", 3e-4, 6, 3, 25, clip=1.0),
    "gaitnn": small_run("adam", 3e-4, 6, 2, 8, clip=1.0),
    "gaitformer-md": small_run("adamw", 5e-4, 48, 2, 20, clip=1.5, weight_decay=0.01, schedule="step", decay=0.5, decay_every=1),
    "gaitformer-xl": small_run("adamw", 5e-4, 48, 2, 12, clip=1.5, weight_decay=0.01, schedule="step", decay=0.5, decay_every=1),
    "gaitformer": small_run("adamw", 1e-3, 48, 6, 60, clip=1.5, weight_decay=0.01, schedule="step", decay=0.7, decay_every=1),
    "st-gcn": small_run("adamw", 1e-3, 24, 4, 25, clip=1.5, weight_decay=0.01, schedule="step", decay=0.7, decay_every=1),
    "disentangle": small_run("adam", 5e-4, 10, 3, 30, betas=(0.5, 0.999), weight_decay=1e-4),
}
"""By the first part of the network's name, the first that fits. The larger ones are meant to start from the run of the smallest of their kind."""

SMALL_STAGES: dict[Stage, SmallRun] = {
    "seg": small_run("adam", 3e-4, 4, 2, 40),
    "rec": small_run("adam", 1e-3, 32, 3, 50),
    "joint": small_run("adam", 2e-4, 8, 2, 20),
    "sia": small_run("adam", 1e-4, 6, 2, 15),
}

SMALL_PICTURE_PX = {"human-pose-ir": 107, "human-pose-resnet152": 80}
"""Side of the pictures in a small run of a pose network: 5 cells of features instead of 17 and 16, so that more steps fit."""

SMALL_HELD_OUT, SMALL_HELD_OUT_PEOPLE = 4, 8
"""Walks of each held-out person that a small run looks at after every epoch, and people of each file, the first ones."""

WEIGHTS, RECORD = "weights.safetensors", "run.json"
"""Files that a run leaves in its folder."""

SMALL_FEATURES = "motion"
"""What the disentangling head sees in a small run: the linear layer behind all codes has 156 million weights."""

SMALL_POOL = "mean"
"""How GaitFormer pools in a small run: its first token holds its position and little else until attention has learnt to fetch the rest."""


@dataclass(frozen=True, slots=True)
class VisionRun:
    """name, small, seed: what was trained, by which recipe, from which start.  people: SOURCE/SUBJECT of those trained on, in the order of the last layer.
    history: one row of figures per epoch (of all stages, which each row names).  kept: the row whose weights the network has.
    cost: {"processor_s", "memory_mb"}, time of the processor and most memory of the whole process."""

    name: str
    small: bool
    network: nn.Module
    people: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    kept: dict[str, float]
    seed: int = 0
    cost: dict[str, float] = field(default_factory=dict)

    def untrained(self) -> nn.Module:
        """The network as it was before its first step: what training has to beat."""
        torch.manual_seed(self.seed)
        return built(self.name, len(self.people), self.small).eval()


def train_joints(
    name: str,
    walks: Sequence[JointWalk],
    out_dir: Path,
    *,
    small: bool = False,
    device: str = "cpu",
    seed: int = 0,
    steps: int = 0,
    start: Mapping[str, Tensor] | None = None,
) -> VisionRun:
    """Trains a network on joints: `gaitnn-*`, `gaitformer-*`, `st-gcn`, `disentangle*`; a third of each file's people is held out.

    steps: per epoch, 0 for a pass over the walks or what the small recipe says.  start: weights to begin with where name and shape are the
    same, for example those of a network with another recurrent layer. Leaves WEIGHTS and RECORD in out_dir.
    Raises KeyError for another name, ValueError where the walks do not suffice.
    """
    began_s = time.process_time()
    training, held_out = split_walks(walks)
    people = people_of(training)
    torch.manual_seed(seed)
    network = built(name, len(people), small)
    assert isinstance(network, GaitNN | GaitFormer | STGCN | Disentangle)
    take_over(network, start)
    run = SMALL[_family(name)] if small else None
    recipe = run.recipe if run else network.recipe
    common = (feeding_of(network, small=small), training, _watched(held_out) if small else held_out, recipe.batch, device)
    task: SequenceTask
    if isinstance(network, GaitFormer | STGCN):
        task = ContrastiveTask(network, *common, temperature=SMALL_TEMPERATURE if small else TEMPERATURE.get(name, PUBLISHED_TEMPERATURE))
    elif isinstance(network, GaitNN):
        task = PoseMapTask(network, *common)
    else:
        task = DisentangleTask(network, *common, body_time="legacy" if network.layout == "legacy" else "intended")
    options = _options(name, recipe, steps or (run.steps if run else task.steps), device, seed)
    history, kept = fit(task, options, out_dir, optimisation=optimisation_of(recipe))
    return write_run(VisionRun(name, small, network, names_of(people), tuple(history), kept, seed, cost_since(began_s)), out_dir)


STAGES: tuple[Stage, ...] = ("seg", "rec", "joint", "sia")


def train_gaitnet(
    walks: Sequence[CropWalk],
    out_dir: Path,
    *,
    small: bool = False,
    stages: Sequence[Stage] = STAGES,
    device: str = "cpu",
    seed: int = 0,
    accumulate: int = 1,
    steps: int = 0,
    start: Mapping[str, Tensor] | None = None,
) -> VisionRun:
    """Trains GaitNet through its stages, each from the weights that the one before kept; a third of each file's people is held out.

    accumulate: the published batch is divided into so many.  steps, start: as of `train_joints`. Raises ValueError where the walks do not suffice.
    """
    began_s = time.process_time()
    training, held_out = split_walks(walks)
    people = people_of(training)
    torch.manual_seed(seed)
    network = GaitNet(len(people))
    take_over(network, start)
    history: list[dict[str, Any]] = []
    kept: dict[str, float] = {}
    for stage in stages:
        run = SMALL_STAGES[stage] if small else None
        recipe = run.recipe if run else GaitNet.stages[stage]
        task = GaitNetTask(network, stage, training, _watched(held_out) if small else held_out, max(1, recipe.batch // accumulate), device)
        options = _options(f"gaitnet-{stage}", recipe, steps or (run.steps if run else task.steps), device, seed)
        optimisation = optimisation_of(recipe, partial(_groups, stage=stage, rate=recipe.learning_rate), accumulate=accumulate)
        rows, kept = fit(task, options, out_dir / stage, optimisation=optimisation)
        history += [{"stage": stage, **row} for row in rows]
    return write_run(VisionRun("gaitnet", small, network, names_of(people), tuple(history), kept, seed, cost_since(began_s)), out_dir)


def take_over(network: nn.Module, start: Mapping[str, Tensor] | None) -> None:
    """Weights of another network, where name and shape are the same."""
    own = network.state_dict()
    network.load_state_dict({**own, **{key: value for key, value in (start or {}).items() if key in own and own[key].shape == value.shape}})


def cost_since(began_s: float) -> dict[str, float]:
    """Processor time since `time.process_time()` was began_s, and the most memory this process has held."""
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"processor_s": round(time.process_time() - began_s, 1), "memory_mb": round(memory_kb / 1024)}


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


def _watched(walks: Sequence[AnyWalk]) -> list[AnyWalk]:
    """What a small run looks at after every epoch."""
    chosen: set[tuple[str, str]] = set()
    for source in {walk.source for walk in walks}:
        chosen.update(people_of([walk for walk in walks if walk.source == source])[:SMALL_HELD_OUT_PEOPLE])
    return few_of([walk for walk in walks if (walk.source, walk.subject) in chosen])


def _groups(network: nn.Module, stage: Stage, rate: float) -> list[dict[str, Any]]:
    assert isinstance(network, GaitNet)
    return network.groups(stage, rate)


def built(name: str, people: int, small: bool) -> nn.Module:
    """The network that a run trains, with fresh weights. Raises KeyError for an unknown name."""
    entry = BY_NAME[name]
    if entry.task == "pose":
        return prepared_for_few_steps(entry.build(picture_px=SMALL_PICTURE_PX[name])) if small else entry.build()
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


def names_of(people: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """SOURCE/SUBJECT of every person, as `VisionRun.people` has them."""
    return tuple(f"{source}/{subject}" for source, subject in people)


def write_run(run: VisionRun, out_dir: Path) -> VisionRun:
    """Leaves WEIGHTS and RECORD in the folder."""
    state = {name: tensor.contiguous() for name, tensor in run.network.state_dict().items()}
    safetensors.torch.save_file(state, out_dir / WEIGHTS)
    record = {key: getattr(run, key) for key in ("name", "small", "seed", "cost", "people", "kept", "history")}
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
    people, history = tuple(record["people"]), tuple(record["history"])
    cost, seed = record.get("cost", {}), int(record.get("seed", 0))
    return VisionRun(record["name"], record["small"], network.eval(), people, history, record["kept"], seed, cost)
