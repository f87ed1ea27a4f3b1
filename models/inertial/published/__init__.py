"""The published smartphone system (Zou et al., "Deep Learning-Based Gait Recognition Using Smartphones in the Wild", IEEE TIFS 15, 2020),
implemented from its description: walking extraction, identification, authentication on pairs.

The dictionaries hold a builder for every network by the name under which it is registered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from models.inertial.published.classical import ClassicalEmbedding, ClassicalPair
from models.inertial.published.cnn import CNN
from models.inertial.published.fusion import CNNLSTM, RepoCNNLSTM
from models.inertial.published.lstm import LSTM, Inputs, Structure
from models.inertial.published.network import IdentificationNetwork, PairNetwork
from models.inertial.published.pairs import Layout, PairCNN, PairCNNLSTM, PairLSTM
from models.inertial.published.unet import UNet

_STRUCTURES: dict[str, Structure] = {"sl": "single", "bi": "bidirectional", "dl": "double"}
_INPUTS: dict[str, Inputs] = {"": "six", "-acc": "acceleration", "-gyr": "gyroscope", "-mag": "magnitudes"}
_LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_DIFFERENCE: tuple[Literal["difference"]] = ("difference",)

EXTRACTION: dict[str, Callable[[], UNet]] = {
    "whugait-unet": partial(UNet, "paper"),
    "whugait-unet-notebook": partial(UNet, "notebook"),
}

IDENTIFICATION: dict[str, Callable[[int], IdentificationNetwork]] = {
    "whugait-cnn": CNN,
    **{
        f"whugait-{short}-lstm{suffix}": partial(LSTM, structure=structure, inputs=inputs)
        for short, structure in _STRUCTURES.items()
        for suffix, inputs in _INPUTS.items()
    },
    "whugait-dl-lstm-1024": partial(LSTM, structure="double", hidden=1024),
    "whugait-cnn-lstm": CNNLSTM,
    "whugait-cnn-lstm-repo": RepoCNNLSTM,
    "whugait-cnnfix-lstm": partial(CNNLSTM, fixed="cnn"),
    "whugait-cnn-lstmfix": partial(CNNLSTM, fixed="lstm"),
}
"""Builders take the number of people. whugait-dl-lstm-1024 is the network whose trained LSTM whugait-cnn-lstmfix takes over."""

AUTHENTICATION: dict[str, Callable[[], PairNetwork]] = {
    **{f"whugait-pair-cnn-{layout}": partial(PairCNN, layout) for layout in _LAYOUTS},
    **{f"whugait-pair-lstm-{layout}": partial(PairLSTM, layout) for layout in _LAYOUTS},
    **{f"whugait-pair-cnn-lstm-{layout}": partial(PairCNNLSTM, layout) for layout in _LAYOUTS},
    **{f"whugait-pair-cnnfix-lstm-{layout}": partial(PairCNNLSTM, layout, fixed=True) for layout in _LAYOUTS},
}

CLASSICAL: dict[str, Callable[[], ClassicalEmbedding]] = {
    f"whugait-{name}": partial(ClassicalEmbedding, name) for name in ("eigengait", "wavelet", "fourier")
}

CLASSICAL_PAIRS: dict[str, Callable[[], ClassicalPair]] = {
    f"whugait-pair-{name}-{layout}": partial(ClassicalPair, name, layout)
    for name, layouts in (("eigengait", _DIFFERENCE), ("wavelet", (*_LAYOUTS, *_DIFFERENCE)), ("fourier", (*_LAYOUTS, *_DIFFERENCE)))
    for layout in layouts
}
"""The published table has EigenGait once, Wavelet and Fourier in both layouts; their differences are ours, for comparison."""

PRETRAINED: dict[str, str] = {
    "whugait-cnnfix-lstm": "whugait-cnn",
    "whugait-cnn-lstmfix": "whugait-dl-lstm-1024",
    **{f"whugait-pair-cnnfix-lstm-{layout}": "whugait-cnn" for layout in _LAYOUTS},
}
"""For every network with a fixed part, the identification network whose trained weights its `load_fixed` takes."""

__all__ = [
    "AUTHENTICATION",
    "CLASSICAL",
    "CLASSICAL_PAIRS",
    "EXTRACTION",
    "IDENTIFICATION",
    "PRETRAINED",
    "ClassicalEmbedding",
    "ClassicalPair",
    "IdentificationNetwork",
    "PairNetwork",
    "UNet",
]
