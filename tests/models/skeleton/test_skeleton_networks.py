"""Parameter counts of the published tables, shapes, and what the networks' parts do, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.skeleton import DISENTANGLED, EMBEDDING, POSE_MAPS, Disentangle, GaitFormer
from models.skeleton.appearance import NAMES, columns
from models.skeleton.disentangle import Layout, from_rows, to_rows
from models.skeleton.gaitnn import score_maps
from models.skeleton.st_gcn import spatial_partition


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


LIVE, DEAD, GRU, LSTM = 4_768_512, 1_625_344, 1_574_400, 2_099_200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gaitnn-gru-1-legacy", LIVE + GRU),  # the published 6.34 M
        ("gaitnn-gru-2-legacy", LIVE + 2 * GRU),  # 7.92 M
        ("gaitnn-lstm-1-legacy", LIVE + LSTM),  # 6.87 M
        ("gaitnn-lstm-2-legacy", LIVE + 2 * LSTM),  # 8.97 M
        ("gaitnn-gru-1", LIVE + DEAD + GRU),  # the blocks that the code throws away take part
        ("gaitnn-lstm-2", LIVE + DEAD + 2 * LSTM),  # both layers have weights of their own
    ],
)
def test_gaitnn_parameters(name: str, expected: int) -> None:
    with torch.device("meta"):
        network = POSE_MAPS[name](10).eval()
        assert count(network) - count(network.head) == expected
        assert network(torch.empty(1, 7, 32, 17, 17)).shape == (1, 10)
        assert network.features(torch.empty(3, 1, 32, 17, 17)).shape == (3, 512)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gaitformer-sm", 2_244_010), ("gaitformer-md", 4_352_426), ("gaitformer-xl", 6_460_842), ("st-gcn", 3_118_030)],
)
def test_embedding_parameters_and_shapes(name: str, expected: int) -> None:
    with torch.device("meta"):
        network = EMBEDDING[name]().eval()
        assert count(network) == expected
        for batch, frames in ((1, 48), (2, 47), (1, 1)):  # published length, odd length, a single frame
            output = network(torch.empty(batch, 3, frames, 18))
            assert (output.embedding_BD.shape, output.contrast_BK.shape) == ((batch, 256), (batch, 128))
            assert output.attribute_BA.shape == (batch, 42)


def test_disentangle_parameters() -> None:
    with torch.device("meta"):
        network = DISENTANGLED["disentangle"](74)
    part = network.autoencoder
    assert [count(p) for p in (part.motion, part.body, part.view, part.decoder, part)] == [79_808, 79_424, 24_032, 958_253, 1_141_517]
    head = network.recognition
    assert count(head.stem) + count(head.residual) == 93_120
    assert count(head.embedding) + count(head.head) == 155_752_010


def test_disentangle_shapes() -> None:
    network = Disentangle(5, "pose").eval()
    assert network(torch.randn(1, 64, 15, 2)).shape == (1, 5)
    assert network.features(torch.randn(3, 64, 15, 2)).shape == (3, 512)
    assert network.autoencoder(torch.randn(1, 30, 63)).shape == (1, 30, 63)


@pytest.mark.parametrize("layout", ["velocity", "channels", "legacy"])
def test_layouts_are_inverted(layout: Layout) -> None:
    skeleton = torch.randn(2, 64, 15, 2)
    skeleton[:, 0, 8] = 0.0  # a walk's place is not kept, its way is
    assert torch.allclose(from_rows(to_rows(skeleton, layout), layout), skeleton, atol=1e-4)


def test_velocity_layout_keeps_the_way_out_of_the_shape() -> None:
    skeleton = torch.randn(1, 64, 15, 2)
    way = torch.arange(64.0)[None, :, None, None]
    still, moved = to_rows(skeleton, "velocity"), to_rows(skeleton + way, "velocity")
    assert torch.allclose(still[:, :28], moved[:, :28], atol=1e-4)
    assert torch.allclose(moved[0, 28:, 1:] - still[0, 28:, 1:], torch.ones(2, 63), atol=1e-4)


def test_layouts_differ_as_published() -> None:
    skeleton = torch.arange(64 * 30.0).reshape(1, 64, 15, 2)
    assert to_rows(skeleton, "channels")[0, 3, :3].tolist() == [3.0, 33.0, 63.0]  # y of joint 1 over time
    assert to_rows(skeleton, "legacy")[0, 3, :3].tolist() == [192.0, 193.0, 194.0]  # 64 consecutive numbers


def test_head_never_trains_the_encoders() -> None:
    network = Disentangle(4, "motion")
    network(torch.randn(2, 64, 15, 2)).sum().backward()
    assert all(parameter.grad is None for parameter in network.autoencoder.parameters())


def test_features_are_unit_vectors_and_pooling_is_a_choice() -> None:
    torch.manual_seed(0)
    first, mean = GaitFormer(1).eval(), GaitFormer(1, "mean").eval()
    mean.load_state_dict(first.state_dict())
    x = torch.randn(2, 3, 48, 18)
    with torch.no_grad():
        assert torch.allclose(first.features(x).norm(dim=1), torch.ones(2), atol=1e-5)
        assert not torch.allclose(first.features(x), mean.features(x), atol=1e-3)


def test_attributes_are_in_the_published_order() -> None:
    assert len(NAMES) == 42
    assert (NAMES[0], NAMES[12], NAMES[41]) == ("Female", "Backpack", "HoldObjectsInFront")
    assert columns("demographic") == tuple(range(12))
    assert columns("clothing") == tuple(range(12, 34))


def test_graph_parts_cover_every_bone_once() -> None:
    whole = spatial_partition().sum(dim=0)
    assert torch.allclose(whole.sum(dim=0), torch.ones(18))  # each neighbourhood weighs 1
    assert (whole > 0).sum() == 18 + 2 * 17  # the joints themselves and 17 bones both ways


def test_score_maps_peak_at_the_joint_and_are_empty_where_it_is_missing() -> None:
    place = torch.zeros(1, 16, 2)
    place[0, 0] = torch.tensor([1.0, -1.0])  # top right
    place[0, 1] = torch.nan
    maps = score_maps(place)
    assert maps.shape == (1, 32, 17, 17)
    assert np.unravel_index(int(maps[0, 0].argmax()), (17, 17)) == (0, 16)
    assert maps[0, 1].abs().max() == 0


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("gaitformer-sm", (1, 3, 49, 18)),  # longer than the positions learnt
        ("st-gcn", (1, 3, 48, 17)),  # COCO's joints instead of OpenPose's
    ],
)
def test_wrong_shapes_are_named(name: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=str(shape[2] if shape[3] == 18 else 17)):
        EMBEDDING[name]()(torch.empty(shape))
