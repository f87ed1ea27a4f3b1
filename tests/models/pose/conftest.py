"""The fetched networks, and frames of KTH clips with what was found in them when the data set was prepared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pose import fetch
from models.pose.blazepose import BlazePose
from models.pose.detector import EfficientDetLite0


@dataclass
class KthFrame:
    """image (H, W, 3) BGR; box_4 x0, y0, x1, y1; keypoints_J3 (17, 3) COCO."""

    image: np.ndarray
    box_4: np.ndarray
    keypoints_J3: np.ndarray
    height_px: float


def network_file(weights: fetch.Weights) -> Path:
    try:
        return fetch.path_of(weights)
    except fetch.WeightsUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def detector() -> EfficientDetLite0:
    return EfficientDetLite0(network_file(fetch.DETECTOR))


@pytest.fixture(scope="session")
def pose_network() -> BlazePose:
    return BlazePose(network_file(fetch.POSE))


@pytest.fixture(scope="session")
def kth_frames(data_dir: Path) -> Callable[[int, int, int], list[KthFrame]]:
    """Every `step`th frame with a walker of a person's clip."""

    def frames(person: int, scenario: int, step: int) -> list[KthFrame]:
        known = np.load(data_dir / "vision" / "kth_pose.npz")
        clip = read_clip(data_dir, person, scenario)
        found = []
        for n in np.flatnonzero((known["subject"] == person) & (known["scenario"] == scenario)):
            for row in range(known["start"][n], known["start"][n] + known["length"][n], step):
                x, y, width, height = known["box"][row].astype(float)
                box_4 = np.array([x, y, x + width, y + height])
                found.append(KthFrame(clip[known["frame"][row]], box_4, known["keypoints"][row], height))
        return found

    return frames


def read_clip(data_dir: Path, person: int, scenario: int) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(data_dir / "vision" / "kth_walk" / f"person{person:02d}_walking_d{scenario}.avi"))
    clip = []
    while (read := video.read())[0]:
        clip.append(read[1])
    return clip
