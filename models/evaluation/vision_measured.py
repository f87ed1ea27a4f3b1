"""What the runs of the published camera networks reach on people and pictures that they were not trained on: measured once, kept in their folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.data.vision_formats.pictures import JointPicture, joint_pictures
from models.evaluation.report import over_people
from models.evaluation.vision_pose import evaluate_pose
from models.evaluation.vision_table import GAIT_ENERGY, energy_baseline, fourier_baseline, held_out_walks, of_run
from models.training.vision import VisionRun, load_run
from models.training.vision_data import (
    CropWalk,
    JointWalk,
    filmed_crops,
    joint_walks,
    photographed_crops,
    silhouette_walks,
    split_walks,
)
from models.training.vision_gaitnet import GaitNetTask
from models.training.vision_simulated import simulated_crop_walks, simulated_joint_walks
from models.training.vision_simulated_pictures import simulated_pictures
from models.video.gaitnet import GaitNet
from models.vision_catalogue import BY_NAME, FOURIER

COMMAND, MEASURED = "command.txt", "table.json"
"""Files in a run's folder: the command that made it, and what was measured."""

JOINT_FILES, SILHOUETTE_FILES = ("kgbd", "kth_pose", "cmu_walk"), ("kth_sil", "casia_a_sil")
PICTURE_FILE, MASK_FILE = "lspet_upright", "pennfudan"


class Sources:
    """The walks and pictures of the table, read when first asked for."""

    def __init__(self, data_dir: Path, simulated: int, cache_dir: Path, videos: Path | None) -> None:
        self.data_dir, self.simulated, self.cache_dir, self.videos = data_dir, simulated, cache_dir, videos
        self._kept: dict[str, list[Any]] = {}

    def _once(self, name: str, make: Callable[[], list[Any]]) -> list[Any]:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def joints(self) -> list[JointWalk]:
        """Held-out walks of all files of joints and of the simulated walkers."""
        return self._once("joints", self._joints)

    def _joints(self) -> list[JointWalk]:
        files = [joint_walks(self.data_dir / f"{stem}.npz") for stem in JOINT_FILES]
        files += [simulated_joint_walks(self.simulated, self.cache_dir)] if self.simulated else []
        return [walk for walks in files for walk in held_out_walks(walks)]

    def silhouettes(self) -> list[CropWalk]:
        """Held-out walks of all files of silhouettes and of the simulated walkers: all by their silhouettes, without pictures."""
        return self._once("silhouettes", self._silhouettes)

    def _silhouettes(self) -> list[CropWalk]:
        files = [silhouette_walks(self.data_dir / f"{stem}.npz") for stem in SILHOUETTE_FILES]
        files += [simulated_crop_walks(self.simulated, self.cache_dir)] if self.simulated else []
        return [walk for walks in files for walk in held_out_walks(walks)]

    def pictures(self) -> list[JointPicture]:
        """All pictures with joints: whoever measures a run on them splits them."""
        return self._once("pictures", self._pictures)

    def _pictures(self) -> list[JointPicture]:
        return [*joint_pictures(self.data_dir / f"{PICTURE_FILE}.npz"), *simulated_pictures(self.simulated, self.cache_dir)]

    def masked(self) -> list[CropWalk]:
        """Held-out people with pictures and masks: Penn-Fudan, and KTH where its videos are at hand."""
        return self._once("masked", self._masked)

    def _masked(self) -> list[CropWalk]:
        files = [photographed_crops(self.data_dir / f"{MASK_FILE}.npz")]
        if self.videos is not None:
            everybody = silhouette_walks(self.data_dir / "kth_sil.npz")  # who is held out is decided among all people of the file
            held_out = {walk.subject for walk in split_walks(everybody)[1]}
            filmed = filmed_crops(self.data_dir / "kth_sil.npz", self.videos)
            return [*split_walks(files[0])[1], *(walk for walk in filmed if walk.subject in held_out)]
        return split_walks(files[0])[1]


def measured_run(folder: Path, source: Sources, device: str) -> dict[str, Any]:
    """What there is to measure of the run in a folder, from MEASURED while its weights and the number of simulated walkers stay."""
    stamp = (folder / "weights.safetensors").stat().st_mtime_ns
    file = folder / MEASURED
    if file.exists():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if (kept["stamp"], kept.get("simulated")) == (stamp, source.simulated):
            return kept
    run = load_run(folder)
    result: dict[str, Any] = {"stamp": stamp, "simulated": source.simulated, "name": run.name, "small": run.small}
    result |= {"cost": run.cost, "people": len(run.people)}
    result["trained_on"] = sorted({person.split("/")[0] for person in run.people})
    result["losses"] = {
        str(row.get("stage", "")): [own["loss"] for own in run.history if own.get("stage") == row.get("stage")] for row in run.history
    }
    command = folder / COMMAND
    result["command"] = command.read_text(encoding="utf-8").strip() if command.exists() else ""
    if BY_NAME[run.name].task == "pose":
        result["pose"] = evaluate_pose(run, source.pictures(), None, device)
    elif isinstance(run.network, GaitNet):
        if set(result["losses"]) != {"seg"}:
            result["sets"] = of_run(run, source.silhouettes(), device)
        if "seg" in result["losses"]:
            result["masks"] = masks_of(run, source.masked(), device)
    else:
        result["sets"] = of_run(run, source.joints(), device)
    file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def masks_of(run: VisionRun, walks: Sequence[CropWalk], device: str = "cpu") -> dict[str, Any]:
    """By file: people and overlap of found and given masks (intersection over union), of the trained and the untrained network."""
    result: dict[str, Any] = {}
    known = set(run.people)
    for source in sorted({walk.source for walk in walks}):
        own = [walk for walk in walks if walk.source == source and f"{walk.source}/{walk.subject}" not in known]
        overlaps: dict[str, dict[str, list[float]]] = {"iou": {}, "untrained_iou": {}}
        for name, network in (("iou", run.network), ("untrained_iou", run.untrained())):
            assert isinstance(network, GaitNet)
            for walk in own:
                value = GaitNetTask(network, "joint", [walk], [walk], 1, device).overlap()["mask_iou"]
                overlaps[name].setdefault(walk.subject, []).append(value)

        def figures(chosen: Sequence[str], by_name: dict[str, dict[str, list[float]]] = overlaps) -> dict[str, float]:
            return {name: float(np.mean([value for person in chosen for value in rows[person]])) for name, rows in by_name.items()}

        if own:
            rows = over_people(sorted(overlaps["iou"]), figures)
            result[source] = {"people": len(overlaps["iou"]), "figures": {name: asdict(row) for name, row in rows.items()}}
    return result


def baselines_of(file: Path, source: Sources) -> dict[str, dict[str, Any]]:
    """By method and set the figures of methods without a network, kept in a file."""
    key = f"{source.simulated}"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            rows: dict[str, dict[str, Any]] = kept["rows"]
            return rows
    rows = {FOURIER: fourier_baseline(source.joints()), GAIT_ENERGY: energy_baseline(source.silhouettes())}
    file.write_text(json.dumps({"key": key, "rows": rows}), encoding="utf-8")
    return rows
