"""Networks from skeletons and pose maps: GaitNN, GaitFormer, ST-GCN, disentanglement. The dictionaries hold a builder for every network by
its registered name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

from models.skeleton.disentangle import Disentangle
from models.skeleton.gaitformer import LAYERS, GaitFormer
from models.skeleton.gaitnn import Cell, GaitNN
from models.skeleton.st_gcn import STGCN

POSE_MAPS: dict[str, Callable[[int], GaitNN]] = {
    f"gaitnn-{cell}-{layers}{suffix}": partial(GaitNN, cell=cell, layers=layers, legacy=bool(suffix))
    for cell in get_args(Cell)
    for layers in (1, 2)
    for suffix in ("", "-legacy")
}
"""Builders take the number of people."""

EMBEDDING: dict[str, Callable[[], GaitFormer | STGCN]] = {
    **{f"gaitformer-{size}": partial(GaitFormer, layers) for size, layers in LAYERS.items()},
    "st-gcn": STGCN,
}

DISENTANGLED: dict[str, Callable[[int], Disentangle]] = {
    "disentangle": Disentangle,
    "disentangle-channels": partial(Disentangle, layout="channels"),
    "disentangle-legacy": partial(Disentangle, layout="legacy"),
}
"""Builders take the number of people."""

__all__ = ["DISENTANGLED", "EMBEDDING", "POSE_MAPS", "STGCN", "Disentangle", "GaitFormer", "GaitNN"]
