"""Published skeleton networks as live embedders: the same vectors as in training, unit length, quality, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.catalogue import NetworkEntry
from models.skeleton import EMBEDDING, STGCN, GaitFormer
from models.skeleton.live import PublishedSkeleton
from models.training.vision_feeding import feeding_of
from models.types import CAMERA_WINDOW
from models.vision_catalogue import VISION_NETWORKS, catalogue_fields


@pytest.fixture(scope="module")
def windows(data_dir: Path) -> np.ndarray:
    """(3, 32, 17, 3): two walks, and nobody."""
    path = data_dir / "vision" / "kth_pose.npz"
    if not path.exists():
        pytest.skip("no recordings: vision/kth_pose.npz is absent")
    from models.training.vision_data import joint_walks

    long = [walk.keypoints_TJ3[:CAMERA_WINDOW] for walk in joint_walks(path) if len(walk.keypoints_TJ3) >= CAMERA_WINDOW]
    return np.stack([*long[:2], np.zeros((CAMERA_WINDOW, 17, 3), np.float32)])


@pytest.mark.parametrize("network", [GaitFormer(4, pool="mean"), STGCN()], ids=["gaitformer", "st-gcn"])
def test_a_window_becomes_what_training_makes_of_it(network: GaitFormer | STGCN, windows: np.ndarray) -> None:
    network.eval()
    feeding = feeding_of(network, small=True)
    live = PublishedSkeleton(lambda: network, stride=2, averages=True).eval()
    with torch.no_grad():
        vector_BD, quality_B = live(torch.from_numpy(windows))
        for window, vector_D in zip(windows[:2], vector_BD, strict=False):
            walk = feeding.prepare(window)
            middle = walk[(len(walk) - 48) // 2 :][:48]
            expected = network.features(feeding.batch([middle]))[0]
            assert torch.allclose(vector_D, expected, atol=1e-5)
    assert torch.allclose(vector_BD.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (quality_B[:2] > 0.5).all()
    assert quality_B[2] == 0  # nobody in view
    with pytest.raises(ValueError, match=r"\(B, 32, 17, 3\)"):
        live(torch.zeros(1, 30, 17, 3))


def test_how_a_run_fed_its_network_lies_in_the_weights() -> None:
    run = PublishedSkeleton(EMBEDDING["gaitformer-sm"], stride=2, averages=True)
    read = PublishedSkeleton(EMBEDDING["gaitformer-sm"])
    read.load_state_dict({name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in run.state_dict().items()})
    assert (int(read.stride), bool(read.averages)) == (2, True)


def test_every_network_has_the_fields_of_a_registry_entry() -> None:
    entries = [NetworkEntry(**fields) for fields in catalogue_fields()]
    assert [entry.name for entry in entries] == [network.name for network in VISION_NETWORKS]
    with torch.device("meta"):
        for entry, network in zip(entries, VISION_NETWORKS, strict=True):
            published = sum(parameter.numel() for parameter in network.build_published().parameters())
            assert sum(parameter.numel() for parameter in entry.build().parameters()) == published, entry.name
