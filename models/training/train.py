"""`train`: one call from recordings to weights and model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.calibration import CalibrationError
from models.data.recordings import Recording
from models.data.simulated import FIRST_TRAINING_SEED, SOURCE, simulate
from models.inertial.networks import GaitTCN, WalkTCN
from models.registry import EXTRACTION, NetworkEntry, find_network
from models.training import card
from models.training.embedding import EmbeddingTask, fit_quality
from models.training.engine import fit
from models.training.extraction import ExtractionTask
from models.training.options import TrainOptions, load_people, split_people
from models.training.scoring import Embed, calibrate
from models.types import Float32

CALIBRATION_WALKERS = 60
"""Simulated walkers per group of calibration: 3,540 impostor pairs of people are plenty."""

PLACEMENTS = ("pocket_front", "pocket_back", "waist", "wrist")
"""Where simulated walkers carry the device when an extractor is trained: the real sets know the front pocket and the wrist only."""


def train(
    name: str,
    data_files: Sequence[str | Path],
    out_dir: str | Path,
    people: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    epochs: int | None = None,
    simulated: int = 0,
    folds: int = 0,
    steps: int | None = None,
    batch: int | None = None,
    test_people: str | None = None,
) -> dict[str, Any]:
    """Trains the network `name` and writes NAME.safetensors and NAME.json into out_dir; returns the card.

    The last sixth of every source's people is held out for early stopping (and calibration, unless `folds` asks for cross-fitting).
    simulated: number of simulated walkers that join.  steps, batch: steps per epoch, items per step.  test_people: people for the final figures of
    the card, whom the run does not touch otherwise.  A run that was killed resumes from out_dir/run/checkpoint.pt.
    Raises RecordingError for unusable files or choices, UnknownNetworkError, ValueError if the data cannot train the network.
    """
    entry = find_network(name)
    files = tuple(str(file) for file in data_files)
    options = TrainOptions(entry.name, files, people, device, seed, simulated=simulated, folds=folds, test_people=test_people)
    options = replace(options, epochs=epochs or options.epochs, steps=steps or options.steps, batch=batch or options.batch)
    recordings = load_people(options) + simulated_people(entry, options)
    training, held_out = split_people(recordings)
    torch.manual_seed(options.seed)
    run_dir = Path(out_dir) / "run"
    network: nn.Module
    if entry.task == EXTRACTION:
        network, results = _train_extractor(entry, training, held_out, options, run_dir)
    else:
        network, results = _train_embedder(entry, recordings, options, run_dir)
    return card.write(entry, network, Path(out_dir), options, sources=_sources(training, held_out), results=results)


def simulated_people(entry: NetworkEntry, options: TrainOptions) -> list[Recording]:
    """Simulated walkers for training: for extraction their day (walking, turns, stairs, sitting) and a ride, the device anywhere on the
    body; for embedding walks of three days each, in the front pocket."""
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + options.simulated)
    if entry.task != EXTRACTION:
        return simulate(seeds, sessions=3, duration_s=20.0)
    recordings = []
    for index, placement in enumerate(PLACEMENTS):
        own = seeds[index :: len(PLACEMENTS)]
        recordings += simulate(own, sessions=1, duration_s=120.0, script="daily", placement=placement)
        recordings += simulate(own[::4], sessions=1, duration_s=30.0, script="vehicle", placement=placement)
    return recordings


def _train_extractor(
    entry: NetworkEntry, training: list[Recording], held_out: list[Recording], options: TrainOptions, run_dir: Path
) -> tuple[WalkTCN, dict[str, Any]]:
    network = entry.build()
    assert isinstance(network, WalkTCN)
    task = ExtractionTask(network, training, held_out, options.batch, options.device)
    history, best = fit(task, options, run_dir)
    return network.cpu(), {"held_out": best, "epochs_run": len(history)}


def _train_embedder(
    entry: NetworkEntry, recordings: list[Recording], options: TrainOptions, run_dir: Path
) -> tuple[GaitTCN, dict[str, Any]]:
    training, held_out = split_people(recordings)
    network, history, best = _fit_embedder(entry, training, held_out, options, run_dir)
    groups: list[tuple[Embed, Sequence[Recording]]] = [(embed_with(network), calibration_people(held_out))]
    for fold in range(options.folds):
        inside, outside = split_people(recordings, fold, options.folds)
        other, _, _ = _fit_embedder(entry, inside, outside, options, run_dir / f"fold{fold}")
        groups = groups[1:] if fold == 0 else groups
        groups.append((embed_with(other), calibration_people(outside)))
    error = fit_quality(network, training, options.seed)
    return network, {
        "held_out": best,
        "epochs_run": len(history),
        "quality_mean_squared_error": error,
        **_calibration(groups, f"cross-fitted over {options.folds} folds of people" if options.folds else "people held out from training"),
    }


def calibration_people(held_out: list[Recording]) -> list[Recording]:
    """The held-out recordings, with the simulated walkers seen for longer: probes of many windows need long walks of all sources alike, or
    the scores of short and long probes would describe different people."""
    real = [recording for recording in held_out if recording.source != SOURCE]
    seeds = sorted({int(recording.subject.removeprefix("sim")) for recording in held_out if recording.source == SOURCE})
    return real + simulate(seeds[:CALIBRATION_WALKERS], sessions=2, duration_s=40.0)


def _calibration(groups: Sequence[tuple[Embed, Sequence[Recording]]], how: str) -> dict[str, Any]:
    """The calibration entry of the card; with very few people the reason why there is none, so that a long run is not lost."""
    try:
        return {"calibration": {**calibrate(groups).to_card(), "how": how}}
    except CalibrationError as error:
        return {"calibration_missing": str(error)}


def _fit_embedder(
    entry: NetworkEntry, training: list[Recording], held_out: list[Recording], options: TrainOptions, run_dir: Path
) -> tuple[GaitTCN, list[dict[str, float]], dict[str, float]]:
    network = entry.build()
    assert isinstance(network, GaitTCN)
    task = EmbeddingTask(network, training, held_out, options.batch, options.device)
    history, best = fit(task, options, run_dir, label=f"{entry.name} {run_dir.name}")
    return network.cpu().eval(), history, best


def embed_with(network: GaitTCN) -> Embed:
    """(W, 128, 6) -> (W, D) by a network in evaluation mode."""

    @torch.inference_mode()
    def embed(x_WT6: Float32) -> Float32:
        return np.concatenate([network(part)[0].numpy() for part in torch.from_numpy(x_WT6).split(256)])

    return embed


def _sources(training: Sequence[Recording], held_out: Sequence[Recording]) -> dict[str, Any]:
    """Per source, who trained and who was held out; simulated walkers by number only."""

    def names(recordings: Sequence[Recording], source: str) -> list[str] | str:
        people = sorted({recording.subject for recording in recordings if recording.source == source})
        return f"{len(people)} walkers, {people[0]} to {people[-1]}" if source == SOURCE and people else people

    found = sorted({recording.source for recording in [*training, *held_out]})
    return {source: {"trained_on": names(training, source), "held_out": names(held_out, source)} for source in found}
