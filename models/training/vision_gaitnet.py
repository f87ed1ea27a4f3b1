"""The four training stages of GaitNet on the shared engine: segment, recognise, both, pairs.

Walks without pictures take part with their masks as recorded; the published data have pictures throughout.
Source: Song et al., "GaitNet", Pattern Recognition 96, 2019. Shape letters: B batch of six-frame clips, F frames, H, W 64, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from models.training.vision_data import CropWalk, people_of
from models.training.vision_held_out import held_out_figures
from models.types import Float32
from models.video.gaitnet import GaitNet, Stage
from models.video.gaitnet_losses import CONTRASTIVE_WEIGHT, SEGMENTATION_WEIGHT, build_pairs, contrastive_loss, euclidean_loss, random_clip

SHORTEST = 11
"""Frames; published: a sequence needs more than ten."""

VALIDATION_CLIPS = 3

MASK_THRESHOLD = 0.5


class GaitNetTask:
    """One stage. Raises ValueError where stage "seg" gets no pictures, or no walk is long enough."""

    def __init__(
        self, network: GaitNet, stage: Stage, training: Sequence[CropWalk], held_out: Sequence[CropWalk], batch: int, device: str
    ) -> None:
        self.module: nn.Module = network
        self.network, self.stage, self.batch, self.device = network, stage, batch, device
        long = [walk for walk in training if len(walk.masks_THW) >= SHORTEST]
        people = people_of(long)
        self.walks = [walk for walk in long if walk.pictures_T3HW is not None] if stage == "seg" else long
        if not self.walks:
            raise ValueError(f"stage {stage!r} needs walks of {SHORTEST} frames or more" + (" with pictures" if stage == "seg" else ""))
        self.person_N = np.array([people.index((walk.source, walk.subject)) for walk in self.walks])
        self.held_out = [walk for walk in held_out if len(walk.masks_THW) >= SHORTEST]

    @property
    def steps(self) -> int:
        """Whole batches in a pass over the walks."""
        return max(1, len(self.walks) // self.batch)

    def loss(self, rng: Generator) -> Tensor:
        if self.stage == "sia":
            pairs = build_pairs(self.person_N, self.batch, rng)
            chosen_B = np.concatenate([pairs.first_N, pairs.second_N])
        else:
            chosen_B = rng.choice(len(self.walks), self.batch, replace=len(self.walks) < self.batch)
        clips = [random_clip(len(self.walks[k].masks_THW), rng) for k in chosen_B]
        mask_BFHW, segmentation = self._masks([self.walks[k] for k in chosen_B], clips)
        if self.stage == "seg":
            return segmentation
        feature_BD = self.network.masks_to_features(mask_BFHW[:, :, None])
        person_B = torch.from_numpy(self.person_N[chosen_B]).to(self.device)
        loss = F.cross_entropy(self.network.logits(feature_BD).float(), person_B)
        if self.stage != "rec":
            loss = loss + SEGMENTATION_WEIGHT * segmentation
        if self.stage == "sia":
            first_BD, second_BD = feature_BD.chunk(2)
            first_B, second_B = person_B.chunk(2)
            loss = loss + CONTRASTIVE_WEIGHT * contrastive_loss(first_BD, second_BD, first_B == second_B)
        return loss

    def _masks(self, walks: Sequence[CropWalk], clips: Sequence[slice]) -> tuple[Tensor, Tensor]:
        """(B, F, H, W) masks, predicted where there are pictures, and the segmentation loss of those (0 where there are none)."""
        given_BFHW = (
            torch.from_numpy(np.stack([walk.masks_THW[clip] for walk, clip in zip(walks, clips, strict=True)])).to(self.device).float()
        )
        with_pictures = [k for k, walk in enumerate(walks) if walk.pictures_T3HW is not None]
        if not with_pictures:
            return given_BFHW, given_BFHW.new_zeros(())
        picture_BF3HW = np.stack([walks[k].pictures_T3HW[clips[k]] for k in with_pictures])  # type: ignore[index]
        index = torch.tensor(with_pictures, device=self.device)
        with torch.set_grad_enabled(self.stage != "rec" and torch.is_grad_enabled()):
            logits_BF1HW = self.network.mask_logits(torch.from_numpy(picture_BF3HW).to(self.device).float())
        predicted_BFHW = torch.sigmoid(logits_BF1HW)[:, :, 0]
        loss = euclidean_loss(predicted_BFHW.flatten(0, 1).float(), given_BFHW[index].flatten(0, 1))
        return given_BFHW.index_copy(0, index, predicted_BFHW.to(given_BFHW.dtype)), loss

    def validate(self) -> dict[str, float]:
        """Overlap of predicted and given masks of held-out people, and after the first stage how well they are told apart."""
        figures = self.overlap()
        if self.stage == "seg":
            return {**figures, "score": figures.get("mask_iou", 0.0)}
        return {**figures, **(held_out_figures(self.embed(self.held_out), self.held_out, "euclidean") if self.held_out else {"score": 0.0})}

    @torch.no_grad()
    def overlap(self) -> dict[str, float]:
        """{"mask_iou": mean intersection over union} of the first clip of each held-out walk with pictures; {} without any."""
        values = []
        for walk in self.held_out:
            if walk.pictures_T3HW is not None:
                x_1F3HW = torch.from_numpy(walk.pictures_T3HW[None, : GaitNet.FRAMES]).to(self.device).float()
                found = (torch.sigmoid(self.network.mask_logits(x_1F3HW))[0, :, 0] > MASK_THRESHOLD).cpu().numpy()
                given = walk.masks_THW[: GaitNet.FRAMES]
                values.append(float((found & given).sum() / max(1, (found | given).sum())))
        return {"mask_iou": float(np.mean(values))} if values else {}

    @torch.no_grad()
    def embed(self, walks: Sequence[CropWalk], clips: int = VALIDATION_CLIPS) -> Float32:
        """(N, 256) mean over random six-frame clips of each walk, drawn alike every time."""
        rng, rows = np.random.default_rng(0), []
        for walk in walks:
            chosen = [random_clip(len(walk.masks_THW), rng) for _ in range(clips)]
            mask_BFHW, _ = self._masks([walk] * clips, chosen)
            rows.append(self.network.masks_to_features(mask_BFHW[:, :, None]).mean(dim=0).float().cpu().numpy())
        return np.stack(rows).astype(np.float32)
