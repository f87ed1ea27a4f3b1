"""The torch importer computes what LiteRT computes, in any batch, alone or asked for from many threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.pose import fetch
from models.pose.batched import BatchedGraph
from models.pose.blazepose import BlazePose
from models.pose.boxes import iou
from models.pose.detector import EfficientDetLite0
from models.pose.litert import GraphError
from models.pose.torch_graph import TorchGraph
from models.pose.trimmed import trimmed
from tests.models.pose.conftest import KthFrame, network_file

KthFrames = Callable[[int, int, int], list[KthFrame]]


@pytest.fixture(scope="module")
def frames(kth_frames: KthFrames) -> list[KthFrame]:
    return kth_frames(1, 1, 40)[:4]


@pytest.fixture(scope="module")
def pose_graph() -> TorchGraph:
    path = network_file(fetch.POSE)
    return TorchGraph(path, content=trimmed(path.read_bytes()))


def test_poses_agree_with_litert(frames: list[KthFrame], pose_graph: TorchGraph, pose_network: BlazePose) -> None:
    ours = BlazePose(network_file(fetch.POSE), graph=BatchedGraph(pose_graph))
    for frame in frames:
        expected, found = pose_network.pose(frame.image, frame.box_4), ours.pose(frame.image, frame.box_4)
        assert np.abs(found.keypoints_J3 - expected.keypoints_J3).max() < 0.05, "a twentieth of a pixel"
        assert found.mask_HW is not None and (found.mask_HW == expected.mask_HW).mean() > 0.999


def test_people_agree_with_litert(frames: list[KthFrame], detector: EfficientDetLite0) -> None:
    """Integers are rounded in another order, so scores differ by a step or two; the same people are found in the same places."""
    graph = BatchedGraph(TorchGraph(network_file(fetch.DETECTOR)))
    ours = EfficientDetLite0(network_file(fetch.DETECTOR), graph=graph, least_score=0.25)
    people = 0
    for frame in frames:
        expected, found = detector.detect(frame.image), ours.detect(frame.image)
        people += len(expected)
        assert (iou(expected.boxes_N4, found.boxes_N4).max(axis=1, initial=0.0) > 0.8).all()
    assert people >= 2


def test_a_batch_gives_what_each_gives_alone(pose_graph: TorchGraph) -> None:
    x_B = np.random.default_rng(0).random((3, 256, 256, 3), np.float32)
    together = pose_graph(x_B, (0, 1))
    for b in range(3):
        for whole, alone in zip(together, pose_graph(x_B[b : b + 1], (0, 1)), strict=True):
            assert np.abs(whole[b : b + 1] - alone).max() < 1e-2


def test_many_threads_share_passes_and_each_gets_its_own(pose_graph: TorchGraph) -> None:
    sizes: list[int] = []
    batched = BatchedGraph(pose_graph, most=4, observe=sizes.append)
    x_B = np.random.default_rng(1).random((10, 1, 256, 256, 3), np.float32)
    expected = [pose_graph(x, (0,))[0] for x in x_B]
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda x: batched(x, (0,))[0], x_B))
    assert all(np.abs(a - b).max() < 1e-2 for a, b in zip(found, expected, strict=True))
    assert sum(sizes) == 10 and 1 < max(sizes) <= 4, "some went together, never more than allowed"


def test_an_error_reaches_whoever_asked(pose_graph: TorchGraph) -> None:
    batched = BatchedGraph(pose_graph)
    with pytest.raises(GraphError, match="wants"):
        batched(np.zeros((1, 8, 8, 3), np.float32))
    assert batched(np.zeros((1, 256, 256, 3), np.float32), (1,))[0].shape == (1, 1), "and the next one is served"


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "some.tflite"
    file.write_bytes(b"not a graph at all")
    with pytest.raises(GraphError, match="not a TFLite graph"):
        TorchGraph(file)
