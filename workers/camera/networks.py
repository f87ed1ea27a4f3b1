"""What finds people and their joints in pictures, as the settings name it: the fetched networks, or the operator's own by path."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from models.pose.blazepose import BlazePose
from models.pose.described import DescribedDetector, DescribedPose
from models.pose.detector import EfficientDetLite0
from models.pose.fetch import DETECTOR, POSE, WeightsUnavailable, path_of
from models.pose.trimmed import trimmed
from streams import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.pose.batched import BatchedGraph
    from models.pose.blazepose import Pose, PoseNetwork
    from models.pose.boxes import Detections, Image
    from models.pose.detector import Detector
    from streams.settings import Settings

log = structlog.get_logger()

MOTION = "motion"
"""Moving blobs instead of a detector network."""


class TimedDetector:
    """A detector whose calls are measured."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.name = detector, detector.name

    def detect(self, image_HW3: Image) -> Detections:
        """See `models.pose.detector.Detector`."""
        with _measured(self.name):
            return self._detector.detect(image_HW3)


class TimedPose:
    """A pose network whose calls are measured."""

    def __init__(self, network: PoseNetwork) -> None:
        self._network, self.name = network, network.name

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """See `models.pose.blazepose.PoseNetwork`."""
        with _measured(self.name):
            return self._network.pose(image_HW3, box_4)


@contextmanager
def _measured(name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    metrics.FORWARD_SECONDS.labels(name).observe(time.perf_counter() - began)
    metrics.FORWARD_BATCH.labels(name).observe(1)


def detector_of(settings: Settings) -> Detector | None:
    """What finds people; None where motion alone does, because it was asked for or because the weights could not be fetched.

    Raises GraphError for a file that is no detector.
    """
    if settings.camera_detector == MOTION:
        return None
    if settings.camera_detector != DETECTOR.name:
        return TimedDetector(DescribedDetector(Path(settings.camera_detector)))
    try:
        return TimedDetector(EfficientDetLite0(path_of(DETECTOR), graph=_on_gpu(settings, path_of(DETECTOR), DETECTOR.name)))
    except WeightsUnavailable as error:
        log.warning("people are found by motion alone", why=str(error))
        return None


def pose_of(settings: Settings) -> PoseNetwork:
    """What finds joints.  Raises WeightsUnavailable, GraphError."""
    if settings.camera_pose != POSE.name:
        return TimedPose(DescribedPose(Path(settings.camera_pose)))
    return TimedPose(BlazePose(path_of(POSE), graph=_on_gpu(settings, path_of(POSE), POSE.name, trimmed)))


def _on_gpu(settings: Settings, path: Path, name: str, made: Callable[[bytes], bytes] = bytes) -> BatchedGraph | None:
    """What is made of the file as a torch module on the GPU, batched over the cameras; None where LiteRT runs it on the CPU."""
    if settings.device == "cpu":
        return None
    from models.pose.batched import BatchedGraph
    from models.pose.torch_graph import TorchGraph

    return BatchedGraph(
        TorchGraph(path, settings.device, made(path.read_bytes())), observe=metrics.FORWARD_BATCH.labels(f"{name}-gpu").observe
    )
