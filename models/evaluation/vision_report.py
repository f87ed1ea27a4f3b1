"""All runs of the published camera networks in Markdown tables: people told apart, joints found, masks; each with command, time and memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.data.recordings import RecordingError
from models.data.vision_formats.pictures import joint_pictures
from models.evaluation.markdown import percent, table
from models.evaluation.report import over_people
from models.evaluation.vision_pictures import loss_curves
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
from models.video.gaitnet import GaitNet
from models.vision_registry import BY_NAME, FOURIER

COMMAND, MEASURED = "command.txt", "table.json"
"""Files in a run's folder: the command that made it, and what the table measured."""

JOINT_FILES, SILHOUETTE_FILES = ("kgbd", "kth_pose", "cmu_walk"), ("kth_sil", "casia_a_sil")
PICTURE_FILE, MASK_FILE = "lspet_upright", "pennfudan"

TITLES = {
    "kgbd": "KGBD, re-projected",
    "kth_pose": "KTH, poses",
    "cmu_walk": "CMU, re-projected",
    "kth_sil": "KTH, silhouettes",
    "casia_a_sil": "CASIA-A, silhouettes",
    "simulation": "simulated walkers",
    "pennfudan": "Penn-Fudan",
}

PUBLISHED = {
    "gaitnn": "TUM GAID, 155 people: 96.9 (H3.6m-GRU-1), 32 people in two months: 72.3-80.1",
    "gaitnet": "CASIA-B NM, other view: 90.9; Outdoor-Gait: 77.9; SZU: 87.0",
    "gaitformer": "CASIA-B NM, pooled gallery: 92.5; FVG ALL: 85.3",
    "st-gcn": "baseline of GaitFormer; per-data figures only in its paper",
    "disentangle": "none printed; own log 98.5 on people it has probably seen",
    "human-pose": "mean error 8.7 px (MPII+LSP), 2.5 px (Human3.6M) of 289",
}
"""Rank-1 in per cent and joint errors that the authors reached on their own data: other people, other cameras, other protocols."""


def table_of_runs(
    runs: Sequence[Path], data_dir: Path, simulated: int, videos: Path | None = None, device: str = "cpu", figures_dir: Path | None = None
) -> str:
    """Markdown of the tables, and loss-curves.png where figures are asked for. What was measured of a run lies in its folder (MEASURED) and is not measured again while its weights stay.

    runs: folders; those without a run are passed over. Raises RecordingError for data that cannot be read.
    """
    folders = [folder for folder in runs if (folder / "run.json").exists()]
    if not folders:
        raise RecordingError(f"{', '.join(map(str, runs))}: no folder of a training run among these")
    source = Sources(data_dir, simulated, folders[0].parent / "walkers", videos)
    measured = {folder: _measured(folder, source, device) for folder in folders}
    baselines = _baselines(folders[0].parent / "baselines.json", source)
    if figures_dir is not None:
        losses = {f"{folder.name} {stage}".strip(): own for folder, run in measured.items() for stage, own in run["losses"].items()}
        loss_curves(losses, figures_dir / "loss-curves.png", "Training loss")
    parts = [_people_table(measured, baselines), _pose_table(measured), _mask_table(measured), _recipe_table(measured)]
    return "\n\n".join(part for part in parts if part)


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


def _measured(folder: Path, source: Sources, device: str) -> dict[str, Any]:
    stamp = (folder / "weights.safetensors").stat().st_mtime_ns
    file = folder / MEASURED
    if file.exists():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if kept["stamp"] == stamp:
            return kept
    run = load_run(folder)
    result: dict[str, Any] = {"stamp": stamp, "name": run.name, "small": run.small, "cost": run.cost, "people": len(run.people)}
    result["trained_on"] = sorted({person.split("/")[0] for person in run.people})
    result["losses"] = {
        str(row.get("stage", "")): [own["loss"] for own in run.history if own.get("stage") == row.get("stage")] for row in run.history
    }
    command = folder / COMMAND
    result["command"] = command.read_text(encoding="utf-8").strip() if command.exists() else ""
    if BY_NAME[run.name].task == "pose":
        result["pose"] = evaluate_pose(run, joint_pictures(source.data_dir / f"{PICTURE_FILE}.npz"), None, device)
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


def _baselines(file: Path, source: Sources) -> dict[str, dict[str, Any]]:
    key = f"{source.simulated}"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            rows: dict[str, dict[str, Any]] = kept["rows"]
            return rows
    rows = {FOURIER: fourier_baseline(source.joints()), GAIT_ENERGY: energy_baseline(source.silhouettes())}
    file.write_text(json.dumps({"key": key, "rows": rows}), encoding="utf-8")
    return rows


def _people_table(measured: dict[Path, dict[str, Any]], baselines: dict[str, dict[str, Any]]) -> str:
    rows: list[list[str]] = []
    sets = [name for name in TITLES if any(name in own.get("sets", {}) for own in measured.values())]
    for name in sets:
        own = [(f"**{method}** (no network)", rows_by_set[name], None) for method, rows_by_set in baselines.items() if name in rows_by_set]
        trained = [
            (f"{run['name']} [{folder.name}]", run["sets"][name], run) for folder, run in measured.items() if name in run.get("sets", {})
        ]
        best = {f: _value(row, f) for _, row, _ in own for f in ("rank1", "eer")}
        for words, row, run in [*own, *trained]:
            figures = row["figures"]
            rows.append(
                [
                    f"{TITLES[name]} · {words}", str(row["people"]), str(row["probes"]), f"{100 * row['chance']:.0f}",
                    _both(figures, "rank1"), _both(figures, "across_rank1"), _both(figures, "svm_rank1"), _both(figures, "eer"), "–" if run is None else _verdict(row, best, name, run),
                ]
            )  # fmt: skip
    head = ["data · network [run]", "people", "probes", "chance", "rank-1", "rank-1, other views", "rank-1 by SVM", "EER", "verdict"]
    return table(head, rows) if rows else ""


def _both(figures: dict[str, Any], name: str) -> str:
    """The trained network's figure with its interval, the untrained one's behind an arrow."""
    start = figures.get(f"untrained_{name}")
    return percent(figures.get(name)) if start is None else f"{percent(start, interval=False)} → {percent(figures[name])}"


def _value(row: dict[str, Any], figure: str) -> float:
    return float(row["figures"][figure]["value"])


def _verdict(row: dict[str, Any], best: dict[str, float], name: str, run: dict[str, Any]) -> str:
    figures = row["figures"]
    low = figures["rank1"]["low"]
    words = ["above chance" if low is not None and low > row["chance"] else "not above chance"]
    for figure, title in (("rank1_gained", "rank-1"), ("across_rank1_gained", "other views"), ("eer_gained", "EER")):
        gained = figures[figure]
        if gained["value"] != gained["value"]:  # NaN: one view only
            continue
        sure = gained["low"] is not None and (gained["low"] > 0 or gained["high"] < 0)
        words.append(f"{title} {'better' if gained['value'] > 0 else 'worse'} than untrained" if sure else f"{title} as untrained")
    if best:
        words.append(f"{'beats' if _value(row, 'rank1') > best['rank1'] else 'does not beat'} the baseline's rank-1")
        words.append(f"{'beats' if _value(row, 'eer') < best['eer'] else 'does not beat'} its EER")
    if name not in run["trained_on"]:
        words.append("never trained on this set")
    return "; ".join(words)


def _pose_table(measured: dict[Path, dict[str, Any]]) -> str:
    rows = []
    for folder, run in measured.items():
        if "pose" in run:
            figures = run["pose"]["figures"]
            names = ("pck20", "usual_pck20", "untrained_pck20", "pck50", "usual_pck50", "untrained_pck50")
            words = [f"LSP-extended · {run['name']} [{folder.name}]", str(run["pose"]["trained_on"]), str(run["pose"]["pictures"])]
            rows.append([*words, *(percent(figures[name]) for name in names), PUBLISHED["human-pose"]])
    head = [
        "data · network [run]", "trained on", "measured on", "PCK@0.2", "mean place", "untrained", "PCK@0.5", "mean place", "untrained",
        "published, other data",
    ]  # fmt: skip
    return table(head, rows) if rows else ""


def _mask_table(measured: dict[Path, dict[str, Any]]) -> str:
    rows = []
    for folder, run in measured.items():
        for name, row in run.get("masks", {}).items():
            figures = row["figures"]
            title = TITLES["pennfudan"] if name == "pennfudan" else "KTH, videos"
            rows.append(
                [f"{title} · {run['name']} [{folder.name}]", str(row["people"]), percent(figures["iou"]), percent(figures["untrained_iou"])]
            )
    return table(["data · network [run]", "people or photographs", "IoU", "IoU untrained"], rows) if rows else ""


def _recipe_table(measured: dict[Path, dict[str, Any]]) -> str:
    rows = []
    for folder, run in measured.items():
        losses = ", ".join(f"{stage} {own[0]:.3g} → {own[-1]:.3g}".strip() for stage, own in run["losses"].items())
        cost = run["cost"]
        published = next(words for family, words in PUBLISHED.items() if run["name"].startswith(family))
        minutes, memory = (f"{cost.get('processor_s', 0) / 60:.1f}", f"{cost.get('memory_mb', 0):.0f}")
        rows.append([f"{run['name']} [{folder.name}]", f"`{run['command']}`", losses, minutes, memory, published])
    return table(["network [run]", "command", "training loss, first → last epoch", "processor min", "MB", "published on other data"], rows)
