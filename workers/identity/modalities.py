"""The two modalities: what the samples of phones and of cameras look like, and how they are embedded.

Shape letters: B batch, T time, J joints, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.pose.gait_cycle import heading
from models.types import CAMERA_WINDOW, KEYPOINTS, SILHOUETTE_SHAPE
from streams.errors import SchemaMismatch
from streams.messages import CameraSample, GaitSample
from workers.camera.cut import CUT as CAMERA_CUT
from workers.identity.claims import PairClaims
from workers.identity.recogniser import Recogniser
from workers.identity.site import read_site
from workers.inertial.bouts import CUT, WINDOW_SAMPLES
from workers.inertial.two_step import TWO_STEP_CUT
from workers.networks import camera_embedder_of, embedder_of, verifier_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord

    from models.types import Float32
    from streams.messages.sample import Sample
    from streams.settings import Settings

CUTS = (CUT, TWO_STEP_CUT)
"""Ways of cutting that the inertial samples may have side by side; the setting `cut` says which one is embedded."""


class InertialRecogniser(Recogniser[GaitSample]):
    """Windows of phones and wearables."""

    modality = "inertial"

    def __init__(self, settings: Settings) -> None:
        self._network = embedder_of(settings)
        self._network.embed(np.zeros((1, WINDOW_SAMPLES, 6), np.float32))
        super().__init__(settings, self._network, settings.target_fpir, settings.min_windows, read_site(settings, self._network.space))
        verifier = verifier_of(settings)
        self.pairs = None if verifier is None else PairClaims(verifier, self.policy.target_fmr, settings.min_windows)

    @staticmethod
    def decode(record: ConsumerRecord) -> GaitSample:
        """The sample in a record.  Raises BadMessage."""
        sample = GaitSample.from_bytes(record.value)
        if sample.cut not in CUTS or sample.samples.shape != (WINDOW_SAMPLES, 6):
            wanted = f"({WINDOW_SAMPLES}, 6) cut as {' or '.join(CUTS)}"
            raise SchemaMismatch(f"expected {wanted}, got {sample.samples.shape} cut as {sample.cut}", path="cut")
        return sample

    def takes(self, sample: Sample) -> bool:
        """Whether it is cut as the settings say."""
        return sample.cut == self.settings.cut

    def embed(self, samples: Sequence[GaitSample]) -> tuple[Float32, Float32]:
        """One batch through the network."""
        return self._network.embed(np.stack([np.asarray(sample.samples, np.float32) for sample in samples]))


class CameraRecogniser(Recogniser[CameraSample]):
    """Tracks of cameras."""

    modality = "camera"

    def __init__(self, settings: Settings) -> None:
        self._network = camera_embedder_of(settings)
        self._network.embed(np.zeros((1, CAMERA_WINDOW, KEYPOINTS, 3), np.float32), np.zeros((1, CAMERA_WINDOW, *SILHOUETTE_SHAPE), bool))
        super().__init__(settings, self._network, settings.camera_target_fpir, settings.camera_min_windows)

    @staticmethod
    def decode(record: ConsumerRecord) -> CameraSample:
        """The sample in a record.  Raises BadMessage."""
        sample = CameraSample.from_bytes(record.value)
        if sample.cut != CAMERA_CUT or len(sample.keypoints) != CAMERA_WINDOW:
            wanted = f"{CAMERA_WINDOW} moments cut as {CAMERA_CUT}"
            raise SchemaMismatch(f"expected {wanted}, got {len(sample.keypoints)} cut as {sample.cut}", path="cut")
        return sample

    def takes(self, sample: Sample) -> bool:
        """Every camera sample is cut in the same way."""
        return True

    def embed(self, samples: Sequence[CameraSample]) -> tuple[Float32, Float32]:
        """One batch through the network; a track that is hard to see is worth less, however clear the network finds it."""
        keypoints_BTJ3 = np.stack([np.asarray(sample.keypoints, np.float32) for sample in samples])
        bits_BN = np.stack([np.frombuffer(sample.silhouettes, np.uint8) for sample in samples])
        masks_BTHW = np.unpackbits(bits_BN, axis=1).reshape(len(samples), CAMERA_WINDOW, *SILHOUETTE_SHAPE).astype(bool)
        vectors_BD, quality_B = self._network.embed(keypoints_BTJ3, masks_BTHW)
        return vectors_BD, np.minimum(quality_B, np.array([sample.quality for sample in samples], np.float32))

    def seen(self, sample: CameraSample) -> dict[str, Any]:
        """Where the person is in the picture, and walks."""
        direction = heading(np.asarray(sample.keypoints, np.float32)).direction
        return {"camera_id": sample.camera_id, "box": [float(x) for x in sample.box], "direction": direction}
