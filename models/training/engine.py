"""The training loop every network shares: seeds, schedule, early stopping on held-out people, checkpoints that resume.

Everything random in an epoch follows from (seed, epoch), and the learning rate from the step, so a run that was killed and resumed takes
the same steps as one that was not. How the weights move is an `Optimisation`: our own networks use `OWN`, the published ones what was
published. On CUDA the forward pass runs in mixed precision, in bfloat16 where the card has it, else in float16 with a scaled loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.random import Generator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

from models.training.options import TrainOptions

WARM_UP = 0.1
"""Share of all steps over which the learning rate rises before its cosine fall."""


AVERAGE = 0.99
"""Decay per step of the running mean of the weights. The mean is what is validated and shipped: it is better than any single step, and far
less a matter of luck with few held-out people."""


TOLERANCE = 0.002
"""A later epoch is kept if its score is less than this below the best one: with few held-out people smaller differences are chance, and the
later mean has seen more."""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How the weights move.

    optimizer: "adamw" decays weights by `weight_decay`.  schedule: "cosine" with warm-up, or "constant".  average: decay of the running mean
    of the weights that is validated and kept, None for the weights themselves.  clip: largest norm of the gradient, None for none.
    tolerance: a later epoch is kept if its score is less than this below the best one.  accumulate: so many batches make one step, where a
    published batch does not fit into memory.
    """

    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    average: float | None = AVERAGE
    clip: float | None = 5.0
    tolerance: float = TOLERANCE
    accumulate: int = 1

    def factor(self, number: int, options: TrainOptions) -> float:
        """Learning rate in step `number` of the whole run, relative to that of the optimiser's parameter groups at the start."""
        return rate_factor(number / (options.epochs * options.steps)) if self.schedule == "cosine" else 1.0

    def build(self, module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """The optimiser over the parameters that are not frozen."""
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=learning_rate)
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=self.weight_decay)


OWN = Optimisation()

AS_PUBLISHED = Optimisation("adam", 0.0, "constant", None, None, tolerance=0.03)
"""Adam at a constant rate, nothing else: what all published scripts of the smartphone system do. With two held-out people one window more
or less is a hundredth of the error rate."""


class Task(Protocol):
    """What a network is trained for. `module` holds everything that learns, shipped or not."""

    module: nn.Module

    def loss(self, rng: Generator) -> Tensor:
        """Loss of the next batch. Every epoch comes with a generator of its own."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out people; "score" is the one to raise."""


def fit(
    task: Task, options: TrainOptions, out_dir: Path, *, label: str = "", optimisation: Optimisation = OWN
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Trains until the epochs are over or the score stands still; leaves the kept weights in the task. Returns one row of figures per
    epoch, and the row of the epoch that was kept.

    Resumes from out_dir/checkpoint.pt where that was written under the same options; TensorBoard logs if the package is installed.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = out_dir / "checkpoint.pt"
    device = torch.device(options.device)
    task.module.to(device)
    optimizer = optimisation.build(task.module, options.learning_rate)
    stepper = _Stepper(optimizer, optimisation, options)
    mean = _copy(task.module)
    history, best = _resume(checkpoint, task, optimizer, mean, options)
    board = _board(out_dir)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(label or options.name, total=options.epochs, completed=len(history), figures="")
        for epoch in range(len(history), options.epochs):
            if epoch - int(best["epoch"]) > options.patience:
                break
            row = {"epoch": float(epoch), "loss": _epoch(task, stepper, mean, options, epoch), **_validate(task, mean)}
            history.append(row)
            if row["score"] > best["score"] - optimisation.tolerance:
                best = {
                    "epoch": epoch,
                    "score": max(row["score"], best["score"]),
                    "module": {name: tensor.clone() for name, tensor in mean.items()},
                }
            state = {"options": options.resume_key, "history": history, "best": best, "mean": mean}
            _save(checkpoint, {**state, "module": task.module.state_dict(), "optimizer": optimizer.state_dict()})
            for key, value in row.items():
                board(key, value, epoch)
            figures = "  ".join(f"{key} {value:.4f}" for key, value in row.items() if key != "epoch")
            progress.update(bar, advance=1, figures=figures)
            if not progress.console.is_terminal:  # a log file gets lines, not a bar
                progress.console.print(
                    f"{label or options.name} epoch {epoch + 1}/{options.epochs}  {figures}", highlight=False, soft_wrap=True
                )
    task.module.load_state_dict(best["module"])
    task.module.eval()
    return history, history[int(best["epoch"])]


def _epoch(task: Task, stepper: _Stepper, mean: dict[str, Tensor], options: TrainOptions, epoch: int) -> float:
    """One epoch of steps, which the mean weights follow; returns the mean loss."""
    rng = np.random.default_rng([options.seed, epoch])
    torch.manual_seed(options.seed * 100_003 + epoch)
    task.module.train()
    total = 0.0
    for step in range(options.steps):
        number = epoch * options.steps + step
        total += stepper.step(task, rng, number)
        if stepper.optimisation.average is None:
            _follow(mean, task.module, 0.0)
        else:
            _follow(mean, task.module, min(stepper.optimisation.average, 1.0 - 1.0 / (number + 2)))
    if not math.isfinite(total):
        raise FloatingPointError(f"the loss of {options.name} is not finite in epoch {epoch}; lower the learning rate")
    return total / options.steps


class _Stepper:
    """One step of an optimiser, in mixed precision on CUDA."""

    def __init__(self, optimizer: torch.optim.Optimizer, optimisation: Optimisation, options: TrainOptions) -> None:
        self.optimizer, self.optimisation, self.options = optimizer, optimisation, options
        self.tops = [float(group["lr"]) for group in optimizer.param_groups]
        self.device = torch.device(options.device).type
        self.mixed = self.device == "cuda"
        self.dtype = torch.bfloat16 if not self.mixed or torch.cuda.is_bf16_supported() else torch.float16
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.mixed and self.dtype == torch.float16)

    def step(self, task: Task, rng: Generator, number: int) -> float:
        """Moves the weights once; `number` counts the steps of the whole run. Returns the loss."""
        factor = self.optimisation.factor(number, self.options)
        for group, top in zip(self.optimizer.param_groups, self.tops, strict=True):
            group["lr"] = top * factor
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.optimisation.accumulate):
            with torch.autocast(self.device, self.dtype, enabled=self.mixed):
                loss = task.loss(rng) / self.optimisation.accumulate
            self.scaler.scale(loss).backward()
            total += float(loss.detach())
        if self.optimisation.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(task.module.parameters(), self.optimisation.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return total


def rate_factor(progress: float) -> float:
    """Learning rate relative to its top: linear rise, cosine fall. progress: 0 to 1 over the whole run."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (progress - WARM_UP) / (1.0 - WARM_UP)))


@torch.no_grad()
def _follow(mean: dict[str, Tensor], module: nn.Module, decay: float) -> None:
    """mean <- decay mean + (1 - decay) weights; counters are copied."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            mean[name].lerp_(tensor, 1.0 - decay)
        else:
            mean[name].copy_(tensor)


@torch.no_grad()
def _validate(task: Task, mean: dict[str, Tensor]) -> dict[str, float]:
    """The task's figures with the mean weights in place."""
    steps = _copy(task.module)
    task.module.load_state_dict(mean)
    task.module.eval()
    figures = task.validate()
    task.module.load_state_dict(steps)
    return figures


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _resume(
    path: Path, task: Task, optimizer: torch.optim.Optimizer, mean: dict[str, Tensor], options: TrainOptions
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    if path.exists():
        state = torch.load(path, map_location=options.device, weights_only=True)
        if state["options"] == options.resume_key:
            task.module.load_state_dict(state["module"])
            optimizer.load_state_dict(state["optimizer"])
            mean.update(state["mean"])
            return state["history"], state["best"]
    return [], {"epoch": 0, "score": -math.inf, "module": _copy(task.module)}


def _save(path: Path, state: dict[str, Any]) -> None:
    """Written beside and renamed: a kill in the middle leaves the previous checkpoint."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _board(out_dir: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # an extra: `pip install gaitstream[train]`
        return lambda key, value, epoch: None
    return SummaryWriter(str(out_dir / "tensorboard")).add_scalar
