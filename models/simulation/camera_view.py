"""A camera that stands still: where it is, what it sees, and how points of the world fall into its picture.

World frame as in ``rotation`` (z up, metres); pixels: u to the right, v down, pixel centres at integers. Pinhole, no distortion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """``position_m`` of the lens; ``yaw_rad`` of the view (0 looks along +x, positive to the left), ``pitch_rad`` down; ``focal_px``.

    ``exposure_s`` blurs what moves; ``noise`` is the standard deviation of the sensor's noise in grey values (of 255); ``gain`` of the
    exposure; ``fps`` nominal. Raises ValueError for sizes, focal lengths, rates and times that no camera has.
    """

    width_px: int = 640
    height_px: int = 360
    focal_px: float = 480.0
    position_m: tuple[float, float, float] = (0.0, -6.0, 2.6)
    yaw_rad: float = np.pi / 2
    pitch_rad: float = 0.25
    exposure_s: float = 0.01
    noise: float = 3.0
    gain: float = 1.0
    fps: float = 12.5

    def __post_init__(self) -> None:
        if not (16 <= self.width_px <= 8192 and 16 <= self.height_px <= 8192):
            raise ValueError(f"a picture of {self.width_px} x {self.height_px} pixels cannot be rendered (16 to 8192 each)")
        if not (self.focal_px > 0 and self.fps > 0 and self.exposure_s >= 0 and self.noise >= 0 and self.gain > 0):
            raise ValueError(f"focal_px, fps and gain must be positive, exposure_s and noise not negative: {self}")

    @property
    def axes_33(self) -> Array:
        """Rows: right, down, forward in world axes."""
        c, s, cp, sp = np.cos(self.yaw_rad), np.sin(self.yaw_rad), np.cos(self.pitch_rad), np.sin(self.pitch_rad)
        forward = np.array([c * cp, s * cp, -sp])
        right = np.array([s, -c, 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def seen(self, points_N3: Array) -> Array:
        """Camera axes: (N, 3) metres to the right, down, ahead."""
        return np.asarray((points_N3 - np.asarray(self.position_m)) @ self.axes_33.T)

    def project(self, points_N3: Array) -> Array:
        """(N, 3): u and v in pixels, and the depth in metres. Points behind the lens get a depth that is not positive, and no use."""
        seen_N3 = self.seen(points_N3)
        depth_N = np.maximum(seen_N3[:, 2], 1e-3)
        u_N = self.focal_px * seen_N3[:, 0] / depth_N + (self.width_px - 1) / 2.0
        v_N = self.focal_px * seen_N3[:, 1] / depth_N + (self.height_px - 1) / 2.0
        return np.stack([u_N, v_N, seen_N3[:, 2]], axis=1)

    def ground_at(self, u_px: float, v_px: float) -> Array:
        """(2,) metres: where the ray of a pixel meets the ground. Raises ValueError at or above the horizon."""
        ray = self.axes_33.T @ [
            (u_px - (self.width_px - 1) / 2.0) / self.focal_px,
            (v_px - (self.height_px - 1) / 2.0) / self.focal_px,
            1.0,
        ]
        if ray[2] >= -1e-6:
            raise ValueError(f"pixel ({u_px:.0f}, {v_px:.0f}) looks at or above the horizon: no ground there")
        return np.asarray(self.position_m[:2] + ray[:2] * (self.position_m[2] / -ray[2]))
