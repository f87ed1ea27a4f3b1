"""The pose network without the last stage of its mask: the same joints, nearly the same masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.pose import fetch
from models.pose.blazepose import MARGIN, blaze_input
from models.pose.boxes import square_crop
from models.pose.litert import GraphError, LiteRtGraph
from models.pose.trimmed import FULL_PX, MASK_PX, trimmed, with_features
from tests.models.pose.conftest import network_file


@pytest.mark.data
def test_joints_are_the_same_and_masks_agree_on_real_people(kth_frames) -> None:
    path = network_file(fetch.POSE)
    whole, short = LiteRtGraph(path), LiteRtGraph(path, content=trimmed(path.read_bytes()))
    mask = whole.output_shapes.index((1, FULL_PX, FULL_PX, 1))
    assert short.output_shapes[mask] == (1, MASK_PX, MASK_PX, 1)
    agreement = []
    for frame in kth_frames(1, 1, 40)[::4]:
        x = blaze_input(square_crop(frame.image, frame.box_4, FULL_PX, MARGIN)[0])
        expected, found = whole(x), short(x)
        for n in range(len(expected)):
            assert n == mask or np.array_equal(expected[n], found[n])
        expected_HW = cv2.resize(expected[mask][0, :, :, 0], (MASK_PX, MASK_PX), interpolation=cv2.INTER_AREA) > 0
        found_HW = found[mask][0, :, :, 0] > 0
        agreement.append((expected_HW & found_HW).sum() / max(1, (expected_HW | found_HW).sum()))
    assert np.median(agreement) > 0.9


@pytest.mark.parametrize(
    "content",
    [
        b"",  # no file
        b"\x1c\0\0\0TFL3" + bytes(64),  # a header and nothing behind it
        b"\xff" * 4096,  # something else
    ],
)
def test_what_is_no_graph_is_refused(content) -> None:
    for change in (trimmed, with_features):
        with pytest.raises(GraphError, match="not BlazePose"):
            change(content)


def test_another_network_is_refused() -> None:
    with pytest.raises(GraphError, match="not BlazePose"):
        trimmed(network_file(fetch.DETECTOR).read_bytes())
