"""Site calibration: what a site's own enrolled people say about it, as a small file that can be taken away again.

With enough people who walked more than once it holds a space of the site's own: a transform of the embeddings and what scores mean there.
With fewer only the impostor scores of the shipped calibration are moved. Embeddings and templates stay in the network's space either way:
the identity worker transforms both, and without the file everything is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from models.calibration import CalibrationError, ScoreCalibration
from models.matching import SiteImpostors
from models.matching.site import SiteTransform
from models.types import ShapeError
from streams.errors import Misconfigured

if TYPE_CHECKING:
    from streams.settings import Settings


class SiteSpaceEntry(BaseModel):
    """A space of the site's own.  eer: by windows, without and with it, of people who taught nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: list[float]
    matrix: list[list[float]]
    calibration: dict[str, Any]
    eer: dict[int, tuple[float, float]]


class SiteCalibration(BaseModel):
    """Mean and upper tenth of the scores between different enrolled people of one embedding space; the site's own space, if it has one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str
    mean: float
    upper: float
    people: int
    made_ns: int
    own: SiteSpaceEntry | None = None

    def impostors(self) -> SiteImpostors:
        """For the decision policy of the network's space."""
        return SiteImpostors(self.mean, self.upper, self.people)

    def transform(self) -> SiteTransform | None:
        """From the network's space to the site's, if it has one.  Raises Misconfigured."""
        if self.own is None:
            return None
        try:
            return SiteTransform(self.space, np.array(self.own.mean), np.array(self.own.matrix), self.people)
        except (ShapeError, ValueError) as error:
            raise Misconfigured(f"the transform of the site calibration cannot be used: {error}") from None

    def calibration(self) -> ScoreCalibration | None:
        """What scores mean in the site's space, if it has one.  Raises Misconfigured."""
        try:
            return None if self.own is None else ScoreCalibration.from_card({"calibration": self.own.calibration})
        except CalibrationError as error:
            raise Misconfigured(f"the site calibration cannot be used: {error}") from None


def read_site(settings: Settings, space: str) -> SiteCalibration | None:
    """The site calibration that the settings name.  Raises Misconfigured, also when it is of another space than `space`."""
    file = settings.site_calibration
    if file is None:
        return None
    try:
        site = SiteCalibration.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise Misconfigured(f"the site calibration {file} cannot be used: {error}") from None
    if site.space != space:
        raise Misconfigured(f"the site calibration is of space {site.space}, the embedder gives {space}: run gaitstream calibrate again")
    return site
