"""Which rows of a large matrix can be among the most alike: a blocked float32 product reduced to maxima of groups of rows.

The whole product of 200,000 templates and 64 probes is 51 MB of scores, and moving them costs more than computing them. So the product goes
block by block through one small buffer, and of each group of GROUP rows only the largest score stays (numpy takes the maximum of a block as
7 element-wise maxima of long rows, which is why a group's rows are spread over its block instead of adjacent). The few groups with the largest maxima then hold the
best rows. Measured for 200,000 x 64 and 64 probes on one core: product 22.8 ms (72 GFLOP/s), maxima 1.5 ms.

With 128 dimensions the product is twice as long, and nothing found shortens it without changing a score. In one process on a busy core, least CPU
time of 15 to 40 turns, ms per thread: the product 24 with 64 dimensions and 51 with 128; blocks of 512 to 4096 rows 50 to 52, the other
orientation 54 to 57, torch's 50 to 60; with every block stored transposed 44, for a second copy of the gallery; bytes in place of floats 29
through an interface of torch that is being withdrawn; rows packed beforehand by oneDNN as long as numpy's. It is at what the processor can do, 72 GFLOP/s a
core. Choosing rows and people in two threads gains nothing either (ratio .97 to 1.0). The 102 MB of a gallery are read at 2 GB/s, so half floats would save nothing.

Shape letters: N templates, B probes, D embedding, M groups, K chosen groups or rows.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.types import Float32

BLOCK = 2048
"""Rows per product: with 64 probes 512 KiB of scores, half of a core's second-level cache; 1024 and 4096 are no faster."""

GROUP = 8
"""Rows per group: smaller groups make the search among them longer, larger ones the exact scores of the chosen."""

GROUPS_PER_BLOCK = BLOCK // GROUP
SUPER = 32
"""Groups per group of groups, so that finding the largest maxima does not read all of them."""

THREADED_ROWS = 8 * BLOCK
"""Below this a second thread costs more than it gives."""

Indices = NDArray[np.int64]


def default_threads() -> int:
    """Two where BLAS itself is held to one thread, else one.

    Two Python threads with single-threaded products share the work evenly; on top of a BLAS with its own threads they fight for the cores.
    BLAS reads OPENBLAS_NUM_THREADS or OMP_NUM_THREADS when numpy is first imported.
    """
    setting = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    return min(2, os.cpu_count() or 1) if setting == "1" else 1


class GroupMaxima:
    """Per probe the largest float32 score of every group of rows."""

    def __init__(self, rows_ND: Float32, probe_BD: Float32, threads: int) -> None:
        self.rows = len(rows_ND)
        blocks = -(-self.rows // BLOCK)
        self.maxima_MB = np.empty((blocks * GROUPS_PER_BLOCK, len(probe_BD)), np.float32)
        probe_DB = np.ascontiguousarray(probe_BD.T)

        def reduce_blocks(part: range) -> None:
            scores = np.empty((BLOCK, len(probe_BD)), np.float32)
            for block in part:
                first = block * BLOCK
                count = min(BLOCK, self.rows - first)
                np.matmul(rows_ND[first : first + count], probe_DB, out=scores[:count])
                scores[count:] = -np.inf
                groups = self.maxima_MB[block * GROUPS_PER_BLOCK : (block + 1) * GROUPS_PER_BLOCK]
                np.maximum.reduce(scores.reshape(GROUP, GROUPS_PER_BLOCK, -1), axis=0, out=groups)

        if threads < 2 or self.rows < THREADED_ROWS:
            reduce_blocks(range(blocks))
            return
        parts = [range(blocks * i // threads, blocks * (i + 1) // threads) for i in range(threads)]
        others = [_pool(threads - 1).submit(reduce_blocks, part) for part in parts[1:]]
        reduce_blocks(parts[0])
        for other in others:
            other.result()

    def largest(self, count: int) -> tuple[Indices, Float32]:
        """Per probe the `count` groups with the largest maxima (B, count), and a bound (B,) that no score in any other group exceeds."""
        groups, probes = self.maxima_MB.shape
        if groups <= count:
            return np.tile(np.arange(groups), (probes, 1)), np.full(probes, -np.inf, np.float32)
        supers = groups // SUPER  # a block has a whole number of them
        super_BS = np.maximum.reduce(self.maxima_MB.reshape(SUPER, supers, probes), axis=0).T
        wanted = count + 1  # the one too many is the bound; the largest groups lie in the largest groups of groups
        chosen = _largest(np.ascontiguousarray(super_BS), min(wanted, supers))
        candidates = (chosen[:, :, None] + supers * np.arange(SUPER)).reshape(probes, -1)
        value = self.maxima_MB[candidates, np.arange(probes)[:, None]]
        order = np.argpartition(value, value.shape[1] - wanted, axis=1)[:, -wanted:]
        top, top_value = np.take_along_axis(candidates, order, 1), np.take_along_axis(value, order, 1)
        return top[:, 1:], top_value[:, 0]  # argpartition puts the smallest of the kept first

    def reaching(self, probe: int, score: float) -> Indices:
        """Groups (K,) whose largest score for one probe is at least `score`."""
        return np.flatnonzero(self.maxima_MB[:, probe] >= score)


def rows_of(groups: Indices) -> Indices:
    """Row numbers of groups (..., K) -> (..., K * GROUP); those of the last block may lie beyond the matrix."""
    block, within = np.divmod(groups, GROUPS_PER_BLOCK)
    rows = (block * BLOCK + within)[..., None] + GROUPS_PER_BLOCK * np.arange(GROUP)
    return rows.reshape(*groups.shape[:-1], -1)


def _largest(value_BK: Float32, count: int) -> Indices:
    if count >= value_BK.shape[1]:
        return np.tile(np.arange(value_BK.shape[1]), (len(value_BK), 1))
    return np.argpartition(value_BK, value_BK.shape[1] - count, axis=1)[:, -count:]


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="gallery-match")
