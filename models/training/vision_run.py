"""One command to train a published camera network and one to evaluate what it became:

    python -m models.training.vision_run train gaitformer-sm ../shared/data/vision/kgbd.npz --out runs/gaitformer --small
    python -m models.training.vision_run evaluate runs/gaitformer ../shared/data/vision/kgbd.npz --figures runs/gaitformer/figures

Networks on joints read npz files of joints; `gaitnet` reads silhouettes, with `--videos DIR` the pictures behind them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from models.data.recordings import RecordingError
from models.evaluation.vision_evaluation import evaluate_vision
from models.training.vision import VisionRun, load_run, train_gaitnet, train_joints
from models.training.vision_data import CropWalk, JointWalk, filmed_crops, joint_walks, people_of, silhouette_walks
from models.vision_registry import BY_NAME


def train_files(
    name: str,
    files: Sequence[Path],
    out_dir: Path,
    *,
    videos: Path | None = None,
    most_people: int | None = None,
    small: bool = False,
    device: str = "cpu",
    seed: int = 0,
) -> VisionRun:
    """Trains on files. Raises RecordingError for an unknown name or an unusable file, ValueError where the walks do not suffice."""
    if name not in BY_NAME or BY_NAME[name].task == "pose":
        trainable = ", ".join(entry.name for entry in BY_NAME.values() if entry.task == "embedding")
        raise RecordingError(f"{name}: no camera network that is trained on walks; there are {trainable}")
    if name == "gaitnet":
        return train_gaitnet(crops_of(files, videos, most_people), out_dir, small=small, device=device, seed=seed)
    return train_joints(name, joints_of(files, most_people), out_dir, small=small, device=device, seed=seed)


def joints_of(files: Sequence[Path], most_people: int | None = None) -> list[JointWalk]:
    """The walks of all files, of the first people of each."""
    walks = []
    for file in files:
        own = joint_walks(file)
        people = set(people_of(own)[:most_people])
        walks += [walk for walk in own if (walk.source, walk.subject) in people]
    return walks


def crops_of(files: Sequence[Path], videos: Path | None, most_people: int | None = None) -> list[CropWalk]:
    """The walks of all files, with pictures where a video is at hand."""
    walks = []
    for file in files:
        filmed = [] if videos is None or not file.stem.startswith("kth") else filmed_crops(file, videos)
        have = {(walk.subject, walk.session) for walk in filmed}
        own = [*filmed, *(walk for walk in silhouette_walks(file) if (walk.subject, walk.session) not in have)]
        people = set(people_of(own)[:most_people])
        walks += [walk for walk in own if (walk.source, walk.subject) in people]
    return walks


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with the error's text for files and names that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m models.training.vision_run", description="published camera networks")
    commands = parser.add_subparsers(dest="command", required=True)
    train, evaluate = commands.add_parser("train"), commands.add_parser("evaluate")
    train.add_argument("name")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--small", action="store_true", help="the recipe that fits a processor core in minutes")
    train.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--figures", type=Path, help="folder for pictures")
    for command in (train, evaluate):
        command.add_argument("files", type=Path, nargs="+")
        command.add_argument("--videos", type=Path, help="folder of the videos behind silhouettes")
        command.add_argument("--most-people", type=int, help="so many people of each file at most")
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    try:
        if options.command == "train":
            run = train_files(
                options.name,
                options.files,
                options.out,
                videos=options.videos,
                most_people=options.most_people,
                small=options.small,
                device=options.device,
                seed=options.seed,
            )
            print(json.dumps(run.kept))
            return
        run = load_run(options.run)
        walks = (
            crops_of(options.files, options.videos, options.most_people)
            if run.name == "gaitnet"
            else joints_of(options.files, options.most_people)
        )
        print(json.dumps(evaluate_vision(run, walks, options.figures, options.device), indent=1))
    except (RecordingError, ValueError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
