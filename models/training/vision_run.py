"""One command to train a published camera network, one to evaluate what it became, one to lay all runs beside each other:

    python -m models.training.vision_run train gaitformer-sm ../shared/data/vision/kgbd.npz --out runs/gaitformer --small
    python -m models.training.vision_run evaluate runs/gaitformer ../shared/data/vision/kgbd.npz --figures runs/gaitformer/figures
    python -m models.training.vision_run table runs/* --data-dir ../shared/data/vision --simulated 60

Networks on joints read npz files of joints; `gaitnet` reads silhouettes, with `--videos DIR` the pictures behind them, and photographs with masks; pose networks read pictures with joints.
Simulated walkers join any of them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.data.recordings import RecordingError
from models.data.vision_formats.pictures import JointPicture, joint_pictures
from models.evaluation.sections import write_section
from models.evaluation.vision_evaluation import evaluate_vision
from models.evaluation.vision_measured import COMMAND
from models.evaluation.vision_pose import evaluate_pose
from models.evaluation.vision_report import section, table_of_runs
from models.training.vision import STAGES, VisionRun, load_run, train_gaitnet, train_joints
from models.training.vision_data import (
    CropWalk,
    JointWalk,
    OfPerson,
    filmed_crops,
    has_masked_photographs,
    joint_walks,
    people_of,
    photographed_crops,
    silhouette_walks,
)
from models.training.vision_pose import Target
from models.training.vision_pose_run import train_pose
from models.training.vision_simulated import simulated_crop_walks, simulated_joint_walks
from models.training.vision_simulated_pictures import simulated_pictures
from models.video.gaitnet import Stage
from models.vision_catalogue import BY_NAME


@dataclass(frozen=True, slots=True)
class Walks:
    """What a command reads. videos: folder of the videos behind silhouettes.  most_people: of each file.  simulated: walkers that join, whose
    walks are kept in cache_dir."""

    files: Sequence[Path]
    videos: Path | None = None
    most_people: int | None = None
    simulated: int = 0
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        """Raises RecordingError for a negative number of walkers."""
        if self.simulated < 0:
            raise RecordingError(f"simulated walkers are counted from 0, not {self.simulated}")

    def joints(self) -> list[JointWalk]:
        """Raises RecordingError naming file and field."""
        own = [joint_walks(file) for file in self.files]
        own += [simulated_joint_walks(self.simulated, self.cache_dir)] if self.simulated else []
        return [walk for walks in own for walk in self._first(walks)]

    def crops(self) -> list[CropWalk]:
        """With pictures where a video is at hand. Raises RecordingError naming file and field."""
        own = [self._crops_of(file) for file in self.files]
        own += [simulated_crop_walks(self.simulated, self.cache_dir)] if self.simulated else []
        return [walk for walks in own for walk in self._first(walks)]

    def _crops_of(self, file: Path) -> list[CropWalk]:
        if has_masked_photographs(file):
            return photographed_crops(file)
        filmed = [] if self.videos is None or not file.stem.startswith("kth") else filmed_crops(file, self.videos)
        have = {(walk.subject, walk.session) for walk in filmed}
        return [*filmed, *(walk for walk in silhouette_walks(file) if (walk.subject, walk.session) not in have)]

    def _first(self, walks: Sequence[OfPerson]) -> list[OfPerson]:
        people = set(people_of(walks)[: self.most_people])
        return [walk for walk in walks if (walk.source, walk.subject) in people]

    def pictures(self) -> list[JointPicture]:
        """Raises RecordingError naming file and field."""
        own = [joint_pictures(file) for file in self.files]
        own += [simulated_pictures(self.simulated, self.cache_dir)] if self.simulated else []
        return [picture for pictures in own for picture in self._first(pictures)]


def train_files(
    name: str,
    files: Sequence[Path],
    out_dir: Path,
    *,
    videos: Path | None = None,
    most_people: int | None = None,
    simulated: int = 0,
    small: bool = False,
    stages: Sequence[Stage] = STAGES,
    target: Target = "disc",
    start: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    accumulate: int = 1,
    steps: int = 0,
) -> VisionRun:
    """Trains on files and simulated walkers. stages: of gaitnet.  target: of pose networks.  start: a run whose weights are taken where names
    and shapes are the same.  accumulate: batches that make a step.  steps: of every epoch, 0 for a pass over the data or what the small recipe says.

    Raises RecordingError for an unknown name or an unusable file, ValueError where the walks do not suffice.
    """
    if name not in BY_NAME:
        raise RecordingError(f"{name}: no published camera network; there are {', '.join(BY_NAME)}")
    if not files and not simulated:
        raise RecordingError(f"{name}: nothing to train on; name files or simulated walkers")
    walks = Walks(files, videos, most_people, simulated, out_dir.parent / "walkers")
    weights = None if start is None else load_run(start).network.state_dict()
    if BY_NAME[name].task == "pose":
        return train_pose(
            name,
            walks.pictures(),
            out_dir,
            target=target,
            small=small,
            device=device,
            seed=seed,
            accumulate=accumulate,
            steps=steps,
            start=weights,
        )
    if name == "gaitnet":
        return train_gaitnet(
            walks.crops(), out_dir, small=small, stages=stages, device=device, seed=seed, accumulate=accumulate, steps=steps, start=weights
        )
    return train_joints(name, walks.joints(), out_dir, small=small, device=device, seed=seed, start=weights, steps=steps)


def evaluate_files(
    out_dir: Path,
    files: Sequence[Path],
    *,
    videos: Path | None = None,
    most_people: int | None = None,
    simulated: int = 0,
    figures_dir: Path | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Figures per file of the network that a run left in out_dir, on people that it was not trained on; pictures in figures_dir.

    Raises RecordingError for a folder without a run or an unusable file.
    """
    run = load_run(out_dir)
    walks = Walks(files, videos, most_people, simulated, out_dir.parent / "walkers")
    if BY_NAME[run.name].task == "pose":
        return evaluate_pose(run, walks.pictures(), figures_dir, device)
    return evaluate_vision(run, walks.crops() if run.name == "gaitnet" else walks.joints(), figures_dir, device)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with the error's text for files and names that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m models.training.vision_run", description="published camera networks")
    commands = parser.add_subparsers(dest="command", required=True)
    train, evaluate, table = (commands.add_parser(name) for name in ("train", "evaluate", "table"))
    train.add_argument("name")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--small", action="store_true", help="the recipe that fits a processor core in minutes")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="of gaitnet")
    train.add_argument("--target", choices=("disc", "gaussian"), default="disc", help="of pose networks")
    train.add_argument("--start", type=Path, help="a run whose weights are taken where names and shapes are the same")
    train.add_argument(
        "--accumulate", type=int, default=1, help="batches that make a step, where the published one does not fit into memory"
    )
    train.add_argument("--steps", type=int, default=0, help="steps of every epoch, in place of the recipe's")
    evaluate.add_argument("run", type=Path)
    for command in (evaluate, table):
        command.add_argument("--figures", type=Path, help="folder for pictures")
    table.add_argument("runs", type=Path, nargs="+")
    table.add_argument("--report", type=Path, help="report whose section is written, in place of standard output")
    table.add_argument("--data-dir", type=Path, required=True, help="folder of the npz files")
    for command in (train, evaluate):
        command.add_argument("files", type=Path, nargs="*")
        command.add_argument("--most-people", type=int, help="so many people of each file at most")
    for command in (train, evaluate, table):
        command.add_argument("--videos", type=Path, help="folder of the videos behind silhouettes")
        command.add_argument("--simulated", type=int, default=0, help="simulated walkers that join the files")
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    try:
        if options.command == "train":
            print(json.dumps(_train(options, arguments).kept))
        elif options.command == "evaluate":
            figures = evaluate_files(
                options.run, options.files, videos=options.videos, most_people=options.most_people, simulated=options.simulated,
                figures_dir=options.figures, device=options.device,
            )  # fmt: skip
            print(json.dumps(figures, indent=1))
        else:
            tables = table_of_runs(options.runs, options.data_dir, options.simulated, options.videos, options.device, options.figures)
            if options.report is None:
                print(tables)
            else:
                write_section(options.report, section(tables, _command(arguments)))
    except (RecordingError, ValueError) as error:
        parser.exit(1, f"{error}\n")


def _train(options: argparse.Namespace, arguments: Sequence[str] | None) -> VisionRun:
    run = train_files(
        options.name, options.files, options.out, videos=options.videos, most_people=options.most_people, simulated=options.simulated,
        small=options.small, stages=options.stages, target=options.target, start=options.start, device=options.device, seed=options.seed,
        accumulate=options.accumulate, steps=options.steps,
    )  # fmt: skip
    (options.out / COMMAND).write_text(f"{_command(arguments)}\n", encoding="utf-8")
    return run


def _command(arguments: Sequence[str] | None) -> str:
    return f"python -m models.training.vision_run {shlex.join(sys.argv[1:] if arguments is None else arguments)}"


if __name__ == "__main__":
    main()
