"""The research embedding on people it never saw: `python -m models.evaluation.research_folds --data-dir ../shared/data --out REPORT.md`.

Every fold fits `gait-tcn-research` as its command does, on two thirds of the people of all sets, and measures the others. The trunk, which is
the default network's, knows people of MotionSense and GeoTec (its model card names them), so those are never measured: the other six of MotionSense
are measured together, by a fit without them. People are compared with people of the same fold, set and sensor only. Equal error rates pool the
scores of a set's folds under one threshold; TPIR has a threshold and a gallery of its own in every fold. Windows are level walking by the labels.

Shape letters: W windows, D embedding, P probes, G people of a gallery.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.catalogue import EMBEDDING
from models.data.gravity import completed
from models.data.loading import load_recordings
from models.data.recordings import Recording
from models.data.simulated import FIRST_TRAINING_SEED, simulate
from models.evaluation.embedded import probe_vectors, templates
from models.evaluation.labelled import embed_windows, labelled_windows
from models.evaluation.markdown import percent, table
from models.evaluation.report import Figure, over_people
from models.evaluation.scores import identification_rate
from models.evaluation.sections import write_section
from models.evaluation.splits import Divide, by_halves, by_session
from models.evaluation.verification import Pairs, embedded_scores, verification_of_scores
from models.inertial.networks import GaitTCN
from models.registry import find_network, load_weights, read_card
from models.training.corpus import build_corpus
from models.training.embedding import features_by_identity, fill_discriminant
from models.training.train import embed_with
from models.training.trunk import on_trunk

NAME = "gait-tcn-research"
HEADING = "## Research set, by folds over people"
"""Of its section in the report."""
FILES = ("motionsense", "geotec_spsw", "hapt", "ipol265_footL")
FOLDS = 3
WALKERS = 100
"""Simulated walkers that join every fit."""

FPIR = 0.01
PROBE_WINDOWS = (1, 4)


@dataclass(frozen=True, slots=True)
class Measured:
    """A set that is measured. divide: (enrolment, probes).  where: its recordings.  targets: EER in percent, of one and of four windows."""

    source: str
    title: str
    divide: Divide
    where: str | None
    targets: tuple[float, float]


SETS = (
    Measured("hapt", "HAPT, experiment 1 → 2", by_session(["1"]), None, (7.0, 4.0)),
    Measured("motionsense", "MotionSense, trial 7 → 8 and 15", by_session(["7"], key="trial"), "trial=7,8,15", (4.5, 3.5)),
    Measured("ipol265_footL", "IPOL 265 left foot, first → second half of the runs", by_halves, None, (11.0, 7.5)),
)

Galleries = dict[str, dict[str, dict[int, tuple[NDArray[np.float64], int]]]]
"""By gallery, by person, by windows of the probe: scores (P, G) and the person's own column."""


@dataclass
class Scored:
    """Comparisons of one network on one set, over all folds."""

    pairs: dict[str, Pairs]
    galleries: Galleries
    people: list[str]

    def add(self, network: GaitTCN, recordings: Sequence[Recording], measured: Measured, fold: str) -> None:
        """Compares the people of a fold who carried the same sensor in the same place."""
        for placement in sorted({recording.placement for recording in recordings}):
            own = [recording for recording in recordings if recording.placement == placement]
            enrolled, probes = (embed_windows(embed_with(network), labelled_windows(part)) for part in measured.divide(own))
            people, scores = embedded_scores(enrolled, probes)
            if len(people) < 2:
                continue
            for kind in map(str, PROBE_WINDOWS):
                pairs = scores.get(kind, {})
                self.pairs.setdefault(kind, {}).update({(f"{a}/{placement}", f"{b}/{placement}"): rows for (a, b), rows in pairs.items()})
            self.people += [f"{person}/{placement}" for person in people]
            _, template_GD = templates(enrolled)
            gallery = self.galleries.setdefault(f"{fold}/{placement}", {})
            for item in [item for item in probes if item.person in people]:
                for n in PROBE_WINDOWS:
                    rows_PG = (probe_vectors(item, n) @ template_GD.T).astype(np.float64)
                    kept = gallery.setdefault(f"{item.person}/{placement}", {})
                    before = [kept[n][0]] if n in kept else []
                    kept[n] = np.concatenate([*before, rows_PG]), people.index(item.person)

    def figures(self) -> dict[str, Figure]:
        """EER and TPIR with intervals over people."""
        verified = verification_of_scores(self.pairs, self.people, {}).figures
        drawn = [(gallery, person) for gallery, own in self.galleries.items() for person in own]
        return {**verified, **over_people(drawn, lambda chosen: {f"tpir_{n}": self._tpir(chosen, n) for n in PROBE_WINDOWS}, resamples=200)}

    def _tpir(self, chosen: Sequence[tuple[str, str]], windows: int) -> float:
        """Share of probes found by their owner's template, above the threshold that FPIR of their own gallery's probes reach without it."""
        found = total = 0.0
        for gallery in sorted({gallery for gallery, _ in chosen}):
            parts = [self.galleries[gallery][person][windows] for where, person in chosen if where == gallery]
            parts = [part for part in parts if len(part[0])]
            if not parts:
                continue
            score_PG = np.concatenate([rows for rows, _ in parts])
            own_P = np.concatenate([np.full(len(rows), column) for rows, column in parts])
            without_PG = score_PG.copy()
            without_PG[np.arange(len(own_P)), own_P] = -np.inf
            found += len(own_P) * identification_rate(score_PG, own_P, without_PG, FPIR)
            total += len(own_P)
        return found / total if total else float("nan")

    def enrolled(self) -> str:
        """Least and most people of a gallery."""
        sizes = [next(iter(next(iter(own.values())).values()))[0].shape[1] for own in self.galleries.values() if own]
        return f"{min(sizes)}-{max(sizes)}" if min(sizes) < max(sizes) else str(sizes[0])


def folds_of(recordings: Sequence[Recording], known: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The fold in which each (source, person) is measured; people of each sensor spread evenly. Those the trunk knows are in none; of a set it
    knows people of, the others are one fold of their own."""
    folds: dict[tuple[str, str], str] = {}
    for source in sorted(measured.source for measured in SETS):
        placement = {recording.subject: recording.placement for recording in recordings if recording.source == source}
        people = sorted(placement, key=lambda person: (placement[person], person))
        if any((source, person) in known for person in people):
            folds |= {(source, person): "others" for person in people if (source, person) not in known}
        else:
            folds |= {(source, person): str(i % FOLDS + 1) for i, person in enumerate(people)}
    return folds


def known_to_trunk(card_of: Callable[[str], dict[str, object]] = read_card) -> set[tuple[str, str]]:
    """(source, person) of everybody the trunk was trained or stopped by."""
    data = card_of(str(find_network(NAME).pretrained))["data"]
    assert isinstance(data, dict)
    return {
        (source, p) for source, use in data.items() for part in ("trained_on", "held_out") if isinstance(use[part], list) for p in use[part]
    }


def networks_of(training: Sequence[Recording]) -> dict[str, GaitTCN]:
    """What is compared: the default weights as they are; one discriminant for all places; one for each."""
    research = find_network(NAME)
    default = find_network(str(research.pretrained), EMBEDDING)
    shipped, _ = load_weights(default)
    assert isinstance(shipped, GaitTCN)
    single, placed = on_trunk(replace(research, build=default.build)), on_trunk(research)
    features = features_by_identity(placed, build_corpus(training), "cpu")
    for network in (single, placed):
        fill_discriminant(network, features)
    return {"default weights": shipped.eval(), "one discriminant, all sets": single, NAME: placed}


def measure(data_dir: Path, say: Callable[[str], None] = print) -> dict[str, dict[str, Scored]]:
    """By source, by network, the comparisons of all folds."""
    recordings = completed([recording for file in FILES for recording in load_recordings(data_dir / "imu" / f"{file}.npz")])
    recordings += simulate(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + WALKERS), sessions=3, duration_s=20.0)
    folds = folds_of(recordings, known_to_trunk())
    results: dict[str, dict[str, Scored]] = {}
    for fold in sorted(set(folds.values())):
        held_out = {key for key, own in folds.items() if own == fold}
        networks = networks_of([recording for recording in recordings if (recording.source, recording.subject) not in held_out])
        for measured in SETS:
            kept = {r.name for r in load_recordings(data_dir / "imu" / f"{measured.source}.npz", where=measured.where)}
            own = [r for r in recordings if r.source == measured.source and r.name in kept and (r.source, r.subject) in held_out]
            for name, network in networks.items() if own else ():
                results.setdefault(measured.source, {}).setdefault(name, Scored({}, {}, [])).add(network, own, measured, fold)
        say(f"fold {fold}: {len(held_out)} people measured")
    return results


def section(results: dict[str, dict[str, Scored]], command: str) -> str:
    """The section of the report."""
    rows = []
    for measured in SETS:
        for name, scored in results[measured.source].items():
            figures = {key: {"value": f.value, "low": f.low, "high": f.high} for key, f in scored.figures().items()}
            reached = [100 * figures[f"eer_{n}"]["value"] <= target for n, target in zip(PROBE_WINDOWS, measured.targets, strict=True)]  # type: ignore[operator]
            rows.append(
                [
                    measured.title,
                    name,
                    *(percent(figures[key]) for key in ("eer_1", "eer_4", "tpir_1", "tpir_4")),
                    str(len(scored.people)),
                    scored.enrolled(),
                    " / ".join(f"{target:g}" for target in measured.targets),
                    " / ".join("yes" if yes else "no" for yes in reached),
                ]
            )
    head = [
        "data", "network", "EER, 1 window", "EER, 4", "TPIR at FPIR 1 %, 1 window", "TPIR, 4",
        "people", "N enrolled", "target EER 1 / 4", "reached",
    ]  # fmt: skip
    return f"{HEADING}\n\nMade by `{command}` on {datetime.now(UTC):%Y-%m-%d}. {NOTE}\n\n{table(head, rows)}\n"


NOTE = f"""\
Percent, 95 % bootstrap intervals over people. Every fold fits the discriminants of `{NAME}` on the other
people of all sets (and {WALKERS} simulated walkers) and measures people that neither they nor the trunk saw: HAPT and the foot set in {FOLDS} folds, MotionSense 13-18 in
one, because the trunk knows 1-12. People are compared within a fold and with people who wore the same sensor; TPIR is over galleries of N people, so
small that it says little. *Default weights* and *one discriminant* are of the same pairs of people. The foot set has gravity put back along the sensor's z axis in all
rows. Everything is one visit per person."""


def main() -> None:
    """Measures and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with imu/*.npz")
    parser.add_argument("--out", type=Path, required=True, help="the report whose section is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python -m models.evaluation.research_folds --data-dir {options.data_dir} --out {options.out}"
    write_section(options.out, section(measure(options.data_dir), command))


if __name__ == "__main__":
    main()
