"""Frames of simulated and real cameras for tests, and what the camera worker makes of them without Kafka."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from aiokafka import TopicPartition

from models.pose.blazepose import Pose
from models.pose.boxes import Detections, Image
from models.simulation import Walker
from models.simulation.camera_view import Camera
from models.simulation.scene import Scene
from models.types import CAMERA_STEP_NS
from streams.messages import CameraFrame
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES
from tests.support.pipeline import START_NS, record_of
from workers.camera.worker import CameraWorker
from workers.processor import Incoming, Output

AT = TopicPartition(CAMERA_FRAMES.name, 0)


def frame_of(camera_id: str, seq: int, time_ns: int, image: np.ndarray, session: str = "s") -> CameraFrame:
    """A picture as a camera publishes it."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    height, width = image.shape[:2]
    return CameraFrame(camera_id=camera_id, session=session, seq=seq, time_ns=time_ns, width=width, height=height, jpeg=data.tobytes())


@cache
def film(people: int, seconds: float, seed: int = 0, camera_id: str = "camera-0") -> tuple[CameraFrame, ...]:
    """People who cross the view of a simulated camera, at 12.5 pictures a second."""
    scene = Scene([Walker(seed * 10 + n) for n in range(people)], Camera(width_px=480, height_px=270), seed=seed)
    times = [START_NS + n * CAMERA_STEP_NS for n in range(round(seconds * 12.5))]
    return tuple(frame_of(camera_id, n, t, scene.frame(t - START_NS).image_HW3) for n, t in enumerate(times))


def clip(path: Path, camera_id: str, begin: int = 0, end: int | None = None) -> list[CameraFrame]:
    """Every second picture of a 25 Hz video."""
    video = cv2.VideoCapture(str(path))
    images = []
    while (read := video.read())[0]:
        images.append(read[1])
    chosen = range(begin, len(images) if end is None else end, 2)
    return [frame_of(camera_id, n, START_NS + i * 40_000_000, images[i]) for n, i in enumerate(chosen)]


def over(frames: Sequence[CameraFrame]) -> list[CameraFrame]:
    """The frames, and behind them one of another session from each camera: it ends every track without waiting for silence."""
    last = {frame.camera_id: frame for frame in frames}
    return [*frames, *(f.model_copy(update={"session": f"{f.session} is over", "seq": 0}) for f in last.values())]


class Remembered:
    """A network that is asked once for the same picture and box: the tests show the same films to many workers."""

    _answers: ClassVar[dict[tuple[str, bytes], Any]] = {}

    def __init__(self, network: Any) -> None:
        self._network, self.name = network, network.name

    def detect(self, image_HW3: Image) -> Detections:
        """People of a picture."""
        return self._answer(lambda: self._network.detect(image_HW3), image_HW3)

    def pose(self, image_HW3: Image, box_4: np.ndarray) -> Pose:
        """The pose in a box."""
        return self._answer(lambda: self._network.pose(image_HW3, box_4), image_HW3, box_4)

    def _answer(self, ask: Callable[[], Any], *arrays: np.ndarray) -> Any:
        digest = blake2b(digest_size=16)
        for array in arrays:
            digest.update(np.ascontiguousarray(array))
        key = self.name, digest.digest()
        if key not in self._answers:
            self._answers[key] = ask()
        return self._answers[key]


class FilmWorker(CameraWorker):
    """The camera worker with networks that remember their answers."""

    def _load(self) -> None:
        super()._load()
        self._detector, self._pose = Remembered(self._detector), Remembered(self._pose)


def camera_worker(**settings: object) -> CameraWorker:
    """A worker that has its networks, and drops nothing for being late."""
    worker = FilmWorker(Settings(camera_delay_s=0, **settings))  # type: ignore[arg-type]
    asyncio.run(worker.start())
    return worker


def incoming_frames(worker: CameraWorker, frames: Sequence[CameraFrame], first_offset: int = 0) -> list[Incoming]:
    """Messages as the runtime would hand them to the worker."""
    found = []
    for offset, frame in enumerate(frames, first_offset):
        record = record_of(offset, frame.camera_id.encode(), frame.to_bytes(), topic=AT.topic)
        found.append(Incoming(AT, record, worker.decode(record)))
    return found


def undisturbed_camera(frames: Sequence[CameraFrame]) -> list[Output]:
    """Every output of the camera worker for these frames in one batch, without Kafka; cameras are let go at the end."""
    worker = camera_worker()
    outputs = worker.process(incoming_frames(worker, frames)).outputs
    outputs += worker.tick(AT, 2**62).outputs
    assert len({output.id for output in outputs}) == len(outputs), "the worker itself repeats an id"
    return outputs
