"""Every published camera network builds by its name with the reference's number of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.catalogue import NETWORKS
from models.training.train import train
from models.vision_catalogue import BY_NAME, VISION_NETWORKS

EXPECTED = {
    "human-pose-ir": 29_625_616,
    "gaitnn-gru-1": 4_768_512 + 1_625_344 + 1_574_400 + 513 * 100,
    "gaitnn-gru-1-legacy": 4_768_512 + 1_574_400 + 513 * 100,  # the blocks thrown away are left out
    "gaitnn-gru-2-legacy": 4_768_512 + 2 * 1_574_400 + 513 * 100,
    "gaitnn-lstm-1-legacy": 4_768_512 + 2_099_200 + 513 * 100,
    "gaitnn-lstm-2-legacy": 4_768_512 + 2 * 2_099_200 + 513 * 100,
    "gaitnet": 17_368_043,
    "gaitformer-sm": 2_244_010,
    "gaitformer-md": 4_352_426,
    "gaitformer-xl": 6_460_842,
    "st-gcn": 3_118_030,
    "disentangle": 1_141_517 + 93_120 + 155_752_010,
}


@pytest.mark.parametrize("name", [entry.name for entry in VISION_NETWORKS])
def test_networks_build_with_the_published_parameters(name: str) -> None:
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in BY_NAME[name].build_published().parameters())
    assert parameters == EXPECTED.get(name, parameters)
    assert parameters > 1_000_000


def test_every_expected_network_is_declared_once() -> None:
    assert set(EXPECTED) <= set(BY_NAME)
    assert len(BY_NAME) == len(VISION_NETWORKS)
    assert {f"gaitnn-{cell}-{layers}{form}" for cell in ("gru", "lstm") for layers in (1, 2) for form in ("", "-legacy")} <= set(BY_NAME)
    assert {"human-pose-resnet152", "disentangle-legacy"} <= set(BY_NAME)


def test_names_do_not_collide_with_the_inertial_networks() -> None:
    inertial = [name for name, entry in NETWORKS.items() if "Hz" in entry.input and "axes" in entry.input]
    assert inertial
    assert not set(inertial) & set(BY_NAME)


def test_training_by_the_common_command_names_the_own_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vision_run train gaitnet"):
        train("gaitnet", [], tmp_path)


def test_the_common_list_has_all_of_them() -> None:
    assert {entry.name for entry in VISION_NETWORKS} <= NETWORKS.keys()
    assert all(NETWORKS[entry.name].modality == "camera" for entry in VISION_NETWORKS)
