"""Training of the camera networks: joints, silhouettes, and both together; metric learning on walks seen from anywhere.

Shape letters: B batch, N windows, T 32 steps, J 17 joints, F features, D embedding; 3 is x, y and confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from models.evaluation.scores import equal_error_rate, rank_rate
from models.silhouette.gait_silhouette import GaitSilhouette
from models.skeleton.gait_skeleton import GaitSkeleton
from models.training.camera_masks import Clips, segmented
from models.training.camera_walks import BodyWalk, Cast, Views, filmed_windows, random_views
from models.training.discriminant import Moments, discriminant_of, mean_moments
from models.training.losses import AdditiveAngularMargin, supervised_contrastive
from models.training.scoring import normalised
from models.types import Float32

COPIES = 10
"""Identities made of one recorded person, in other manners and at other tempos: 22 people are few."""

CAMERAS, WINDOWS_PER_CAMERA = 8, 2
"""Of every identity per epoch: each camera sees everybody, twice."""

ONE_CAMERA = 0.5
"""Share of batches in which everybody is seen by one camera: people who pass the same camera must be told apart as well as they can be, not
only by what all views show."""

STRENGTHS = (0.1, 1.0)
"""Errors of the pose network, from camera to camera, as shares of the most."""

DISCRIMINANT_CAMERAS, DISCRIMINANT_WINDOWS = 6, 4
"""Views behind the discriminant, and windows of every identity in each."""

TEMPERATURE = 0.1
"""Of the contrastive loss."""

VALIDATION_STRENGTH = 0.5

VALIDATION_WINDOWS = 3
"""Windows of a template and of a probe in validation."""


class SkeletonTask:
    """Trains `GaitSkeleton`. held_out: walks of other people; their figures stop the run.

    Nobody is met twice: every epoch gives the people of the walks other manners, so there are as many identities as epochs times people, and
    the loss needs no centres.
    """

    def __init__(
        self, network: GaitSkeleton, training: Sequence[BodyWalk], held_out: Sequence[BodyWalk], batch: int, device: str, seed: int
    ) -> None:
        self.network, self.batch, self.device, self.training = network, batch, torch.device(device), training
        if len({(walk.source, walk.subject) for walk in training}) < 2:
            raise ValueError("training an embedding needs walks of at least two people")
        self.module: nn.Module = network
        self.held_out = Cast(held_out, copies=2, seed=seed) if held_out else None
        self._rng: Generator | None = None

    def loss(self, rng: Generator) -> Tensor:
        if rng is not self._rng:  # a new epoch
            self._rng, self._pool = rng, []
            self._pool = self.pool(rng, CAMERAS, WINDOWS_PER_CAMERA)
        identities = len(self._pool[0])
        if rng.random() < ONE_CAMERA:
            chosen, camera = rng.permutation(identities)[: self.batch // 2, None], rng.integers(CAMERAS)
            index = chosen, np.full_like(chosen, camera), np.arange(2)[None]
        else:
            chosen = rng.permutation(identities)[: self.batch // 4, None]
            cameras = np.stack([rng.permutation(CAMERAS)[:4] for _ in chosen])
            index = chosen, cameras, rng.integers(WINDOWS_PER_CAMERA, size=cameras.shape)
        measured = [x[tuple(map(torch.from_numpy, index))].to(self.device).flatten(0, 1) for x in self._pool]
        vector_BD = self.network.trained_vector(self.network.features_of(*measured))
        identity_B = torch.arange(len(chosen), device=self.device).repeat_interleave(len(vector_BD) // len(chosen))
        return supervised_contrastive(vector_BD, identity_B, TEMPERATURE)

    @torch.no_grad()
    def pool(self, rng: Generator, cameras: int, windows_each: int, strengths: tuple[float, float] = STRENGTHS) -> list[Tensor]:
        """What the network measures of everybody before every camera, each in a new manner: statistics (identities, cameras, windows, M),
        sides (identities, cameras, windows), known joints (identities, cameras, windows, K). Keeps the cast in self.cast."""
        self.cast = Cast(self.training, copies=COPIES, seed=int(rng.integers(2**31)))
        person, copy = self.cast.everybody()
        parts: list[list[Tensor]] = [[], [], []]
        for _ in range(cameras):
            who, which = np.repeat(person, windows_each), np.repeat(copy, windows_each)
            windows = self.cast.windows(who, which, self.network.WINDOW, rng)
            views = random_views(len(who), self.network.WINDOW, rng, one_camera=True)
            x_NTJ3 = filmed_windows(windows, views, rng, rng.uniform(*strengths))
            measured = [self.network.measured(part)[:3] for part in torch.from_numpy(x_NTJ3).split(256)]
            for kind, rows in zip(parts, zip(*measured, strict=True), strict=True):
                kind.append(torch.cat(rows).unflatten(0, (len(person), windows_each)))
        return [torch.stack(kind, dim=1) for kind in parts]

    def validate(self) -> dict[str, float]:
        """Rank-1 and EER of held-out people in one view and across views, through the outputs that the losses see."""
        if self.held_out is None:
            return {"score": 0.0}
        return validation(self.held_out, self.network.WINDOW, self._trained_vectors)

    @torch.no_grad()
    def _trained_vectors(self, x_NTJ3: Float32) -> Float32:
        parts = torch.from_numpy(x_NTJ3).to(self.device).split(256)
        return torch.cat([self.network.trained_vector(self.network.features(part)[0]) for part in parts]).cpu().numpy()

    @torch.no_grad()
    def finish(self, seed: int) -> None:
        """Fills the discriminant; to be called once the weights are final.

        Within people: windows before one camera, and before all; half each, for the same reason as ONE_CAMERA.
        """
        self.network.cpu().eval()
        measured = self.pool(np.random.default_rng([seed, 9]), DISCRIMINANT_CAMERAS, DISCRIMINANT_WINDOWS)
        flat = zip(*(x.flatten(0, 2).split(1024) for x in measured), strict=True)
        rows_IVWF = torch.cat([self.network.features_of(*part) for part in flat]).unflatten(0, measured[1].shape)
        source_I = np.array([self.cast.persons[person][0] for person in self.cast.everybody()[0]])
        parts = []
        for source in np.unique(source_I):
            mine = rows_IVWF[torch.from_numpy(source_I == source)]
            if len(mine) > 1:
                parts += [(1, moments_of(mine.unbind(1))), (1, moments_of([mine.flatten(1, 2)]))]
        weight_DF, bias_D = discriminant_of(mean_moments(parts), self.network.DIM)
        self.network.discriminant.weight.copy_(torch.from_numpy(weight_DF))
        self.network.discriminant.bias.copy_(torch.from_numpy(bias_D))


def moments_of(cameras: Sequence[Tensor]) -> Moments:
    """Mean, covariance within people and between them, of rows (P, N, F) of P people before every camera, averaged over cameras."""
    means, within, between = [], [], []
    for rows_PNF in cameras:
        own_PF = rows_PNF.mean(dim=1)
        away_XF = (rows_PNF - own_PF[:, None]).flatten(0, 1)
        within.append((away_XF.T @ away_XF / len(away_XF)).double().numpy())
        between.append(np.cov(own_PF.double().numpy().T))
        means.append(own_PF.mean(dim=0).double().numpy())
    return np.mean(means, axis=0), np.mean(within, axis=0), np.mean(between, axis=0)


def score_of(figures: dict[str, float]) -> dict[str, float]:
    """The figures and their "score": rank-1 rates and one minus equal error rates, on average."""
    rates = [1.0 - value if name.startswith("eer") else value for name, value in figures.items()]
    return {**figures, "score": float(np.mean(rates)) if rates else 0.0}


def compared(template_PD: Float32, probe_PD: Float32) -> tuple[float, float]:
    """Rank-1 and equal error rate of one template and one probe of each of P people."""
    score_PP = (probe_PD @ template_PD.T).astype(np.float64)
    own = np.eye(len(score_PP), dtype=bool)
    return rank_rate(score_PP, np.arange(len(score_PP)), 1), equal_error_rate(score_PP[own], score_PP[~own])


def validation(cast: Cast, steps: int, embed: Callable[[Float32], Float32]) -> dict[str, float]:
    """Figures of everybody in the cast by source: rank-1 and equal error rate, one view and across views; "score" sums them up."""
    figures: dict[str, float] = {}
    person, copy = cast.everybody()
    for source in sorted({source for source, _ in cast.persons}):
        mine = np.array([cast.persons[p][0] == source for p in person])
        if mine.sum() < 2:
            continue
        who, which = (np.repeat(x[mine], VALIDATION_WINDOWS) for x in (person, copy))
        for name, azimuths in (("same", (90.0, 90.0)), ("cross", (0.0, 90.0))):
            rng = np.random.default_rng(7)
            sides = []
            for azimuth in azimuths:
                windows = cast.windows(who, which, steps, rng)
                views = random_views(len(who), steps, rng, one_camera=True)
                turn_NT = views.azimuth_NT - views.azimuth_NT.mean(axis=1, keepdims=True)
                level_N = np.full(len(who), np.radians(8.0))
                views = Views(turn_NT + np.radians(azimuth), level_N, np.full(len(who), 5.0))
                vector_ND = embed(filmed_windows(windows, views, rng, VALIDATION_STRENGTH))
                sides.append(normalised(vector_ND.reshape(int(mine.sum()), VALIDATION_WINDOWS, -1).mean(axis=1)))
            figures[f"rank1_{source}_{name}"], figures[f"eer_{source}_{name}"] = compared(*sides)
    return score_of(figures)


class SilhouetteTask:
    """Trains `GaitSilhouette` on clips of simulated walkers. The last sixth of them is held out."""

    def __init__(self, network: GaitSilhouette, clips: Clips, batch: int, device: str) -> None:
        self.network, self.batch, self.device, self.clips = network, batch, torch.device(device), clips
        seeds = np.unique(clips.seed_N)
        if len(seeds) < 4:
            raise ValueError("training on silhouettes needs at least four simulated walkers")
        held_out = seeds[len(seeds) - max(2, len(seeds) // 6) :]
        self.held_out_N = np.flatnonzero(np.isin(clips.seed_N, held_out))
        self.training_N = np.flatnonzero(~np.isin(clips.seed_N, held_out))
        self.margin = AdditiveAngularMargin(network.HEAD_DIM, len(seeds))
        self.identity_N = np.searchsorted(seeds, clips.seed_N)
        self.module: nn.Module = nn.ModuleDict({"network": network, "margin": self.margin})
        self._rng: Generator | None = None

    def loss(self, rng: Generator) -> Tensor:
        if rng is not self._rng:  # a new epoch
            self._rng = rng
            self._images = self.images(self.training_N, rng)
            self._of = [np.flatnonzero(self.identity_N[self.training_N] == k) for k in np.unique(self.identity_N[self.training_N])]
        chosen = [self._of[k] for k in rng.permutation(len(self._of))[: self.batch // 4]]
        index = np.concatenate([rng.permutation(own)[:4] for own in chosen])
        images = self._images[torch.from_numpy(index)].to(self.device, torch.float32)
        vector_BD = self.network.trained_vector(self.network.features_of(images))
        identity_B = torch.from_numpy(self.identity_N[self.training_N[index]]).to(self.device)
        margin: Tensor = self.margin(vector_BD, identity_B)
        return supervised_contrastive(vector_BD, identity_B, TEMPERATURE) + 0.5 * margin

    @torch.no_grad()
    def images(self, index_N: NDArray[np.int64], rng: Generator, strength: float | None = None) -> Tensor:
        """(N, 5, 64, 44) half-precision images of clips as a segmentation reports them."""
        parts = []
        for part in np.array_split(index_N, max(1, len(index_N) // 128)):
            masks = segmented(self.clips.masks(part), rng, rng.uniform(*STRENGTHS) if strength is None else strength)
            parts.append(self.network.images(torch.from_numpy(masks))[0].half())
        return torch.cat(parts)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Rank-1 and EER of held-out walkers between clips of one day, and between days, whatever the view."""
        images = self.images(self.held_out_N, np.random.default_rng(7), VALIDATION_STRENGTH).to(self.device, torch.float32)
        vector_ND = torch.cat([self.network.trained_vector(self.network.features_of(part)) for part in images.split(128)]).cpu().numpy()
        return clip_figures(self.clips, self.held_out_N, vector_ND)

    @torch.no_grad()
    def finish(self, seed: int) -> None:
        """Fills the discriminant; to be called once the weights are final."""
        self.network.cpu().eval()
        rng = np.random.default_rng([seed, 9])
        rows = [
            torch.cat([self.network.features_of(part.float()) for part in self.images(self.training_N, rng).split(128)]).numpy()
            for _ in range(2)
        ]
        identity = np.tile(self.identity_N[self.training_N], 2)
        people = np.unique(identity)
        order = np.concatenate([np.flatnonzero(identity == k) for k in people])
        rows_PNF = torch.from_numpy(np.concatenate(rows)[order]).unflatten(0, (len(people), -1))
        weight_DF, bias_D = discriminant_of(moments_of([rows_PNF]), self.network.DIM)
        self.network.discriminant.weight.copy_(torch.from_numpy(weight_DF))
        self.network.discriminant.bias.copy_(torch.from_numpy(bias_D))


def clip_figures(clips: Clips, index_N: NDArray[np.int64], vector_ND: Float32) -> dict[str, float]:
    """One clip of each walker against its other clips: on the same day, on another day."""
    figures: dict[str, float] = {}
    seeds, session_N, seed_N = np.unique(clips.seed_N[index_N]), clips.session_N[index_N], clips.seed_N[index_N]
    first = [np.flatnonzero((seed_N == seed) & (session_N == 0)) for seed in seeds]
    template_PD = vector_ND[[own[0] for own in first]]
    figures["rank1_same_day"], figures["eer_same_day"] = compared(template_PD, vector_ND[[own[1] for own in first]])
    later = [np.flatnonzero((seed_N == seed) & (session_N == 1)) for seed in seeds]
    if all(len(own) for own in later):
        figures["rank1_other_day"], figures["eer_other_day"] = compared(template_PD, vector_ND[[own[0] for own in later]])
    return score_of(figures)
