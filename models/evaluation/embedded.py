"""Recordings as the live pipeline sees them: cut by the extractor on the absolute grid, embedded window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.data.grid import to_grid
from models.data.recordings import Recording
from models.inertial.cutting import cut, window_samples
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor
from models.matching.vectors import leading
from models.types import Float32


@dataclass(frozen=True, slots=True)
class EmbeddedRecording:
    """One recording's gait windows: starts_W (W,) grid indexes, vector_WD (W, D) unit rows, quality_W (W,)."""

    recording: Recording
    starts_W: NDArray[np.int64]
    vector_WD: Float32
    quality_W: Float32

    @property
    def person(self) -> str:
        return self.recording.subject

    def matched(self, dim: int) -> EmbeddedRecording:
        """With the first `dim` directions of every vector."""
        return replace(self, vector_WD=leading(self.vector_WD, dim))


def embed_recordings(
    extractor: WalkExtractor, embedder: GaitEmbedder, recordings: Sequence[Recording], first_index: int = 0
) -> list[EmbeddedRecording]:
    """Cuts and embeds every recording; its first sample lies at grid index `first_index`. Recordings without a window stay, empty.

    Vectors are those that are compared: the embedder's first `matched_dim` directions.
    """
    result = []
    for recording in recordings:
        samples, _, _ = to_grid(recording)
        starts_W = cut(samples, first_index, extractor).window_starts_W
        vector_WD, quality_W = embedder.embed(window_samples(samples, first_index, starts_W, embedder.window_samples))
        result.append(EmbeddedRecording(recording, starts_W, vector_WD, quality_W).matched(embedder.matched_dim))
    return result


def templates(enrolled: Sequence[EmbeddedRecording]) -> tuple[list[str], Float32]:
    """People with at least one window, sorted, and their templates (P, D): the normalised mean of all their enrolment windows."""
    people = sorted({item.person for item in enrolled if len(item.vector_WD)})
    means = [np.concatenate([item.vector_WD for item in enrolled if item.person == person]).mean(axis=0) for person in people]
    return people, unit_rows(np.stack(means)) if means else np.zeros((0, 0), np.float32)


def probe_vectors(item: EmbeddedRecording, windows: int | None) -> Float32:
    """(P, D) normalised means of `windows` consecutive windows of a recording (of all of them if None); no row where there are fewer."""
    count = len(item.vector_WD)
    size = count if windows is None else windows
    if size == 0 or count < size:
        return item.vector_WD[:0]
    total_WD = np.concatenate([np.zeros((1, item.vector_WD.shape[1])), np.cumsum(item.vector_WD, axis=0, dtype=np.float64)])
    return unit_rows((total_WD[size:] - total_WD[:-size]).astype(np.float32))


def unit_rows(vector_ND: Float32) -> Float32:
    """Rows of unit length."""
    return vector_ND / np.maximum(np.linalg.norm(vector_ND, axis=-1, keepdims=True), 1e-9)


def check_same_source(recordings: Sequence[Recording]) -> None:
    """Raises ValueError if recordings of several data sets would be compared: there the device tells people apart, not their gait."""
    sources = sorted({recording.source for recording in recordings})
    if len(sources) > 1:
        raise ValueError(f"people of different data sets are never compared with each other; got {', '.join(sources)}")
