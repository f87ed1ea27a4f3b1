"""`train`: one call from recordings to weights and model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.calibration import CalibrationError
from models.catalogue import CAMERA, EMBEDDING, EXTRACTION, NetworkEntry
from models.data.recordings import Recording
from models.data.simulated import FIRST_TRAINING_SEED, SOURCE, simulate
from models.inertial.embedder import PenultimateEmbedding, UnitClassical, matched_dim
from models.inertial.extractor import StreamingUNet
from models.inertial.networks import GaitTCN, WalkTCN
from models.inertial.published import ClassicalPair, PairNetwork
from models.inertial.published.fusion import CNNLSTM
from models.inertial.published.pairs import PairCNNLSTM
from models.inertial.verifier import PairVerifier
from models.matching.vectors import leading
from models.registry import find_network, load_weights
from models.training import card
from models.training.camera_run import train_camera
from models.training.embedding import EmbeddingTask, fit_quality
from models.training.engine import AS_PUBLISHED, fit
from models.training.extraction import ExtractionTask
from models.training.options import TrainOptions, load_people, split_people
from models.training.pair_calibration import calibrate_pairs
from models.training.published import IdentificationTask, PairTask
from models.training.recipes import plan
from models.training.scoring import Embed, calibrate
from models.training.trunk import fit_on_trunk
from models.training.unet import UNetTask
from models.training.windows import LabelledWindows, PairDraw
from models.types import Float32
from models.vision_catalogue import BY_NAME

CALIBRATION_WALKERS = 60
"""Simulated walkers per group of calibration: 3,540 impostor pairs of people are plenty."""

CALIBRATED_ON = "people held out from training"

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
    where: str | None = None,
    small: bool = False,
    legacy: bool = False,
    pretrained_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Trains the network `name` and writes NAME.safetensors and NAME.json into out_dir; returns the card.

    The last sixth of every source's people is held out for early stopping (and calibration, unless `folds` asks for cross-fitting).
    simulated: number of simulated walkers that join.  epochs, steps, batch: instead of the recipe's (models.training.recipes).
    test_people: people for the final figures of the card, whom the run does not touch otherwise.  small, legacy, where: as TrainOptions.
    pretrained_dir: where the weights of a fixed part lie, out_dir unless said.  A run that was killed resumes from
    out_dir/run/NAME/checkpoint.pt.
    Raises RecordingError for unusable files or choices, RegistryError (unknown name; weights of a fixed part missing), ValueError if the
    data cannot train the network, or for a published camera network.
    """
    entry = find_network(name)
    if entry.name in BY_NAME:
        raise ValueError(f"{entry.name} has recipes of its own: python -m models.training.vision_run train {entry.name} ...")
    recipe = plan(entry, small=small)
    options = TrainOptions(
        entry.name,
        tuple(str(file) for file in data_files),
        people,
        device,
        seed,
        epochs=epochs or recipe.epochs,
        steps=steps or recipe.steps or 0,
        batch=batch or recipe.batch,
        learning_rate=recipe.learning_rate,
        patience=recipe.patience,
        simulated=simulated,
        folds=folds,
        test_people=test_people,
        where=where,
        small=small,
        legacy=legacy,
    )
    torch.manual_seed(options.seed)
    run_dir = Path(out_dir) / "run" / entry.name
    network: nn.Module
    if entry.modality == CAMERA:
        network, results, sources = train_camera(entry, options, run_dir, Path(pretrained_dir or out_dir))
        return card.write(entry, network, Path(out_dir), options, sources=sources, results=results)
    recordings = load_people(options) + simulated_people(entry, options)
    training, held_out = _parts(entry, recordings, options)
    torch.manual_seed(options.seed)
    if entry.published:
        network, results = _train_published(entry, training, held_out, options, run_dir, Path(pretrained_dir or out_dir))
    elif entry.task == EXTRACTION:
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


def _train_published(
    entry: NetworkEntry,
    training: list[Recording],
    held_out: list[Recording],
    options: TrainOptions,
    run_dir: Path,
    pretrained_dir: Path,
) -> tuple[nn.Module, dict[str, Any]]:
    """A network of the published system by its published optimiser. Without an own number of steps an epoch is a pass over the samples."""
    if entry.task == EXTRACTION:
        network = entry.build()
        assert isinstance(network, StreamingUNet)
        task: UNetTask | IdentificationTask | PairTask = UNetTask(network, training, held_out, options.batch, options.device)
        history, best = fit(task, options.with_steps(task.steps), run_dir, optimisation=AS_PUBLISHED)
        return network.cpu(), {"held_out": best, "epochs_run": len(history)}
    windows = LabelledWindows.of(training)
    network = entry.build(len(windows.people)) if entry.per_person else entry.build()
    if isinstance(network, UnitClassical | ClassicalPair):
        fit_traditional(network, windows, options)
        return network, _published_calibration(entry, network, held_out)
    fill_fixed_part(entry, network, pretrained_dir, legacy=options.legacy)
    seed, legacy = options.seed, options.legacy
    if isinstance(network, PenultimateEmbedding):
        task = IdentificationTask(network, windows, held_out, options.batch, options.device, seed=seed, legacy=legacy)
    else:
        assert isinstance(network, PairNetwork)
        task = PairTask(network, windows, held_out, options.batch, options.device, seed=seed, legacy=legacy)
    history, best = fit(task, options.with_steps(task.steps), run_dir, optimisation=AS_PUBLISHED)
    results: dict[str, Any] = {"held_out": best, "epochs_run": len(history)}
    network.cpu().eval()
    if isinstance(network, PenultimateEmbedding):
        network.fit_centre(torch.from_numpy(windows.x_NT6[:: max(1, len(windows) // 512)]))
        results["people"] = [f"{source}/{subject}/{placement}" for source, subject, placement in windows.people]
    return network, {**results, **_published_calibration(entry, network, held_out)}


def fit_traditional(network: UnitClassical | ClassicalPair, windows: LabelledWindows, options: TrainOptions) -> None:
    """Fits a traditional method on at most options.batch windows or pairs of them."""
    rng = np.random.default_rng(options.seed)
    if isinstance(network, UnitClassical):
        network.fit(windows.x_NT6[np.sort(rng.permutation(len(windows))[: options.batch])])
    else:
        first, second, same = PairDraw(windows).draw(options.batch, rng)
        network.fit(windows.x_NT6[first], windows.x_NT6[second], same == 1)


def _published_calibration(entry: NetworkEntry, network: nn.Module, held_out: list[Recording]) -> dict[str, Any]:
    if isinstance(network, PenultimateEmbedding | UnitClassical):
        return _calibration([(embed_with(network), calibration_people(held_out))], CALIBRATED_ON)
    assert isinstance(network, PairNetwork | ClassicalPair)
    try:
        calibration = calibrate_pairs(PairVerifier(network, entry.name, "", {}), held_out).to_card()
    except CalibrationError as error:
        return {"calibration_missing": str(error)}
    return {"calibration": {**calibration, "how": CALIBRATED_ON}}


def fill_fixed_part(entry: NetworkEntry, network: nn.Module, pretrained_dir: Path, *, legacy: bool) -> None:
    """Loads the weights of another network into the part that stays fixed, where there is one. Raises RegistryError if they are missing.

    legacy: the published CNNfix+LSTM neither kept the restored weights nor froze them.
    """
    if entry.pretrained is None:
        return
    trained, _ = load_weights(find_network(entry.pretrained, EMBEDDING), pretrained_dir)
    assert isinstance(trained, PenultimateEmbedding)
    target = network.network if isinstance(network, PenultimateEmbedding) else network
    assert isinstance(target, CNNLSTM | PairCNNLSTM)
    if isinstance(target, CNNLSTM):
        target.legacy = legacy
    target.load_fixed(trained.network.state_dict())
    if legacy and isinstance(target, CNNLSTM) and target.fixed == "cnn":
        target.requires_grad_(True)


def _parts(entry: NetworkEntry, recordings: list[Recording], options: TrainOptions) -> tuple[list[Recording], list[Recording]]:
    """(training, held out). On a given trunk nothing is stopped early, so with cross-fitted calibration everybody trains."""
    given = entry.pretrained is not None and not entry.published
    return (recordings, []) if given and options.folds else split_people(recordings)


def _train_embedder(
    entry: NetworkEntry, recordings: list[Recording], options: TrainOptions, run_dir: Path
) -> tuple[GaitTCN, dict[str, Any]]:
    training, held_out = _parts(entry, recordings, options)
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
        **_calibration(groups, f"cross-fitted over {options.folds} folds of people" if options.folds else CALIBRATED_ON),
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
    if entry.pretrained is not None:
        return fit_on_trunk(entry, training), [], {}
    network = entry.build()
    assert isinstance(network, GaitTCN)
    task = EmbeddingTask(network, training, held_out, options.batch, options.device)
    history, best = fit(task, options, run_dir, label=f"{entry.name} {run_dir.name}")
    task.finish()
    return network.cpu().eval(), history, best


def embed_with(network: GaitTCN | PenultimateEmbedding | UnitClassical) -> Embed:
    """(W, 128, 6) -> (W, M) as they are compared, by a network in evaluation mode."""

    @torch.inference_mode()
    def embed(x_WT6: Float32) -> Float32:
        return leading(np.concatenate([network(part)[0].numpy() for part in torch.from_numpy(x_WT6).split(256)]), matched_dim(network))

    return embed


def _sources(training: Sequence[Recording], held_out: Sequence[Recording]) -> dict[str, Any]:
    """Per source, who trained and who was held out; simulated walkers by number only."""

    def names(recordings: Sequence[Recording], source: str) -> list[str] | str:
        people = sorted({recording.subject for recording in recordings if recording.source == source})
        return f"{len(people)} walkers, {people[0]} to {people[-1]}" if source == SOURCE and people else people

    found = sorted({recording.source for recording in [*training, *held_out]})
    return {source: {"trained_on": names(training, source), "held_out": names(held_out, source)} for source in found}
