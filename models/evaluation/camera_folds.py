"""What discriminants fitted on research recordings give people they never saw: `python -m models.evaluation.camera_folds --data-dir ../shared/data`.

The trunks are those of `gait-skeleton` and `gait-silhouette` as shipped, which know none of these people. In each of three folds over people the
discriminant is fitted anew on the others: on KGBD for joints, on CASIA-A and KTH for silhouettes, on KTH for both networks side by side. No
such weights are shipped. Rank-1 is told twice: among the people of the fold, and among all people of the set, of whom two thirds taught the
discriminant while those who are looked for did not.

Shape letters: W windows, F features, D embedding, I people, C cameras.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.camera_fusion import GaitCamera
from models.data.skeletons import load_walks_3d
from models.evaluation.camera import walk_vector
from models.evaluation.camera_tasks import Item, Task, casia_tasks, kth_tasks, walks_3d_tasks
from models.evaluation.markdown import table
from models.evaluation.report import over_people
from models.registry import find_network, load_weights
from models.training.camera import moments_of
from models.training.camera_walks import Cast, body_walks, filmed_windows, random_views
from models.training.discriminant import Moments, discriminant_of, mean_moments, moments
from models.types import CAMERA_WINDOW, Float32

FOLDS = 3

CAMERAS, WINDOWS_EACH = 16, 6
"""Views of everybody of KGBD that teach the discriminant, and windows in each."""

ERRORS = 0.3
"""Of the pose network in these views, as a share of the most."""

TARGETS = {"KGBD side": 0.92, "KGBD front": 0.92, "KGBD front → side": 0.70, "CASIA-A across views": 0.60, "KTH same scenario": 0.88}

Map = Callable[[Float32], Float32]
"""Features (W, F) to unit rows (W, D)."""

Fit = Callable[[set[str]], Sequence[Map]]
"""Of people to learn from, one map for each network of the task."""


def fitted(parts: Sequence[tuple[int, Moments]], dim: int) -> Map:
    """The discriminant of these moments."""
    weight_DF, bias_D = discriminant_of(mean_moments(parts), dim)

    def apply(rows_WF: Float32) -> Float32:
        rows_WD = rows_WF @ weight_DF.T + bias_D
        return np.asarray(rows_WD / np.linalg.norm(rows_WD, axis=1, keepdims=True), np.float32)

    return apply


class Features:
    """Features of walks, computed once."""

    def __init__(self, network: GaitCamera) -> None:
        self._network = network
        self._known: dict[tuple[int, str], tuple[Item, Float32]] = {}
        """By id, which stays an item's own as long as the item is kept here."""

    def of(self, item: Item, kind: str) -> Float32:
        """(W, F) of its joints or masks."""
        if (id(item), kind) not in self._known:
            with torch.inference_mode():
                rows = (
                    self._network.skeleton.features(torch.from_numpy(item.keypoints_WTJ3))
                    if kind == "joints"
                    else self._network.silhouette.features(torch.from_numpy(item.masks_WTHW))
                )
            self._known[id(item), kind] = item, rows[0].numpy()
        return self._known[id(item), kind][1]

    def by_person(self, tasks: Sequence[Task], kind: str) -> dict[str, Float32]:
        """(W, F) of everything there is of each person."""
        items = {id(item): item for task in tasks for item in [*task.enrol, *task.probe]}
        people = sorted({item.person for item in items.values()})
        return {person: np.concatenate([self.of(i, kind) for i in items.values() if i.person == person]) for person in people}


def hits(task: Task, kinds: Sequence[str], features: Features, fit: Fit) -> dict[str, list[tuple[bool, bool]]]:
    """By person, for each of its probes, whether it was found among the people of its fold, and among all."""
    people = sorted({item.person for item in task.enrol})
    found: dict[str, list[tuple[bool, bool]]] = {}
    for fold in range(FOLDS):
        mine = people[fold::FOLDS]
        maps = fit(set(people) - set(mine))

        def vector(items: Sequence[Item], maps: Sequence[Map] = maps) -> Float32:
            walks = [np.concatenate([m(features.of(i, k)) for m, k in zip(maps, kinds, strict=True)], axis=1) for i in items]
            each = np.stack([walk_vector(rows_WD, np.ones(len(rows_WD), np.float32)) for rows_WD in walks])
            return walk_vector(each, np.ones(len(each), np.float32))

        template_ID = np.stack([vector([item for item in task.enrol if item.person == person]) for person in people])
        inside_I = np.array([person in mine for person in people])
        for item in task.probe:
            if item.person in mine:
                score_I = template_ID @ vector([item])
                among = np.where(inside_I, score_I, -np.inf)
                own = people.index(item.person)
                found.setdefault(item.person, []).append((int(among.argmax()) == own, int(score_I.argmax()) == own))
    return found


def kgbd_rows(network: GaitCamera, data_dir: Path) -> tuple[list[str], torch.Tensor]:
    """(people, features (I, C, W, F)) of KGBD seen by random cameras, everybody by the same ones, with errors of a pose network."""
    walks = body_walks(load_walks_3d(data_dir / "vision" / "kgbd.npz"))
    cast = Cast(walks, copies=1, seed=0, strength=0.0)
    person, copy = cast.everybody()
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(CAMERAS):
        who, which = np.repeat(person, WINDOWS_EACH), np.repeat(copy, WINDOWS_EACH)
        windows = cast.windows(who, which, CAMERA_WINDOW, rng)
        x_NTJ3 = filmed_windows(windows, random_views(len(who), CAMERA_WINDOW, rng, one_camera=True), rng, ERRORS)
        with torch.inference_mode():
            parts = [network.skeleton.features(part)[0] for part in torch.from_numpy(x_NTJ3).split(512)]
        rows.append(torch.cat(parts).unflatten(0, (len(person), WINDOWS_EACH)))
    return [subject for _, subject in cast.persons], torch.stack(rows, dim=1)


def measure(data_dir: Path, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """A row per task: people, probes, both rank-1 rates with intervals over people."""
    network = GaitCamera().eval()
    for name, part in (("gait-skeleton", network.skeleton), ("gait-silhouette", network.silhouette)):
        part.load_state_dict(load_weights(find_network(name))[0].state_dict())
    features = Features(network)
    found: dict[str, dict[str, list[tuple[bool, bool]]]] = {}

    names, rows_ICWF = kgbd_rows(network, data_dir)

    def fit_kgbd(teachers: set[str]) -> Sequence[Map]:
        mine = rows_ICWF[torch.tensor([i for i, person in enumerate(names) if person in teachers])]
        parts = [(1, moments_of(mine.unbind(1))), (1, moments_of([mine.flatten(1, 2)]))]
        return [fitted(parts, network.skeleton.DIM)]

    for task in walks_3d_tasks("KGBD", load_walks_3d(data_dir / "vision" / "kgbd.npz")):
        if "noise" not in task.name:
            found[task.name] = hits(task, ("joints",), features, fit_kgbd)
            say(f"{task.name} done")

    casia, kth = casia_tasks(data_dir), kth_tasks(data_dir)
    of_casia, of_kth, joints_of_kth = (
        features.by_person(tasks, kind) for tasks, kind in ((casia, "masks"), (kth, "masks"), (kth, "joints"))
    )

    def fit_casia(teachers: set[str]) -> Sequence[Map]:
        rows = [rows for person, rows in of_casia.items() if person in teachers]
        return [fitted([(1, moments(rows)), (1, moments(list(of_kth.values())))], network.silhouette.DIM)]

    def fit_kth(teachers: set[str]) -> Sequence[Map]:
        joints, masks = ([rows for person, rows in own.items() if person in teachers] for own in (joints_of_kth, of_kth))
        return [
            fitted([(1, moments(joints))], network.skeleton.DIM),
            fitted([(1, moments(masks)), (1, moments(list(of_casia.values())))], network.silhouette.DIM),
        ]

    for task in casia:
        a, b = task.name.removeprefix("CASIA-A ").split(" → ")
        kind = "CASIA-A same view" if a == b else "CASIA-A across views"
        for person, own in hits(task, ("masks",), features, fit_casia).items():
            found.setdefault(kind, {}).setdefault(person, []).extend(own)
    for task in kth:
        a, b = task.name.removeprefix("KTH ").split(" → ")
        kind = "KTH same scenario" if a == b else task.name
        for person, own in hits(task, ("joints", "masks"), features, fit_kth).items():
            found.setdefault(kind, {}).setdefault(person, []).extend(own)
    return [_row(name, own) for name, own in found.items()]


def _row(name: str, own: dict[str, list[tuple[bool, bool]]]) -> dict[str, Any]:
    def rates(chosen: Sequence[str]) -> dict[str, float]:
        both = np.array([pair for person in chosen for pair in own[person]], float)
        return {"rank1_fold": float(both[:, 0].mean()), "rank1_all": float(both[:, 1].mean())}

    figures = over_people(sorted(own), rates, 0, 200)
    row: dict[str, Any] = {"task": name, "people": len(own), "probes": sum(map(len, own.values())), "target": TARGETS.get(name)}
    return row | {key: {"value": figure.value, "low": figure.low, "high": figure.high} for key, figure in figures.items()}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""

    def cell(figure: dict[str, Any]) -> str:
        return f"{figure['value']:.3f} ({figure['low']:.2f}–{figure['high']:.2f})"

    head = ("set and split", "people", "probes", "rank-1 within the fold", "rank-1 among all", "target")
    return table(
        head,
        [
            (r["task"], str(r["people"]), str(r["probes"]), cell(r["rank1_fold"]), cell(r["rank1_all"]), str(r["target"] or "–"))
            for r in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Discriminants on research recordings, by folds over people.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with vision/*.npz")
    parser.add_argument("--json", type=Path, help="file for all figures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(chosen.data_dir)
    print(markdown(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
