"""Networks from frames: the published pose networks and GaitNet. The dictionaries hold a builder for every network by registered name."""

from __future__ import annotations

from collections.abc import Callable

from models.video.gaitnet import GaitNet
from models.video.human_pose import JOINTS, EstimatedJoints, HumanPoseIR, HumanPoseResNet152
from models.video.recipe import Recipe

POSE: dict[str, Callable[[], HumanPoseIR | HumanPoseResNet152]] = {
    "human-pose-ir": HumanPoseIR,
    "human-pose-resnet152": HumanPoseResNet152,
}

IDENTIFICATION: dict[str, Callable[[int], GaitNet]] = {"gaitnet": GaitNet}
"""Builders take the number of people."""

__all__ = ["IDENTIFICATION", "JOINTS", "POSE", "EstimatedJoints", "GaitNet", "HumanPoseIR", "HumanPoseResNet152", "Recipe"]
