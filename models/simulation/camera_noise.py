"""What a camera's sensor and clock do: noise that grows with light and in dark places, uneven frame times, lost frames."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from models.simulation.camera_view import Camera

Pixels = npt.NDArray[np.uint8]

MARGIN_PX = 64  # the stored noise is larger than the picture by this, and every frame cuts another part out


class SensorNoise:
    """Noise of one sensor: drawn once, larger than the picture; each time cuts and flips another part of it (drawing anew costs more than
    the people)."""

    def __init__(self, camera: Camera, rng: np.random.Generator) -> None:
        self._noise = camera.noise
        shape = (camera.height_px + MARGIN_PX, camera.width_px + MARGIN_PX)
        grey = rng.normal(0.0, camera.noise, (*shape, 1))
        colour = cv2.GaussianBlur(rng.normal(0.0, 2.0 * camera.noise, (*shape, 3)), (0, 0), 1.0)  # chroma is coarser: cameras store it so
        self._bank_HW3 = np.clip(np.round(grey + colour), -127, 127).astype(np.int16)
        self._seed = int(rng.integers(2**31))

    def added(self, image_HW3: Pixels, time_ns: int) -> Pixels:
        """The picture with this instant's noise."""
        if self._noise == 0:
            return image_HW3
        rng = np.random.default_rng([self._seed, time_ns])
        top, left = rng.integers(MARGIN_PX, size=2)
        h, w = image_HW3.shape[:2]
        part = self._bank_HW3[top : top + h, left : left + w]
        return np.asarray(cv2.add(image_HW3, part[:, :: int(rng.choice([1, -1]))].copy(), dtype=cv2.CV_8U), dtype=np.uint8)


def frame_times(
    fps: float, start_ns: int, seed: int, *, jitter: float = 0.15, loss: float = 0.02, burst: float = 3.0
) -> Iterator[tuple[int, int]]:
    """Sequence numbers and capture times of a camera without end: ``jitter`` of a frame's time (standard deviation, never out of order),
    ``loss`` of all frames missing in runs of ``burst`` on average. Lost frames keep their sequence number to themselves.

    Raises ValueError for rates and shares that make no sense.
    """
    if not fps > 0 or not 0 <= loss < 1 or not burst >= 1 or jitter < 0:
        raise ValueError(f"fps > 0, 0 <= loss < 1, burst >= 1 and jitter >= 0 are needed, got {fps}, {loss}, {burst}, {jitter}")
    rng = np.random.default_rng([40, seed])
    index, lost = 0, 0
    while True:
        shift = float(np.clip(jitter * rng.normal(), -0.45, 0.45))
        begins = rng.random() < loss / burst
        run = int(rng.geometric(1.0 / burst))
        if lost == 0 and begins:
            lost = run
        if lost > 0:
            lost -= 1
        else:
            yield index, start_ns + round((index + 0.5 + shift) / fps * 1e9)
        index += 1
