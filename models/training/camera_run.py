"""Runs of `gaitstream train` for camera networks: data, training, quality, the discriminants on films, calibration.

Shape letters: W windows, T 32 steps, D embedding, P people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.calibration import CalibrationError
from models.camera_embedder import CameraEmbedder, CameraNetwork
from models.camera_fusion import GaitCamera
from models.catalogue import NetworkEntry
from models.data.simulated import FIRST_TRAINING_SEED, SOURCE
from models.data.skeletons import load_walks_3d
from models.evaluation.scores import equal_error_rate, identification_rate, rank_rate
from models.registry import find_network, load_weights
from models.silhouette.gait_silhouette import GaitSilhouette
from models.skeleton.gait_skeleton import GaitSkeleton
from models.training.camera import SilhouetteTask, SkeletonTask
from models.training.camera_film import FILMED_SEEDS, TRAINING_SEEDS, Filmed, film, film_training
from models.training.camera_masks import rendered_clips
from models.training.camera_scenes import CALIBRATION_SEEDS, ENROL, Pass, passes
from models.training.camera_walks import BodyWalk, body_walks, held_out_of, simulated_bodies
from models.training.discriminant import discriminant_of, moments
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.scoring import calibration_of, normalised, probes
from models.training.site_space import walk_scores
from models.types import CAMERA_HOP, CAMERA_WINDOW, Float32

SESSIONS = 2

CALIBRATION_WINDOWS = (1, 2, 4)
"""Consecutive windows of a probe; a passage in front of a camera gives no more."""

PAIRS = {"same day and camera": (0, 3), "same camera, other day": (0, 1), "other camera and day": (0, 2)}
"""Places in PASSAGES: enrolled from, looked for."""

QUALITY_STEPS, QUALITY_STRENGTHS = 300, (0.3, 1.0, 2.0)


def train_camera(
    entry: NetworkEntry, options: TrainOptions, run_dir: Path, pretrained_dir: Path
) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Trains a camera network; returns it, further entries of its card, and the people by source of data.

    gait-skeleton learns from 3-D walks (models.data.skeletons) and simulated walkers; gait-silhouette from simulated walkers alone, and its
    card says which recordings were not used; gait-camera trains nothing but discriminants on the trunks of both, whose weights must lie in
    pretrained_dir.
    Raises RecordingError for unusable files, RegistryError if those weights are missing, ValueError if the data cannot train the network.
    """
    cache_dir = run_dir.parent / "walkers"
    if entry.name == "gait-camera":
        network, results, sources = _fused(options, pretrained_dir, cache_dir)
    elif entry.name == "gait-skeleton":
        network, results, sources = _skeleton(options, run_dir, cache_dir)
    else:
        network, results, sources = _silhouette(options, run_dir, cache_dir)
    if options.data_files and entry.name != "gait-skeleton":
        results["recordings_not_used"] = sorted(Path(file).name for file in options.data_files)
    round_to_half(network)
    if isinstance(network, GaitCamera):
        results |= calibrate_on_films(network, filmed(FILMED_SEEDS, cache_dir))
    else:
        assert isinstance(network, GaitSkeleton | GaitSilhouette)
        results |= calibrate_on_passes(network, entry.name, passes(CALIBRATION_SEEDS, cache_dir))
    return store_halves(network), results, sources


def split_walks(walks: Sequence[BodyWalk]) -> tuple[list[BodyWalk], list[BodyWalk]]:
    """(training, held out) by people, every source on its own."""
    held_out = {
        (source, person)
        for source in {walk.source for walk in walks}
        for person in held_out_of({walk.subject for walk in walks if walk.source == source})
    }
    inside = [walk for walk in walks if (walk.source, walk.subject) in held_out]
    return [walk for walk in walks if (walk.source, walk.subject) not in held_out], inside


def _skeleton(options: TrainOptions, run_dir: Path, cache_dir: Path) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    recorded = [walk for file in options.data_files for walk in body_walks(load_walks_3d(file))]
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + options.simulated)
    training, held_out = split_walks(recorded + simulated_bodies(seeds, SESSIONS, cache_dir))
    network = GaitSkeleton()
    task = SkeletonTask(network, training, held_out, options.batch, options.device, options.seed)
    history, best = fit(task, options, run_dir)
    task.finish(options.seed)
    error = fit_quality(network, options.seed, cache_dir)
    results = {"held_out": best, "epochs_run": len(history), "quality_mean_squared_error": error}
    return network, results, _sources(training, held_out)


def _silhouette(options: TrainOptions, run_dir: Path, cache_dir: Path) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + options.simulated)
    if len(seeds) < 4:
        raise ValueError("training on silhouettes needs at least four simulated walkers")
    network = GaitSilhouette()
    task = SilhouetteTask(network, rendered_clips(seeds, SESSIONS, cache_dir), options.batch, options.device)
    history, best = fit(task, options, run_dir)
    task.finish(options.seed)
    error = fit_quality(network, options.seed, cache_dir)
    results = {"held_out": best, "epochs_run": len(history), "quality_mean_squared_error": error}
    held_out = sorted({int(seed) for seed in task.clips.seed_N[task.held_out_N]})
    walkers = f"{len(seeds) - len(held_out)} walkers, sim{seeds[0]} to sim{held_out[0] - 1}"
    return network, results, {SOURCE: {"trained_on": walkers, "held_out": f"{len(held_out)} walkers, from sim{held_out[0]} on"}}


@torch.no_grad()
def _fused(options: TrainOptions, pretrained_dir: Path, cache_dir: Path) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    network = GaitCamera()
    sources: dict[str, Any] = {}
    for name, part in (("gait-skeleton", network.skeleton), ("gait-silhouette", network.silhouette)):
        trained, card = load_weights(find_network(name), pretrained_dir)
        part.load_state_dict(trained.state_dict())
        for source, use in card["data"].items():
            sources.setdefault(source, {})[name] = {key: use[key] for key in ("trained_on", "held_out")}
    seen = filmed(TRAINING_SEEDS, cache_dir)
    fill_discriminants(network, *features_of(network, seen), seen.person_N)
    films = f"{len(TRAINING_SEEDS)} walkers, sim{TRAINING_SEEDS[0]} to sim{TRAINING_SEEDS[-1]}, filmed"
    sources.setdefault(SOURCE, {})["gait-camera"] = {"trained_on": films, "held_out": []}
    return network, {}, sources


@torch.no_grad()
def features_of(network: GaitCamera, seen: Filmed) -> tuple[Float32, Float32]:
    """(N, F) features of joints and of silhouettes."""
    network.eval()
    parts = range(0, len(seen.person_N), 256)
    joints = [network.skeleton.features(torch.from_numpy(seen.keypoints_NTJ3[i : i + 256]))[0] for i in parts]
    masks = [network.silhouette.features(torch.from_numpy(seen.masks_NTHW[i : i + 256]))[0] for i in parts]
    return torch.cat(joints).numpy(), torch.cat(masks).numpy()


@torch.no_grad()
def fill_discriminants(network: GaitCamera, joints_NF: Float32, masks_NF: Float32, person_N: NDArray[Any]) -> None:
    """Fits both discriminants, each on the windows of one of its network's features, in closed form. What varies within a person is between
    all of their windows: views, days and clothes."""
    for part, rows_NF in ((network.skeleton, joints_NF), (network.silhouette, masks_NF)):
        weight_DF, bias_D = discriminant_of(moments([rows_NF[person_N == person] for person in np.unique(person_N)]), part.DIM)
        part.discriminant.weight.copy_(torch.from_numpy(weight_DF))
        part.discriminant.bias.copy_(torch.from_numpy(bias_D))


def windows_of(walk: Pass) -> tuple[Float32, NDArray[np.bool_]]:
    """(W, 32, 17, 3) and (W, 32, 64, 44): a window every 8 steps."""
    starts = np.arange(0, len(walk.keypoints_TJ3) - CAMERA_WINDOW + 1, CAMERA_HOP)
    index = starts[:, None] + np.arange(CAMERA_WINDOW)
    return walk.keypoints_TJ3[index], walk.masks_THW[index]


def fit_quality(network: GaitSkeleton | GaitSilhouette, seed: int, cache_dir: Path) -> float:
    """Trains the quality head beside the finished network; returns the final mean squared error.

    Target: the cosine between a window and its person's other passes, 0 where it is that of other people on average, 1 where it is as
    high as the best twentieth of a person's own; windows under growing errors of pose network and segmentation.
    """
    network.eval()
    parts: list[Tensor] = []
    cosines: list[Tensor] = []
    others: list[Tensor] = []
    for strength in QUALITY_STRENGTHS:
        seen = passes(CALIBRATION_SEEDS, cache_dir, strength)
        with torch.inference_mode():
            rows = [_measured(network, walk) for walk in seen]
            vectors = [network.embed_features(features) for features, _ in rows]
            if not parts:
                template = {w.person: F.normalize(v.mean(0), dim=0) for w, v in zip(seen, vectors, strict=True) if w.kind == ENROL}
        for walk, row, vector in zip(seen, rows, vectors, strict=True):
            if walk.kind != ENROL:
                parts.append(row[1])
                cosines.append(vector @ template[walk.person])
                others.append(torch.stack([vector @ other for person, other in template.items() if person != walk.person]).mean(0))
    seen_N3 = torch.cat(parts).clone()
    own_N, low = torch.cat(cosines), torch.cat(others).mean()
    target_N = ((own_N - low) / (own_N.quantile(0.95) - low)).clamp(0.0, 1.0)
    rng = np.random.default_rng([seed, 77])
    optimizer = torch.optim.Adam(network.quality.parameters(), lr=3e-3)
    error = 0.0
    for _ in range(QUALITY_STEPS):
        chosen = torch.from_numpy(rng.integers(0, len(target_N), 512))
        loss = F.mse_loss(network.quality_of(seen_N3[chosen]), target_N[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        error = loss.item()
    return error


def _measured(network: GaitSkeleton | GaitSilhouette, walk: Pass) -> tuple[Tensor, Tensor]:
    keypoints, masks = windows_of(walk)
    return network.features(torch.from_numpy(keypoints if isinstance(network, GaitSkeleton) else masks))


def calibrate_on_passes(network: CameraNetwork, name: str, seen: Sequence[Pass]) -> dict[str, Any]:
    """The card's "calibration": first passes against single and mean windows of all other passes. {"calibration_missing": why} where there are
    too few."""
    embedder = CameraEmbedder(network, name, "", {})
    vectors = [(walk, embedder.embed(*windows_of(walk))[0]) for walk in seen]
    templates = [(walk.person, normalised(rows.mean(axis=0))) for walk, rows in vectors if walk.kind == ENROL]
    scores = {}
    for count in CALIBRATION_WINDOWS:
        genuine: list[NDArray[np.float64]] = []
        impostor: list[NDArray[np.float64]] = []
        for walk, rows in vectors:
            for person, template_D in templates if walk.kind != ENROL else ():
                (genuine if person == walk.person else impostor).append((probes(rows, count) @ template_D).astype(np.float64))
        scores[SOURCE, count] = np.concatenate(genuine), np.concatenate(impostor)
    try:
        calibration = calibration_of(scores, {(SOURCE, person) for person, _ in templates})
    except CalibrationError as error:
        return {"calibration_missing": str(error)}
    return {
        "calibration": {**calibration.to_card(), "how": "simulated walkers that no training has seen, the same and another camera and day"}
    }


def filmed(seeds: range, cache_dir: Path) -> Filmed:
    """FILMED_SEEDS or TRAINING_SEEDS before the cameras; kept in cache_dir. Takes ten and forty minutes of a core the first time.

    Raises WeightsUnavailable."""
    cache = cache_dir / f"filmed-{seeds[0]}-{seeds[-1]}.npz"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        (film if seeds == FILMED_SEEDS else film_training)(seeds).save(cache)
    return Filmed.load([cache])


def calibrate_on_films(network: GaitCamera, seen: Filmed) -> dict[str, Any]:
    """The entries of the card that filmed people who taught nothing give: equal error rates by number of windows, and the calibration.

    Raises CalibrationError if there are too few people."""
    vector_ND, _ = CameraEmbedder(network, "gait-camera", "", {}).embed(seen.keypoints_NTJ3, seen.masks_NTHW)
    walks: dict[str, list[Float32]] = {}
    for person in np.unique(seen.person_N):
        rows = [vector_ND[(seen.person_N == person) & (seen.passage_N == number)] for number in np.unique(seen.passage_N)]
        walks[f"sim{person}"] = [row for row in rows if len(row) >= CALIBRATION_WINDOWS[-1]]
    scores = {(SOURCE, n): walk_scores(walks, n, lambda rows_ND: rows_ND) for n in CALIBRATION_WINDOWS}
    calibration = calibration_of(scores, {(SOURCE, person) for person in walks})
    by_pair = {kind: passage_figures(vector_ND, seen, *pair) for kind, pair in PAIRS.items()}
    how = "simulated walkers that no training has seen, filmed and passed through detector and pose network"
    eer = {str(n): round(equal_error_rate(*pair), 4) for (_, n), pair in scores.items()}
    return {
        "filmed": {"people": len(walks), "eer_by_windows": eer, "by_passages": by_pair},
        "calibration": {**calibration.to_card(), "how": how},
    }


def passage_figures(vector_ND: Float32, seen: Filmed, enrol: int, probe: int) -> dict[str, float]:
    """Everybody enrolled from one passage and looked for in another: EER, rank-1 and TPIR at FPIR 1 % of means of the most windows calibrated."""
    people = [p for p in np.unique(seen.person_N) if all(((seen.person_N == p) & (seen.passage_N == n)).any() for n in (enrol, probe))]
    rows = {(p, n): vector_ND[(seen.person_N == p) & (seen.passage_N == n)] for p in people for n in (enrol, probe)}
    template_PD = np.stack([normalised(rows[p, enrol].mean(axis=0)) for p in people])
    scores = [(probes(rows[p, probe], CALIBRATION_WINDOWS[-1]) @ template_PD.T).astype(np.float64) for p in people]
    score_NP, own_N = np.concatenate(scores), np.repeat(np.arange(len(people)), [len(part) for part in scores])
    own_NP = own_N[:, None] == np.arange(len(people))
    return {
        "eer": round(equal_error_rate(score_NP[own_NP], score_NP[~own_NP]), 4),
        "rank1": round(rank_rate(score_NP, own_N, 1), 4),
        "tpir_at_fpir_1pct": round(identification_rate(score_NP, own_N, np.where(own_NP, -np.inf, score_NP), 0.01), 4),
        "people": len(people),
    }


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Rounds matrices to half precision, in place: what is shipped is what was calibrated."""
    for parameter in network.parameters():
        if parameter.ndim >= 2:
            parameter.copy_(parameter.half().float())


def store_halves(network: nn.Module) -> nn.Module:
    """The network with its matrices kept as half-precision numbers, for the weights file; loading makes single precision of them."""
    for parameter in network.parameters():
        if parameter.ndim >= 2:
            parameter.data = parameter.data.half()
    return network


def _sources(training: Sequence[BodyWalk], held_out: Sequence[BodyWalk]) -> dict[str, Any]:
    """Per source, who trained and who was held out; simulated walkers by number only."""

    def names(walks: Sequence[BodyWalk], source: str) -> list[str] | str:
        people = sorted({walk.subject for walk in walks if walk.source == source})
        return f"{len(people)} walkers, {people[0]} to {people[-1]}" if source == SOURCE and people else people

    found = sorted({walk.source for walk in [*training, *held_out]})
    return {source: {"trained_on": names(training, source), "held_out": names(held_out, source)} for source in found}
