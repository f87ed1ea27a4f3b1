"""Networks of the user's, by path and description."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.pose import fetch
from models.pose.boxes import iou
from models.pose.described import DescribedDetector, DescribedPose, Description
from models.pose.litert import GraphError
from tests.conftest import REPOSITORY
from tests.models.pose.conftest import network_file

YOLOX = {"width_px": 416, "height_px": 416, "channels": "bgr", "low": 0, "high": 255, "padding": 114, "output": "yolox", "least_score": 0.3}


@pytest.fixture
def yolox_file(tmp_path: Path) -> Path:
    source = REPOSITORY / ".." / "shared" / "pretrained" / "yolox_nano.onnx"
    if not source.is_file():
        pytest.skip("yolox_nano.onnx is not here")
    file = tmp_path / "yolox_nano.onnx"
    file.symlink_to(source.resolve())
    file.with_suffix(".json").write_text(json.dumps(YOLOX))
    return file


@pytest.mark.data
def test_yolox_finds_walkers(yolox_file, kth_frames):
    detector = DescribedDetector(yolox_file)
    frames = kth_frames(4, 4, 10)
    overlap = [iou(detector.detect(f.image).boxes_N4, f.box_4[None]).max(initial=0) for f in frames]
    assert np.mean(np.array(overlap) > 0.5) >= 0.8


def test_a_tflite_file_that_gives_no_joints_of_that_size_is_refused():
    # The landmark file's first output has rows of five: as rows of three it still has 65, so only a row beyond them is refused.
    file = network_file(fetch.POSE)
    wrong = Description(width_px=256, height_px=256, output="joints", layout="nhwc", joints=(*range(16), 65))
    with pytest.raises(GraphError, match="up to row 65"):
        DescribedPose(file, wrong)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"output": "heat"}, "output must be one of"),  # unknown kind
        ({"width_px": 0}, "32..4096"),  # no picture
        ({"width_px": 400}, "multiples of 32"),  # yolox cells would not fit
        ({"joints": [0, 1]}, "17 rows"),  # joints missing
        ({"colour": "rgb"}, "does not describe"),  # a field that does not exist
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, change, text):
    file = tmp_path / "net.onnx"
    file.with_suffix(".json").write_text(json.dumps(YOLOX | change))
    with pytest.raises(GraphError, match=text):
        Description.beside(file)


def test_files_that_are_no_network(tmp_path: Path):
    description = Description(width_px=416, height_px=416, output="yolox")
    for name, text in (
        ("missing.onnx", "no file"),
        ("net.txt", "neither"),
        ("net.onnx", "cannot be loaded"),
        ("net.tflite", "cannot be loaded"),
    ):
        file = tmp_path / name
        if name != "missing.onnx":
            file.write_bytes(b"not a network")
        with pytest.raises(GraphError, match=text):
            DescribedDetector(file, description)
