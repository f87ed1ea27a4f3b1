"""Large batches in slices that fit the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.types import Float32


def tensor_slices(x_BT6: Float32, slice_items: int) -> Iterator[tuple[slice, Tensor]]:
    """Yields (slice of the batch, its items as a float32 tensor); a view is copied slice by slice, never as a whole."""
    for begin in range(0, len(x_BT6), slice_items):
        part = slice(begin, min(begin + slice_items, len(x_BT6)))
        yield part, torch.from_numpy(np.array(x_BT6[part], dtype=np.float32, order="C"))
