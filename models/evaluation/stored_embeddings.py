"""Embeddings that others computed and stored, so that published vectors are scored by the same code as ours.

Two forms. npz: `gallery_features` (G, D), `gallery_labels` (G,), `gallery_views` (G,), and the same of `probe`. Pickle, as the published GaitNet
stores them from Python 2: a dictionary of `gallery_features` (V, N, D), `gallery_labels` (V, N), `gallery_valid` (V,) and the same of `probe`,
where rows beyond the count of a view are filler. A pickle cannot run code here (`models.evaluation.plain_pickle`).
Shape letters: V views, N sequences of a view, D dimensions, G gallery entries.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.evaluation.plain_pickle import read_pickle
from models.evaluation.vision_protocols import LabelledVectors

CASIA_B_VIEWS = tuple(f"{angle:03d}" for angle in range(0, 181, 18))

LARGEST_BYTES = 1 << 30
"""The published files have a few megabytes."""


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """What was enrolled, and what is looked for."""

    gallery: LabelledVectors
    probes: LabelledVectors


def load_stored(path: str | Path, views: Sequence[str] | None = None) -> StoredEmbeddings:
    """Stored embeddings of either form. views: names of a pickle's views in order; None for angles where there are eleven, else 0, 1, ...

    Raises RecordingError naming file and field.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    if size > LARGEST_BYTES:
        raise RecordingError(f"{path}: {size} bytes are more than the {LARGEST_BYTES} that are read")
    if zipfile.is_zipfile(path):
        fields = _npz(path)
        return StoredEmbeddings(_flat(path, fields, "gallery"), _flat(path, fields, "probe"))
    fields = read_pickle(path)
    return StoredEmbeddings(_by_view(path, fields, "gallery", views), _by_view(path, fields, "probe", views))


def _npz(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path}: not a readable npz file ({error})") from error


def _field(path: Path, fields: Mapping[str, Any], name: str) -> NDArray:
    if name not in fields:
        raise RecordingError(f"{path}: field {name!r} is missing; there are {', '.join(sorted(fields)) or 'none'}")
    return np.asarray(fields[name])


def _features(path: Path, values: NDArray, name: str, axes: int) -> NDArray[np.float32]:
    if values.ndim != axes or not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
        raise RecordingError(f"{path}: field {name!r} must be finite numbers of {axes} axes, got {values.shape} {values.dtype}")
    return values.astype(np.float32)


def _flat(path: Path, fields: Mapping[str, NDArray], side: str) -> LabelledVectors:
    vectors = _features(path, _field(path, fields, f"{side}_features"), f"{side}_features", 2)
    labels, views = (_field(path, fields, f"{side}_{name}").astype(str) for name in ("labels", "views"))
    if labels.shape != (len(vectors),) or views.shape != (len(vectors),):
        raise RecordingError(
            f"{path}: fields '{side}_labels' and '{side}_views' must have {len(vectors)} entries, got {labels.shape}, {views.shape}"
        )
    return LabelledVectors(vectors, labels, views)


def _by_view(path: Path, fields: Mapping[str, Any], side: str, names: Sequence[str] | None) -> LabelledVectors:
    vectors_VND = _features(path, _field(path, fields, f"{side}_features"), f"{side}_features", 3)
    views, longest = vectors_VND.shape[:2]
    labels_VN, valid_V = _field(path, fields, f"{side}_labels"), _field(path, fields, f"{side}_valid").reshape(-1)
    if labels_VN.shape != (views, longest):
        raise RecordingError(f"{path}: field '{side}_labels' must be ({views}, {longest}), got {labels_VN.shape}")
    if valid_V.shape != (views,) or (valid_V < 0).any() or (valid_V > longest).any():
        raise RecordingError(f"{path}: field '{side}_valid' must be {views} counts up to {longest}, got {valid_V.tolist()}")
    if names is None:
        names = CASIA_B_VIEWS if views == len(CASIA_B_VIEWS) else [str(view) for view in range(views)]
    if len(names) != views:
        raise RecordingError(f"{path}: has {views} views, {len(names)} names were given")
    keep_VN = np.arange(longest)[None, :] < valid_V[:, None].astype(np.int64)
    label_VN = np.vectorize(lambda value: f"{value:g}" if isinstance(value, float) else str(value), otypes=[str])(labels_VN)
    view_VN = np.repeat(np.asarray(names, dtype=str)[:, None], longest, axis=1)
    return LabelledVectors(vectors_VND[keep_VN], label_VN[keep_VN], view_VN[keep_VN])
