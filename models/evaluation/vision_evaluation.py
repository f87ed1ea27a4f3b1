"""Evaluates a trained camera network on people it has not seen, under the published protocols, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.data.recordings import RecordingError
from models.evaluation.figures import det_plot
from models.evaluation.linear_svm import fit_svm
from models.evaluation.scores import DetCurve, det_curve, thinned
from models.evaluation.vision_pictures import code_heat_maps, exchange_strip, fourier_picture, view_matrix_picture
from models.evaluation.vision_protocols import (
    LabelledVectors,
    Metric,
    chance_level,
    equal_error_of,
    pooled_gallery,
    rank_rates,
    scores,
    view_matrix,
)
from models.skeleton.disentangle import Disentangle
from models.skeleton.fourier import spectrum
from models.skeleton.inputs import heights
from models.training.vision import VisionRun
from models.training.vision_data import CropWalk, JointWalk, enrolment_of
from models.training.vision_feeding import DisentangleFeeding, feeding_of, pieces
from models.training.vision_gaitnet import SHORTEST, GaitNetTask
from models.training.vision_held_out import labelled
from models.training.vision_tasks import embed_walks, prepared
from models.types import Float32
from models.video.gaitnet import GaitNet
from models.vision_catalogue import BY_NAME

CLIPS = 20
"""Random six-frame clips of a sequence, as published."""

DET_POINTS = 200


def evaluate_vision(
    run: VisionRun, walks: Sequence[JointWalk] | Sequence[CropWalk], figures_dir: Path | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Figures per file of walks: rank-1 and -5 with the chance level, equal error rate, view matrix with and without the identical view, pooled
    gallery, and for GaitNN the support vector machine. Gallery: every person's first recording; the others are probes.

    People that the network was trained on are left out. Raises RecordingError where none is left.
    """
    known = set(run.people)
    strangers: list[Any] = [walk for walk in walks if f"{walk.source}/{walk.subject}" not in known]
    run.network.to(device).eval()
    kept, vector_ND = embedded(run.network, strangers, device, small=run.small)
    if not kept:
        raise RecordingError(f"{run.name} was trained on all people of these files: nobody is left to evaluate it on")
    matcher = BY_NAME[run.name].matcher
    metric: Any = "l1" if matcher == "l1" else "euclidean"
    result: dict[str, Any] = {}
    curves: dict[str, list[list[float]]] = {}
    gallery_N, source_N = enrolment_of(kept), np.array([walk.source for walk in kept])
    vectors = labelled(vector_ND, kept)
    for source in np.unique(source_N):
        gallery, probes = vectors.chosen(gallery_N & (source_N == source)), vectors.chosen(~gallery_N & (source_N == source))
        if not len(probes) or len(set(gallery.subject_N.tolist())) < 2:
            result[str(source)] = {"left out": "fewer than two people with two recordings"}
            continue
        matrix = view_matrix(gallery, probes, metric)
        ranks = rank_rates(gallery, probes, metric, (1, 5))
        row = {
            "people": len(set(gallery.subject_N.tolist())),
            "probes": len(probes),
            "rank1": ranks[1],
            "rank5": ranks[5],
            "chance": chance_level(gallery, probes),
            "eer": equal_error_of(gallery, probes, metric),
            "view_matrix": {"mean": matrix.mean, "without_identical": matrix.mean_without_identical, "identical": matrix.mean_identical},
            "pooled_gallery": pooled_gallery(gallery, probes, metric),
        }
        if matcher == "svm":
            answers = fit_svm(gallery.vector_ND, gallery.subject_N).answers(probes.vector_ND)
            row["svm_rank1"] = float(np.mean(np.array(answers) == probes.subject_N))
        result[str(source)] = row
        if figures_dir is not None:
            curves[str(source)] = thinned(trade_off(gallery, probes, metric), DET_POINTS)
            view_matrix_picture(matrix, figures_dir / f"views-{source}.png", f"{run.name}, {source}, people not trained on")
    if figures_dir is not None:
        if curves:
            det_plot(curves, figures_dir / "det.png", f"{run.name}, people not trained on")
        _joint_pictures(run, kept, figures_dir)
    return result


def trade_off(gallery: LabelledVectors, probes: LabelledVectors, metric: Metric) -> DetCurve:
    """Detection error trade-off over all pairs of probe and gallery entry."""
    score_PG = scores(probes.vector_ND, gallery.vector_ND, metric).astype(np.float64)
    same_PG = probes.subject_N[:, None] == gallery.subject_N[None, :]
    return det_curve(score_PG[same_PG], score_PG[~same_PG])


def embedded(network: nn.Module, walks: Sequence[Any], device: str, *, small: bool) -> tuple[list[Any], Float32]:
    """The walks that a network can read, and a vector of each, (N, D)."""
    if isinstance(network, GaitNet):
        kept = [walk for walk in walks if len(walk.masks_THW) >= SHORTEST]
        if not kept:
            return [], np.zeros((0, 1), np.float32)
        return kept, GaitNetTask(network, "joint", kept, [], 1, device).embed(kept, CLIPS)
    feeding = feeding_of(network, small=small)  # type: ignore[arg-type]
    kept, walk_N = prepared(feeding, walks)
    return kept, embed_walks(network, feeding, walk_N, device) if kept else np.zeros((0, 1), np.float32)  # type: ignore[arg-type]


def _joint_pictures(run: VisionRun, walks: Sequence[JointWalk] | Sequence[CropWalk], figures_dir: Path) -> None:
    """Spectra of two walks each of two people; codes and exchanged views of a triplet where the network has such."""
    joints = [walk for walk in walks if isinstance(walk, JointWalk)]
    alike = [walk for walk in joints if (walk.view, walk.source) == (joints[0].view, joints[0].source)]
    subjects = sorted({walk.subject for walk in alike})[:2]
    chosen = [walk for subject in subjects for walk in [item for item in alike if item.subject == subject][:2]]
    if chosen:
        spectra = {
            f"person {walk.subject}, view {walk.view}, walk {walk.session}": spectrum(heights(walk.keypoints_TJ3)) for walk in chosen
        }
        fourier_picture(spectra, figures_dir / "fourier.png", "Heights of joints")
    if not isinstance(run.network, Disentangle):
        return
    triplet = _triplet(joints)
    if triplet is not None:
        feeding = DisentangleFeeding()
        clips = [pieces(feeding.prepare(walk.keypoints_TJ3), feeding.frames, 1)[0] for walk in triplet]
        batch_3TJ2 = feeding.batch(clips)
        words = ", ".join(f"{name} {walk.subject} {walk.view}°" for name, walk in zip("avi", triplet, strict=True))
        network = run.network.cpu()
        with torch.no_grad():
            code_heat_maps(network, batch_3TJ2, figures_dir / "codes.png", words)
            exchange_strip(network, batch_3TJ2[0], batch_3TJ2[1], figures_dir / "exchange.png", words)


def _triplet(walks: Sequence[JointWalk]) -> tuple[JointWalk, JointWalk, JointWalk] | None:
    """A walk, the same walk from another view, and another person from the first view; None where there are no such."""
    for a in walks:
        v = next((w for w in walks if (w.subject, w.session, w.source) == (a.subject, a.session, a.source) and w.view != a.view), None)
        i = next((w for w in walks if w.subject != a.subject and (w.view, w.source) == (a.view, a.source)), None)
        if v is not None and i is not None:
            return a, v, i
    return None
