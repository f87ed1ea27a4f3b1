"""Evaluation of what recognises people by cameras: skeletons, silhouettes, both, and their baselines, on every set there is.

    python -m models.evaluation.camera --data-dir ../shared/data

prints a Markdown table; --json FILE writes all figures. A template is the mean of the windows of everything that a person is enrolled from, a
probe the mean of the windows of one walk. Terms of ISO/IEC 19795-1: rank-1; EER over all comparisons of probes with templates; TPIR at FPIR 1 %,
where every probe is also presented with its owner's template taken away.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.camera_embedder import CameraEmbedder
from models.evaluation.camera_tasks import Item, Task, all_tasks
from models.evaluation.markdown import table
from models.evaluation.report import Figure, over_people
from models.evaluation.scores import equal_error_rate, identification_rate, rank_rate
from models.registry import WEIGHTS_DIR, RegistryError, load_camera_embedder
from models.silhouette.gait_energy import GaitEnergy
from models.skeleton.statistics import HandStatistics
from models.types import Float32

Embed = Callable[[Item], tuple[Float32, Float32]]
"""A walk's windows as (W, D) unit rows and (W,) qualities; a window of quality 0 shows nobody."""

NETWORKS = {"gait-skeleton": ("joints",), "gait-silhouette": ("masks",), "gait-camera": ("joints", "masks")}
"""Networks, and the inputs that a set must have for each."""

BASELINES = {"hand statistics": ("joints",), "gait energy image": ("masks",)}

TARGET_FPIR = 0.01

RESAMPLES = 200


def network_embed(embedder: CameraEmbedder) -> Embed:
    """Windows through a network, and its qualities."""

    def embed(item: Item) -> tuple[Float32, Float32]:
        return embedder.embed(item.keypoints_WTJ3, item.masks_WTHW)

    return embed


def baseline_embed(name: str, gallery: Sequence[Item]) -> Embed:
    """A baseline, centred (and scaled) by the enrolled people. Raises KeyError for an unknown name."""
    if name == "hand statistics":
        hand = HandStatistics(np.concatenate([item.keypoints_WTJ3 for item in gallery]))
        return lambda item: (hand.embed(item.keypoints_WTJ3), np.ones(len(item.keypoints_WTJ3), np.float32))
    if name == "gait energy image":
        energy = GaitEnergy(np.concatenate([item.masks_WTHW for item in gallery]))
        return lambda item: (energy.embed(item.masks_WTHW), np.ones(len(item.masks_WTHW), np.float32))
    raise KeyError(name)


def walk_vector(vector_WD: Float32, weight_W: Float32) -> Float32:
    """(D,) unit mean of those of a walk's windows that show somebody."""
    mean_D = (vector_WD * (weight_W[:, None] > 0)).sum(axis=0)
    return np.asarray(mean_D / max(float(np.linalg.norm(mean_D)), 1e-9), np.float32)


def scores_of(task: Task, embed: Embed) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Enrolled people, and per person the scores (probes, enrolled) of its walks."""
    enrolled = [(item.person, walk_vector(*embed(item))) for item in task.enrol]
    people = sorted({person for person, _ in enrolled})
    walks = [np.stack([vector_D for other, vector_D in enrolled if other == person]) for person in people]
    template_GD = np.stack([walk_vector(rows_WD, np.ones(len(rows_WD), np.float32)) for rows_WD in walks])
    scores: dict[str, list[NDArray[np.float64]]] = {}
    for item in task.probe:
        if item.person in people:
            scores.setdefault(item.person, []).append((template_GD @ walk_vector(*embed(item))).astype(np.float64))
    return people, {person: np.stack(rows) for person, rows in scores.items()}


def figures_of(people: list[str], scores: Mapping[str, NDArray[np.float64]], seed: int = 0) -> dict[str, Figure]:
    """rank1, eer, tpir_at_fpir_1pct with intervals over the people who are looked for."""

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        score_PG = np.concatenate([scores[person] for person in chosen])
        own_P = np.concatenate([np.full(len(scores[person]), people.index(person)) for person in chosen])
        rows = np.arange(len(own_P))
        others = np.ones(score_PG.shape, bool)
        others[rows, own_P] = False
        without_PG = np.where(others, score_PG, -np.inf)
        return {
            "rank1": rank_rate(score_PG, own_P, 1),
            "eer": equal_error_rate(score_PG[rows, own_P], score_PG[others]),
            "tpir_at_fpir_1pct": identification_rate(score_PG, own_P, without_PG, TARGET_FPIR),
        }

    return over_people(sorted(scores), figures, seed, RESAMPLES)


def evaluate(task: Task, embedders: Mapping[str, CameraEmbedder]) -> list[dict[str, Any]]:
    """One row per network and baseline that can read what the set has."""
    rows = []
    for name, inputs in {**NETWORKS, **BASELINES}.items():
        if not set(inputs) <= set(task.inputs) or (name in NETWORKS and name not in embedders):
            continue
        embed = network_embed(embedders[name]) if name in NETWORKS else baseline_embed(name, task.enrol)
        people, scores = scores_of(task, embed)
        figures = figures_of(people, scores)
        rows.append(
            {
                "task": task.name,
                "network": name,
                "space": embedders[name].space if name in embedders else None,
                "people": len(people),
                "probes": sum(map(len, scores.values())),
                **{key: {"value": figure.value, "low": figure.low, "high": figure.high} for key, figure in figures.items()},
            }
        )
    return rows


def installed(weights_dir: Path) -> dict[str, CameraEmbedder]:
    """The camera networks whose weights are there."""
    found = {}
    for name in NETWORKS:
        try:
            found[name] = load_camera_embedder(name, weights_dir)
        except RegistryError as error:
            print(f"{name} is left out: {error}")
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table, figures with their 95 % intervals."""

    def cell(figure: dict[str, Any]) -> str:
        if figure["low"] is None:
            return f"{figure['value']:.3f}"
        return f"{figure['value']:.3f} ({figure['low']:.2f}–{figure['high']:.2f})"

    head = ("set and split", "network", "enrolled", "probes", "rank-1", "EER", "TPIR at FPIR 1 %")
    keys = ("rank1", "eer", "tpir_at_fpir_1pct")
    return table(
        head, [(row["task"], row["network"], str(row["people"]), str(row["probes"]), *(cell(row[key]) for key in keys)) for row in rows]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluates camera networks and baselines.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with vision/*.npz")
    parser.add_argument("--weights-dir", type=Path, default=WEIGHTS_DIR)
    parser.add_argument("--only", default="", help="tasks whose name begins so")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--cache-dir", type=Path, help="folder that keeps the simulated passes")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    embedders = installed(chosen.weights_dir)
    rows = [
        row
        for task in all_tasks(chosen.data_dir, chosen.cache_dir)
        if task.name.startswith(chosen.only)
        for row in evaluate(task, embedders)
    ]
    print(markdown(rows))
    print("\nOne visit per person: nothing here shows how recognition holds from day to day.")
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
