"""How a published network was trained, as a value that a training run can follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """Published training settings.

    optimizer: "adam" for every network here.  batch: samples per step; the last partial batch of an epoch is dropped.
    shuffle: whether samples are drawn in a new order each epoch; where False, the published code walked through them in file order.
    """

    optimizer: str
    learning_rate: float
    batch: int
    epochs: int
    shuffle: bool


CNN = Recipe("adam", 1e-3, 512, 200, shuffle=True)
LSTM = Recipe("adam", 2.5e-3, 1500, 200, shuffle=False)
FUSION_REPO = Recipe("adam", 1e-3, 512, 100, shuffle=False)
CNN_FIXED = Recipe("adam", 1e-3, 128, 100, shuffle=False)
LSTM_FIXED = Recipe("adam", 1e-3, 512, 100, shuffle=True)
"""Also taken for the paper's CNN+LSTM, for which nothing is published."""

PAIR = Recipe("adam", 2.5e-3, 512, 300, shuffle=False)
"""Published for CNN+LSTM; also taken for the CNN and LSTM baselines, for which nothing is published."""

PAIR_CNN_FIXED = Recipe("adam", 2.5e-3, 1500, 300, shuffle=False)
EXTRACTION = Recipe("adam", 1e-5, 32, 150, shuffle=True)
"""Reshuffled each epoch with the epoch's number as the seed."""
