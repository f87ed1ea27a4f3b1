"""All runs of the published camera networks in Markdown tables: people told apart, joints found, masks; each with command, time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.data.recordings import RecordingError
from models.evaluation.markdown import percent, table
from models.evaluation.vision_measured import MASK_FILE, Sources, baselines_of, measured_run
from models.evaluation.vision_pictures import loss_curves

TITLES = {
    "kgbd": "KGBD, re-projected",
    "kth_pose": "KTH, poses",
    "cmu_walk": "CMU, re-projected",
    "kth_sil": "KTH, silhouettes",
    "casia_a_sil": "CASIA-A, silhouettes",
    "simulation": "simulated walkers",
    "pennfudan": "Penn-Fudan",
    "lspet_upright": "LSP-extended",
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


def system_of(network: str) -> str:
    """Of PUBLISHED, whose network it is."""
    return next(system for system in PUBLISHED if network.startswith(system))


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
    measured = {folder: measured_run(folder, source, device) for folder in folders}
    baselines = baselines_of(folders[0].parent / "baselines.json", source)
    if figures_dir is not None:
        losses: dict[str, dict[str, list[float]]] = {}
        for folder, run in measured.items():
            lines = losses.setdefault(system_of(run["name"]), {})
            lines |= {f"{folder.name} {stage}".strip(): own for stage, own in run["losses"].items()}
        loss_curves(losses, figures_dir / "loss-curves.png")
    parts = [
        ("People told apart", _people_table(measured, baselines)),
        (
            "Joints\n\nShare of joints within 20 and 50 % of the torso (upper neck to pelvis) of where they were marked, in pictures of people that the "
            "run did not train\non; beside it the mean place of that set's training joints, and the untrained network. 95 % intervals: bootstrap over pictures, of "
            "simulated walkers over\npeople; the verdict is the paired interval of the difference from the mean place: whether it leaves out zero.",
            pose_table(measured),
        ),
        (
            "Masks\n\nGaitNet's segmentation: intersection over union with the given masks, of people and photographs that the run did not train on.",
            _mask_table(measured),
        ),
        (
            "Recipes: command, loss, time and memory\n\nWhat the authors reached on their own data stands in the last column: **other people, other cameras, "
            "other protocols, not comparable**.",
            _recipe_table(measured),
        ),
    ]
    return "\n\n".join(f"### {title}\n\n{part}" for title, part in parts if part)


HEADING = "## The four published camera systems"

NOTE = """\
HumanPoseNN with GaitNN (system 1), GaitNet (2), GaitFormer with its baseline ST-GCN (3), static and dynamic disentanglement (4): whole networks, after
**minutes of one processor core on the data at hand**. What follows from the figures, what the small recipes change and the pictures stand in
[VISION.md](VISION.md).

* A row is one network on one set. The people measured are the last third of each file's people; no run here has trained on any of them. Of
  every person two walks (or views of one walk) of the first recording are the gallery, two of later recordings the probes. People of different
  files are never compared. Rank-1 is against the whole gallery, against its entries of **other views** only (the protocol under which most of
  these systems were published), and for GaitNN by the published support vector machine; equal error rate over all pairs. All in per cent.
* "42.5 → 35.0 (18–55)" is the same network with the same seed **before its first step**, then after training with the 95 % interval of a bootstrap
  over people. "Better", "worse" or "as untrained" in the verdict is the paired interval of the difference: whether it leaves out zero.
* Baselines without a network on the same walks: the Fourier matcher of system 1's fork (joints), gait energy image with nearest neighbour
  (silhouettes).
* KGBD and CMU are 3-D recordings re-projected to cameras at 90° and 45°. Simulated walkers carry the errors of a pose network or of a
  segmentation, from the same two angles, on two days with other clothes. KTH and CASIA-A are real pictures. Every real set is one visit per person:
  nothing shows drift from day to day. CMU leaves five people with two recordings, KTH and CASIA-A four: rows on them alone prove little."""


def section(tables: str, command: str) -> str:
    """The tables as a section of the report."""
    return f"{HEADING}\n\n`{command}`\n\n{NOTE}\n\n{tables}"


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


def pose_table(measured: dict[Path, dict[str, Any]]) -> str:
    """Markdown rows of pose networks by set; an empty text where no run is of one."""
    names = ("pck20", "usual_pck20", "untrained_pck20", "pck50", "usual_pck50", "untrained_pck50")
    rows = []
    for source in TITLES:
        for folder, run in measured.items():
            if source in run.get("pose", {}):
                row = run["pose"][source]
                words = [f"{TITLES[source]} · {run['name']} [{folder.name}]", str(row["people"]), str(row["pictures"])]
                figures = [percent(row["figures"][name]) for name in names]
                rows.append([*words, *figures, _pose_verdict(row["figures"]), PUBLISHED["human-pose"]])
    head = [
        "data · network [run]", "people", "pictures", "PCK@0.2", "mean place", "untrained", "PCK@0.5", "mean place", "untrained", "verdict",
        "published, other data",
    ]  # fmt: skip
    return table(head, rows) if rows else ""


def _pose_verdict(figures: dict[str, Any]) -> str:
    words = []
    for name, title in (("pck20_gained", "PCK@0.2"), ("pck50_gained", "PCK@0.5")):
        gained = figures[name]
        sure = gained["low"] is not None and (gained["low"] > 0 or gained["high"] < 0)
        words.append(f"{title} {'beats' if gained['value'] > 0 else 'is below'} the mean place" if sure else f"{title} as the mean place")
    return "; ".join(words)


def _mask_table(measured: dict[Path, dict[str, Any]]) -> str:
    rows = []
    for folder, run in measured.items():
        for name, row in run.get("masks", {}).items():
            figures = row["figures"]
            title = TITLES[MASK_FILE] if name == MASK_FILE else "KTH, videos"
            rows.append(
                [f"{title} · {run['name']} [{folder.name}]", str(row["people"]), percent(figures["iou"]), percent(figures["untrained_iou"])]
            )
    return table(["data · network [run]", "people or photographs", "IoU", "IoU untrained"], rows) if rows else ""


def _recipe_table(measured: dict[Path, dict[str, Any]]) -> str:
    rows = []
    for folder, run in measured.items():
        losses = ", ".join(f"{stage} {own[0]:.3g} → {own[-1]:.3g}".strip() for stage, own in run["losses"].items())
        cost = run["cost"]
        published = PUBLISHED[system_of(run["name"])]
        minutes, memory = (f"{cost.get('processor_s', 0) / 60:.1f}", f"{cost.get('memory_mb', 0):.0f}")
        rows.append([f"{run['name']} [{folder.name}]", f"`{run['command']}`", losses, minutes, memory, published])
    return table(["network [run]", "command", "training loss, first → last epoch", "processor min", "MB", "published on other data"], rows)
