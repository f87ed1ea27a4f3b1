"""A network as one file that runs without this project: a torch.export program with free batch size.

It is what the live pipeline runs (inference form, preprocessing inside): raw samples in, in m/s² and rad/s on the 50 Hz grid. The model
card lies beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.catalogue import CAMERA, VERIFICATION
from models.inertial.networks import prepare_for_inference
from models.registry import WEIGHTS_DIR, RegistryError, find_network, load_weights

EXAMPLE_BATCH = 2
"""Traced with two items: a batch of one would be taken for a constant."""


def export(name: str, file: Path, weights_dir: Path = WEIGHTS_DIR) -> dict[str, Any]:
    """Writes FILE (.pt2) and FILE with the suffix .json, its model card; returns the card. `torch.export.load(FILE).module()` runs it.

    Raises RegistryError: unknown network, weights missing or corrupt; a camera network, whose batch size torch.export fixes.
    """
    entry = find_network(name)
    if entry.modality == CAMERA:
        raise RegistryError(f"{name} is a camera network: they cannot be exported with a free batch size")
    network, card = load_weights(entry, weights_dir)
    window = _input_samples(network)
    inputs = tuple(torch.zeros(EXAMPLE_BATCH, window, 6) for _ in range(2 if entry.task == VERIFICATION else 1))
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(
        prepare_for_inference(network).eval(), inputs, dynamic_shapes=tuple({0: batch} for _ in inputs), strict=False
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, file)
    file.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def _input_samples(network: nn.Module) -> int:
    """Length of one input in grid samples."""
    if (window := getattr(network, "WINDOW", None)) is not None:
        return int(window)
    return int(network.CONTEXT + network.BLOCK + network.LOOKAHEAD)  # type: ignore[operator]  # extractors say it in three parts
