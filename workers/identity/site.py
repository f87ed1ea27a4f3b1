"""Site calibration: what a site's own enrolled people say about strangers there, as a small file that can be taken away again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from models.matching import Gallery, SiteImpostors, adapt_impostors
from streams.errors import Misconfigured, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.messages import Template


class SiteCalibration(BaseModel):
    """Mean and upper tenth of the scores between different enrolled people, for one embedding space."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    space: str
    mean: float
    upper: float
    people: int
    made_ns: int

    def impostors(self, space: str) -> SiteImpostors:
        """For the decision policy of `space`.  Raises Misconfigured for another space."""
        if space != self.space:
            raise Misconfigured(
                f"the site calibration is of space {self.space}, the embedder gives {space}: run gaitstream calibrate again"
            )
        return SiteImpostors(self.mean, self.upper, self.people)


def read_site(file: Path) -> SiteCalibration:
    """A site calibration from its file.  Raises Misconfigured."""
    try:
        return SiteCalibration.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise Misconfigured(f"the site calibration {file} cannot be used: {error}") from None


def measure_site(templates: Iterable[Template], space: str, dim: int) -> SiteCalibration:
    """From the enrolled people of a gallery.  Raises Refused when there are too few."""
    gallery = Gallery(space, dim)
    now_ns = time.time_ns()
    for t in templates:
        if t.space == space and (t.expires_ns is None or t.expires_ns > now_ns):
            gallery.put(t.subject, t.template_id, t.vector, quality=t.quality, windows=t.windows, expires_ns=t.expires_ns, space=space)
    site = adapt_impostors(gallery)
    if site is None:
        raise Refused(f"{gallery.subjects} people are enrolled in {space}: too few to say how alike strangers are here (at least 5)")
    return SiteCalibration(space=space, mean=site.mean, upper=site.upper, people=site.people, made_ns=now_ns)
