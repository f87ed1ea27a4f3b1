"""Every published camera network on every set of walks it can read, beside its untrained self and the baselines without a network.

People: of every file the last third, which no run here has trained on. Of every person at most so many walks of the first recording are the
gallery, as many of later ones the probes, more of sets with few people; people of different files are never compared. Intervals: bootstrap over people as probes, against
the whole gallery; "better than untrained" is a paired interval of the difference that leaves out zero.
Shape letters: N walks, P probes, G gallery entries, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.linear_svm import fit_svm
from models.evaluation.report import Figure, over_people
from models.evaluation.scores import equal_error_rate
from models.evaluation.vision_evaluation import embedded
from models.evaluation.vision_protocols import Metric, chance_level, scores
from models.skeleton.fourier import spectral_distance, spectrum
from models.skeleton.inputs import heights
from models.training.vision import VisionRun, few_of
from models.training.vision_data import AnyWalk, CropWalk, JointWalk, enrolment_of, people_of, split_walks
from models.training.vision_held_out import labelled
from models.types import Float32
from models.vision_catalogue import BY_NAME, FOURIER

WALKS, LEAST_WALKS = 148, 4
"""Walks of a file, shared among its people, and of every person at least: half of the first recording, half of later ones."""

GAIT_ENERGY = "gait-energy-image"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of every probe against every gallery entry of one set. score_PG: higher is more alike.  own_PG: whose person is the same.
    other_PG: whose view is another.  probe_P: the probe's person.  chance: rank-1 of a guess.  right_P: whether the published classifier was
    right, where it is no nearest neighbour."""

    score_PG: NDArray[np.float64]
    own_PG: NDArray[np.bool_]
    other_PG: NDArray[np.bool_]
    probe_P: NDArray[np.str_]
    chance: float
    right_P: NDArray[np.bool_] | None = None

    def figures(self, people: Sequence[str]) -> dict[str, float]:
        """rank1, eer, across_rank1 (among gallery entries of other views than the probe's, as most of these systems were published) and perhaps
        svm_rank1, with these people as probes; one who occurs twice counts twice."""
        row_P = np.concatenate([np.flatnonzero(self.probe_P == person) for person in people])
        score_PG, own_PG = self.score_PG[row_P], self.own_PG[row_P]
        nearest_P = own_PG[np.arange(len(row_P)), score_PG.argmax(axis=1)]
        across_PG = np.where(self.other_PG[row_P], score_PG, -np.inf)
        across_P = own_PG[np.arange(len(row_P)), across_PG.argmax(axis=1)][self.other_PG[row_P].any(axis=1)]
        result = {
            "rank1": float(nearest_P.mean()),
            "across_rank1": float(across_P.mean()) if len(across_P) else float("nan"),
            "eer": equal_error_rate(score_PG[own_PG], score_PG[~own_PG]),
        }
        return result if self.right_P is None else {**result, "svm_rank1": float(self.right_P[row_P].mean())}


def held_out_walks(walks: Sequence[AnyWalk]) -> list[AnyWalk]:
    """The walks that every row of the table is measured on."""
    held_out = split_walks(walks)[1]
    return few_of(held_out, max(LEAST_WALKS, WALKS // len(people_of(held_out))))


def compared(vector_ND: Float32, walks: Sequence[Any], metric: Metric, *, svm: bool = False) -> dict[str, Comparison]:
    """Comparisons by file. Files without two people, or without a second recording of one of them, are left out."""

    def score(probes: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.float64]:
        return scores(vector_ND[probes], vector_ND[gallery], metric).astype(np.float64)

    result = {}
    vectors = labelled(vector_ND, walks)
    for source, gallery, probes in _parts(walks):
        right_P = None
        if svm:
            answers = fit_svm(vector_ND[gallery], vectors.subject_N[gallery]).answers(vector_ND[probes])
            right_P = np.array(answers) == vectors.subject_N[probes]
        result[source] = _comparison(score(probes, gallery), walks, gallery, probes, right_P)
    return result


def _comparison(
    score_PG: NDArray[np.float64],
    walks: Sequence[Any],
    gallery: NDArray[np.int64],
    probes: NDArray[np.int64],
    right_P: NDArray[np.bool_] | None = None,
) -> Comparison:
    vectors = labelled(np.zeros((len(walks), 1), np.float32), walks)
    enrolled, sought = vectors.chosen(gallery), vectors.chosen(probes)
    own_PG, same_PG = (a_P[:, None] == a_G for a_P, a_G in ((sought.subject_N, enrolled.subject_N), (sought.view_N, enrolled.view_N)))
    return Comparison(score_PG, own_PG, ~same_PG, sought.subject_N, chance_level(enrolled, sought), right_P)


def _parts(walks: Sequence[Any]) -> list[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """(file, gallery, probes) as indices; probes are of enrolled people only."""
    enrolled_N = enrolment_of(walks)
    source_N, subject_N = (np.array([getattr(walk, name) for walk in walks]) for name in ("source", "subject"))
    parts = []
    for source in np.unique(source_N):
        gallery, probes = (np.flatnonzero(chosen & (source_N == source)) for chosen in (enrolled_N, ~enrolled_N))
        if len(probes) and len(set(subject_N[gallery].tolist())) > 1:
            parts.append((str(source), gallery, probes))
    return parts


def of_run(run: VisionRun, walks: Sequence[Any], device: str = "cpu") -> dict[str, dict[str, Any]]:
    """By file: people, probes, chance, and the figures of the trained and the untrained network, with the difference. Raises ValueError
    where the network has trained on one of these people."""
    known = {f"{walk.source}/{walk.subject}" for walk in walks} & set(run.people)
    if known:
        raise ValueError(f"{run.name} was trained on {', '.join(sorted(known)[:3])}, whom the table measures")
    matcher = BY_NAME[run.name].matcher
    metric: Metric = "l1" if matcher == "l1" else "euclidean"
    sides: list[dict[str, Comparison]] = []
    for network in (run.network, run.untrained()):
        kept, vector_ND = embedded(network, walks, device, small=run.small)
        sides.append(compared(vector_ND, kept, metric, svm=matcher == "svm"))
    return {source: _row(own, sides[1][source]) for source, own in sides[0].items()}


def _row(trained: Comparison, untrained: Comparison) -> dict[str, Any]:
    people = sorted(set(trained.probe_P.tolist()))

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        own, start = trained.figures(chosen), untrained.figures(chosen)
        gained = {f"{name}_gained": own[name] - start[name] for name in ("rank1", "across_rank1")}
        gained["eer_gained"] = start["eer"] - own["eer"]
        return {**own, **{f"untrained_{name}": value for name, value in start.items()}, **gained}

    return {
        "people": len(people),
        "probes": len(trained.probe_P),
        "chance": trained.chance,
        "figures": _plain(over_people(people, figures)),
    }


def _plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    return {name: asdict(figure) for name, figure in figures.items()}


def of_comparison(comparison: Comparison) -> dict[str, Any]:
    """The row of a baseline."""
    people = sorted(set(comparison.probe_P.tolist()))
    rows = _plain(over_people(people, comparison.figures))
    return {"people": len(people), "probes": len(comparison.probe_P), "chance": comparison.chance, "figures": rows}


def fourier_baseline(walks: Sequence[JointWalk]) -> dict[str, dict[str, Any]]:
    """The Fourier matcher by file, on the same walks (name FOURIER)."""
    kept, spectra = [], []
    for walk in walks:
        try:
            spectra.append(spectrum(heights(walk.keypoints_TJ3)))
        except ValueError:  # nobody with hips and shoulders in view, as `prepared` leaves out for the networks
            continue
        kept.append(walk)
    result = {}
    for source, gallery, probes in _parts(kept):
        score_PG = np.array([[-spectral_distance(spectra[p], spectra[g]) for g in gallery] for p in probes])
        result[source] = of_comparison(_comparison(score_PG, kept, gallery, probes))
    return result


def energy_baseline(walks: Sequence[CropWalk]) -> dict[str, dict[str, Any]]:
    """Gait energy image, nearest neighbour by Euclid, by file (name GAIT_ENERGY)."""
    image_ND = np.stack([walk.masks_THW.mean(axis=0).reshape(-1) for walk in walks]).astype(np.float32)
    return {source: of_comparison(comparison) for source, comparison in compared(image_ND, walks, "euclidean").items()}


BASELINES = {FOURIER: "joints", GAIT_ENERGY: "silhouettes"}
"""What each reads."""
