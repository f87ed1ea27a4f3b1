"""Field types that several message families share, and the identifiers of samples and events."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import Field

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f/]+$")]
"""Device ids, subjects, actors: printable, no slash (a slash separates subject and template in keys)."""

OptionalText = Annotated[str, Field(max_length=256)]
Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]
"""Time since the epoch."""

Modality = Literal["inertial", "camera"]
"""What saw the walk."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def stable_id(*parts: str | int) -> str:
    """A 128-bit identifier that depends on nothing but its parts, so that a repeated computation names the same thing."""
    return blake2b("\x00".join(map(str, parts)).encode(), digest_size=16).hexdigest()
