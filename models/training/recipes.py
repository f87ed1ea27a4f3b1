"""How each registered network is trained unless told otherwise, and the small recipe that fits two processor cores in minutes.

The published networks follow what their authors published: epochs over all samples at the published batch and rate, Adam, nothing else.
The small recipe keeps optimiser and rate (but for the U-Net, whose 1e-5 learns nothing in a few hundred windows) and shortens the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.catalogue import NetworkEntry
from models.inertial.embedder import PenultimateEmbedding
from models.inertial.extractor import StreamingUNet
from models.inertial.published import CLASSICAL, CLASSICAL_PAIRS, PairNetwork
from models.inertial.published.recipe import Recipe

UNPUBLISHED_RATE = 1e-3
"""Learning rate of the U-Net in the small recipe."""

PUBLISHED_PATIENCE = 25
"""Epochs without gain on held-out people after which a published recipe ends; the published runs went to their end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a run: most epochs, steps per epoch (None: one pass over all samples), items per step, rate, patience in epochs."""

    epochs: int
    steps: int | None
    batch: int
    learning_rate: float
    patience: int


OWN = Plan(epochs=20, steps=100, batch=192, learning_rate=3e-3, patience=6)
OWN_SMALL = Plan(epochs=4, steps=60, batch=128, learning_rate=3e-3, patience=4)

CAMERA: dict[str, tuple[Plan, Plan]] = {
    "gait-skeleton": (Plan(epochs=7, steps=150, batch=512, learning_rate=3e-3, patience=7), Plan(2, 20, 128, 3e-3, 2)),
    "gait-silhouette": (Plan(epochs=6, steps=60, batch=192, learning_rate=3e-3, patience=6), Plan(2, 4, 64, 3e-3, 2)),
    "gait-camera": (Plan(1, None, 0, 0.0, 0), Plan(1, None, 0, 0.0, 0)),
}
"""Usual and small plans of our networks on cameras; gait-camera learns nothing but one weight."""

SMALL_STEPS: dict[str, tuple[int, int, int]] = {
    "whugait-unet": (4, 30, 4),
    "whugait-unet-notebook": (2, 30, 4),
    "whugait-cnn": (4, 60, 128),
    "whugait-dl-lstm-1024": (3, 20, 16),
    "whugait-cnn-lstm": (2, 12, 16),
    "whugait-cnnfix-lstm": (2, 12, 16),
    "whugait-cnn-lstmfix": (2, 12, 32),
    "whugait-cnn-lstm-repo": (4, 30, 64),
}
"""(epochs, steps per epoch, items per step) where the usual small run would take too long: 1024 hidden units cost 0.2 s an item."""

FIT_SAMPLES = 4000
"""Windows, or pairs, that a traditional method learns from in one go."""

SMALL_LSTM, SMALL_PAIR = (4, 60, 64), (4, 45, 64)


def plan(entry: NetworkEntry, *, small: bool = False) -> Plan:
    """The settings of a network's run."""
    if entry.name in (*CLASSICAL, *CLASSICAL_PAIRS):
        return Plan(1, None, FIT_SAMPLES, 0.0, 0)
    if entry.name in CAMERA:
        return CAMERA[entry.name][small]
    published = published_recipe(entry)
    if published is None:
        return OWN_SMALL if small else OWN
    if not small:
        return Plan(published.epochs, None, published.batch, published.learning_rate, PUBLISHED_PATIENCE)
    usual = SMALL_PAIR if "-pair-" in entry.name else SMALL_LSTM
    epochs, steps, batch = SMALL_STEPS.get(entry.name, usual)
    rate = UNPUBLISHED_RATE if "-unet" in entry.name else published.learning_rate
    return Plan(epochs, steps, batch, rate, PUBLISHED_PATIENCE)


def published_recipe(entry: NetworkEntry) -> Recipe | None:
    """What was published for a network of the published system, None for our own.

    Traditional methods have none."""
    if not entry.published:
        return None
    network = entry.build()
    if isinstance(network, PenultimateEmbedding | StreamingUNet):
        return network.network.recipe
    assert isinstance(network, PairNetwork)
    return network.recipe
