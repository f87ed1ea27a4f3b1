"""Figures for the model card on people whom the run never touched, neither for training nor for early stopping or calibration."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import nn

from models.catalogue import NetworkEntry
from models.data.grid import to_grid
from models.data.loading import load_recordings
from models.data.recordings import Recording
from models.evaluation import Evaluation, evaluate_extraction, evaluate_identification, evaluate_verification
from models.evaluation.pairs import evaluate_pairs
from models.inertial.embedder import GaitEmbedder, PenultimateEmbedding, UnitClassical, matched_dim
from models.inertial.extractor import StreamingUNet, WalkExtractor
from models.inertial.networks import GaitTCN, WalkTCN
from models.inertial.published import ClassicalPair, PairNetwork
from models.inertial.verifier import PairVerifier
from models.registry import load_extractor
from models.training.options import TrainOptions, people_of

LEAST_ENROLMENT_S = 20.0
"""A person's longest walk enrols; data sets whose walks are shorter than this cannot enrol anyone and are left out."""


def final_figures(entry: NetworkEntry, network: nn.Module, space: str, options: TrainOptions) -> dict[str, Any]:
    """{source: [evaluation, ...]} on the people of options.test_people, empty if there are none.

    Embeddings are evaluated on the windows that the installed default extractor finds, the longest walk of each person against the others.
    Raises RecordingError for choices that do not fit the files.
    """
    if options.test_people is None:
        return {}
    shipped = copy.deepcopy(network)
    figures = {}
    for file in options.data_files:
        recordings = load_recordings(file, people=people_of(options.test_people, file))
        evaluations: list[Evaluation] = []
        if isinstance(shipped, WalkTCN | StreamingUNet):
            evaluations.append(evaluate_extraction(WalkExtractor(shipped, entry.name, space, {}), recordings))
        elif isinstance(shipped, PairNetwork | ClassicalPair):
            enrol, probe = enrolment_and_probes(recordings)
            if enrol:
                evaluations += evaluate_pairs(load_extractor(), PairVerifier(shipped, entry.name, space, {}), enrol, probe)
        elif isinstance(shipped, GaitTCN | PenultimateEmbedding | UnitClassical):
            enrol, probe = enrolment_and_probes(recordings)
            if enrol:
                pair = load_extractor(), GaitEmbedder(shipped, entry.name, space, {"matched_dim": matched_dim(shipped)})
                evaluations += [evaluate_identification(*pair, enrol, probe), evaluate_verification(*pair, enrol, probe)]
        if evaluations:
            figures[Path(file).stem] = [evaluation.to_json() for evaluation in evaluations]
    return figures


def enrolment_and_probes(recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """(each person's longest walk, all other walks); both empty unless at least two people have both."""
    enrol, probe = [], []
    walks = [recording for recording in recordings if (to_grid(recording)[1] == 1).mean() > 0.5]
    for person in sorted({recording.subject for recording in walks}):
        own = sorted((recording for recording in walks if recording.subject == person), key=lambda recording: -recording.duration_s)
        if len(own) > 1 and own[0].duration_s >= LEAST_ENROLMENT_S:
            enrol.append(own[0])
            probe += own[1:]
    return (enrol, probe) if len(enrol) > 1 else ([], [])
