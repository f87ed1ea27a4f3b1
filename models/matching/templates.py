"""Templates of one space as the rows of one contiguous, growing matrix; what is removed leaves no byte behind.

Shape letters: N templates, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.types import Float32

FIRST_CAPACITY = 256
NEVER_NS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """One template without its vector. quality: 0..1. windows: how many made it. expires_ns: None if never."""

    template_id: str
    quality: float
    windows: int
    expires_ns: int | None


class TemplateMatrix:
    """Rows 0..len-1 of `rows` are templates in no particular order; the rest of the allocation is zero.

    owner_N: the subject of each row.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._allocated_ND: Float32 = np.zeros((FIRST_CAPACITY, dim), np.float32)
        self._expires_ns: NDArray[np.int64] = np.full(FIRST_CAPACITY, NEVER_NS)
        self._keys: list[tuple[str, str]] = []
        self._rows: dict[str, dict[str, int]] = {}
        self._info: dict[tuple[str, str], TemplateInfo] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def rows(self) -> Float32:
        """(N, D) view; valid until the next change."""
        return self._allocated_ND[: len(self._keys)]

    @property
    def subjects(self) -> dict[str, dict[str, int]]:
        """Subject -> template id -> row."""
        return self._rows

    def owner(self, row: int) -> str:
        """The subject of a row."""
        return self._keys[row][0]

    def info(self, subject: str) -> list[TemplateInfo]:
        """The subject's templates by id."""
        return [self._info[subject, template_id] for template_id in sorted(self._rows.get(subject, ()))]

    def expired(self, now_ns: int | None) -> NDArray[np.int64]:
        """Rising row numbers of the templates that no longer count at `now_ns` (None: every template counts)."""
        if now_ns is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._expires_ns[: len(self._keys)] <= now_ns)

    def put(self, subject: str, vector_D: Float32, info: TemplateInfo) -> None:
        """Add a template, or replace the one of the same subject and id."""
        key = (subject, info.template_id)
        row = self._rows.get(subject, {}).get(info.template_id)
        if row is None:
            row = len(self._keys)
            if row == len(self._allocated_ND):
                self._grow()
            self._keys.append(key)
            self._rows.setdefault(subject, {})[info.template_id] = row
        self._allocated_ND[row] = vector_D
        self._expires_ns[row] = NEVER_NS if info.expires_ns is None else info.expires_ns
        self._info[key] = info

    def remove(self, subject: str, template_id: str) -> bool:
        """Erase a template: the last row moves into its place and the row that comes free is overwritten with zeros."""
        row = self._rows.get(subject, {}).pop(template_id, None)
        if row is None:
            return False
        if not self._rows[subject]:
            del self._rows[subject]
        del self._info[subject, template_id]
        last = len(self._keys) - 1
        moved = self._keys.pop()
        if row != last:
            self._allocated_ND[row] = self._allocated_ND[last]
            self._expires_ns[row] = self._expires_ns[last]
            self._keys[row] = moved
            self._rows[moved[0]][moved[1]] = row
        self._allocated_ND[last] = 0.0
        self._expires_ns[last] = NEVER_NS
        return True

    def _grow(self) -> None:
        capacity = len(self._allocated_ND) * 3 // 2
        old_ND, old_ns = self._allocated_ND, self._expires_ns
        self._allocated_ND = np.zeros((capacity, self.dim), np.float32)
        self._allocated_ND[: len(old_ND)] = old_ND
        self._expires_ns = np.full(capacity, NEVER_NS)
        self._expires_ns[: len(old_ns)] = old_ns
        old_ND[:] = 0.0  # or a vector that is erased later would live on in freed memory
