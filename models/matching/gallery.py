"""The gallery of enrolled people in memory: exact match by matrix product, exact erasure.

A match has two steps. Screening (models.matching.screening) finds by float32 products the few groups of rows that can hold the best people;
their cosines are then computed in float64, row by row in one fixed order of summation. Groups are left out only if their largest float32
score, plus the largest possible rounding error, is below the last person kept: the result is that of the full float64 computation, bit for bit,
whatever else is in the batch and in whichever order people were enrolled.

Shape letters: N templates, B probes, D embedding, K candidate rows, P people.
"""

from __future__ import annotations

from collections import Counter
from threading import RLock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.matching.matches import Matches
from models.matching.screening import GroupMaxima, Indices, default_threads, rows_of
from models.matching.templates import TemplateInfo, TemplateMatrix
from models.matching.vectors import SpaceMismatch, unit, unit_rows
from models.types import Float32, ShapeError

PROBE_SLICE = 64
"""Probes per pass over the matrix: a block's scores stay in cache; larger slices gain nothing."""

SPARE_GROUPS = 3
"""Groups looked at beyond the people wanted: some people hold several of the best rows."""

ALL_EXACT = 256
"""Galleries up to this many templates are scored exactly without screening."""

NARROW = 4
"""Rows per person wanted that are looked at first."""

EXACT_ROWS = 8192
"""Rows per exact product of one probe, 4 MB in float64 at 64 dimensions."""


class Gallery:
    """Templates of one embedding space. Calls from several threads wait for one another.

    space: its id; every `space` argument is checked against it.  dim: length of the vectors.
    threads: for large matches; None: two if BLAS is held to one thread by the environment, else one.
    """

    def __init__(self, space: str, dim: int, threads: int | None = None) -> None:
        self.space, self.dim = space, dim
        self.threads = default_threads() if threads is None else threads
        self._templates = TemplateMatrix(dim)
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._templates)

    @property
    def subjects(self) -> int:
        """Number of enrolled people."""
        return len(self._templates.subjects)

    def has(self, subject: str) -> bool:
        """Whether the person has a template, expired or not."""
        return subject in self._templates.subjects

    def names(self) -> list[str]:
        """Enrolled people in order of name."""
        with self._lock:
            return sorted(self._templates.subjects)

    def templates_of(self, subject: str) -> list[TemplateInfo]:
        """The person's templates by id; empty if not enrolled."""
        with self._lock:
            return self._templates.info(subject)

    def vectors_of(self, subject: str) -> Float32:
        """(k, D) copy of the person's vectors by template id."""
        with self._lock:
            rows = self._templates.subjects.get(subject, {})
            return self._templates.rows[[rows[template_id] for template_id in sorted(rows)]]

    def put(
        self,
        subject: str,
        template_id: str,
        vector_D: ArrayLike,
        *,
        quality: float = 1.0,
        windows: int = 1,
        expires_ns: int | None = None,
        space: str | None = None,
    ) -> None:
        """Enrol a template, or replace the one of this id. Raises SpaceMismatch, ShapeError, ValueError (quality or windows out of range)."""
        self._check(space)
        if not 0.0 <= quality <= 1.0 or windows < 1:
            raise ValueError(f"a template needs quality 0..1 and at least one window, got {quality} and {windows}")
        row = unit(vector_D, self.dim)
        with self._lock:
            self._templates.put(subject, row, TemplateInfo(template_id, quality, windows, expires_ns))

    def remove(self, subject: str, template_id: str) -> bool:
        """Erase one template, also from memory; False if there is none."""
        with self._lock:
            return self._templates.remove(subject, template_id)

    def remove_subject(self, subject: str) -> int:
        """Erase a person; the number of templates erased."""
        with self._lock:
            return sum(self._templates.remove(subject, template_id) for template_id in list(self._templates.subjects.get(subject, ())))

    def match(self, vectors_BD: ArrayLike, top: int = 5, *, now_ns: int | None = None, space: str | None = None) -> Matches:
        """The `top` most alike people of every row; templates expired at `now_ns` count for nothing (None: none expires).

        Exactly the full float64 computation (see the module). Raises SpaceMismatch, ShapeError, ValueError (top < 1).
        """
        self._check(space)
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        probe_BD = self._probes(vectors_BD)
        with self._lock:
            expired = self._templates.expired(now_ns)
            enrolled = self.subjects - self._gone(expired)
            people = min(max(top, 2), enrolled)
            result = Matches(
                self.space,
                np.empty((len(probe_BD), people), object),
                np.empty((len(probe_BD), people)),
                enrolled,
                len(self) - len(expired),
            )
            if people:
                for first in range(0, len(probe_BD), PROBE_SLICE):
                    part = slice(first, first + PROBE_SLICE)
                    self._match_slice(probe_BD[part], expired, result.subject_BP[part], result.score_BP[part])
                np.clip(result.score_BP, -1.0, 1.0, out=result.score_BP)  # unit length is rounded
        return result

    def score_subject(
        self, vectors_BD: ArrayLike, subject: str, *, now_ns: int | None = None, space: str | None = None
    ) -> NDArray[np.float64]:
        """(B,) best cosine of each row with the templates of one person, for verification; NaN if the person has none (or all expired)."""
        self._check(space)
        probe_BD = self._probes(vectors_BD)
        with self._lock:
            rows = np.array(sorted(self._templates.subjects.get(subject, {}).values()), np.int64)
            rows = np.setdiff1d(rows, self._templates.expired(now_ns))
            if not len(rows):
                return np.full(len(probe_BD), np.nan)
            row_BKD = np.broadcast_to(self._templates.rows[rows], (len(probe_BD), len(rows), self.dim))
            return np.clip(_cosines(row_BKD, probe_BD).max(axis=1), -1.0, 1.0)

    def _check(self, space: str | None) -> None:
        if space is not None and space != self.space:
            raise SpaceMismatch(self.space, space)

    def _probes(self, vectors_BD: ArrayLike) -> Float32:
        array = np.asarray(vectors_BD, np.float32)
        if array.ndim != 2:
            raise ShapeError(f"probes must be (B, {self.dim}), got {array.shape}")
        return unit_rows(array, self.dim)

    def _gone(self, expired: Indices) -> int:
        """Number of people all of whose templates have expired."""
        count = Counter(self._templates.owner(row) for row in expired.tolist())
        return sum(len(self._templates.subjects[subject]) == gone for subject, gone in count.items())

    def _match_slice(self, probe_BD: Float32, expired: Indices, subject_BP: NDArray[np.object_], score_BP: NDArray[np.float64]) -> None:
        """Fills in the best people of up to PROBE_SLICE probes."""
        people = subject_BP.shape[1]
        if len(self) <= ALL_EXACT:
            row_BK = np.tile(np.arange(len(self)), (len(probe_BD), 1))
            found = self._best_people(row_BK, self._exact(row_BK, probe_BD, expired), people)
        else:
            found = self._screened(probe_BD, expired, people)
        for i, best in enumerate(found):
            subject_BP[i], score_BP[i] = zip(*best, strict=True)

    def _screened(self, probe_BD: Float32, expired: Indices, people: int) -> list[list[tuple[str, float]]]:
        """Per probe the best people, by groups of rows."""
        screen = GroupMaxima(self._templates.rows, probe_BD, self.threads)
        rounding = self.dim * float(np.finfo(np.float32).eps)  # twice the bound of a float32 dot product of unit vectors
        groups_BK, bound_B = screen.largest(people + SPARE_GROUPS)
        row_BK = rows_of(groups_BK)
        found = self._best_people(row_BK, self._exact(row_BK, probe_BD, expired), people)
        for i, bound in enumerate(bound_B.tolist()):
            wider = groups_BK.shape[1]
            while bound > -np.inf and (len(found[i]) < people or found[i][-1][1] <= bound + rounding):
                # Ties, people with many templates, or expired ones: look at every group that can hold one of the best (or at more, if too few were found).
                if len(found[i]) == people:
                    groups, bound = screen.reaching(i, found[i][-1][1] - rounding), -np.inf
                else:
                    wider *= 8
                    (groups,), (bound,) = (array[[i]] for array in screen.largest(wider))
                row_1K = rows_of(groups)[None]
                parts = (row_1K[:, k : k + EXACT_ROWS] for k in range(0, row_1K.shape[1], EXACT_ROWS))
                score_1K = np.concatenate([self._exact(part, probe_BD[i : i + 1], expired) for part in parts], axis=1)
                (found[i],) = self._best_people(row_1K, score_1K, people)
        return found

    def _exact(self, row_BK: Indices, probe_BD: Float32, expired: Indices) -> NDArray[np.float64]:
        """(B, K) float64 cosines; -inf for expired rows and rows beyond the matrix."""
        score = _cosines(self._templates.rows[np.minimum(row_BK, len(self) - 1)], probe_BD)
        score[row_BK >= len(self)] = -np.inf
        if len(expired):
            score[np.isin(row_BK, expired)] = -np.inf
        return score

    def _best_people(self, row_BK: Indices, score_BK: NDArray[np.float64], people: int) -> list[list[tuple[str, float]]]:
        """Per probe up to `people` (name, score) by falling score, then by name; each person's best row counts."""
        order_BK = np.argsort(-score_BK, axis=1, kind="stable")
        found: list[list[tuple[str, float]]] = []
        width = NARROW * people  # nearly always enough, and few numbers become Python objects
        while len(found) < len(row_BK):
            rest = slice(len(found), None)
            order = order_BK[rest, :width]
            rows, scores = np.take_along_axis(row_BK[rest], order, 1).tolist(), np.take_along_axis(score_BK[rest], order, 1).tolist()
            for pair in zip(rows, scores, strict=True):
                best, complete = self._best_of(*pair, people)
                if not complete and width < row_BK.shape[1]:
                    width = row_BK.shape[1]
                    break
                found.append(best)
        return found

    def _best_of(self, rows: list[int], scores: list[float], people: int) -> tuple[list[tuple[str, float]], bool]:
        """The best people among rows of falling score, and whether rows that would follow could not change them."""
        best: dict[str, float] = {}
        last, complete = -np.inf, False
        for row, score in zip(rows, scores, strict=True):
            if score == -np.inf or (len(best) >= people and score < last):
                complete = True
                break
            best.setdefault(self._templates.owner(row), score)
            last = score
        return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:people], complete


def _cosines(row_BKD: Float32, probe_BD: Float32) -> NDArray[np.float64]:
    """(B, K) float64: products of float32 are exact in float64, and einsum sums every row in the same order, so equal vectors score equally.

    Both operands are float64 and contiguous before einsum: it would otherwise convert in buffers whose borders change the order.
    """
    row64_BKD, probe64_BD = np.ascontiguousarray(row_BKD, np.float64), probe_BD.astype(np.float64)
    return np.asarray(np.einsum("bkd,bd->bk", row64_BKD, probe64_BD))
