"""`Template`: one enrolled piece of a person's gait.  Key `subject/template`; a tombstone means erased."""

from __future__ import annotations

from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from streams.arrays import WireArray
from streams.codec import Message
from streams.errors import SchemaMismatch
from streams.messages.fields import Modality, Name, Nanoseconds, OptionalText, Share


class Template(Message):
    """A unit vector with its space, where it came from, and what the person agreed to."""

    subject: Name
    template_id: Name
    modality: Modality = "inertial"
    space: str
    vector: Annotated[NDArray[Any], WireArray(ndim=1)]
    quality: Share
    windows: Annotated[int, Field(ge=1)]
    stream_key: Name
    from_ns: Nanoseconds
    to_ns: Nanoseconds
    enrolled_ns: Nanoseconds
    enrolled_by: OptionalText = ""
    consent: OptionalText = ""
    expires_ns: Nanoseconds | None = None
    pair_space: OptionalText = ""
    """Space of the pair network that `pair_maps` are for; empty without one."""
    pair_maps: Annotated[NDArray[Any], WireArray(ndim=3)] | None = None
    """What that network keeps of some windows of the enrolment."""

    @property
    def key(self) -> bytes:
        """Kafka key of this template."""
        return template_key(self.subject, self.template_id)


def template_key(subject: str, template_id: str) -> bytes:
    """Kafka key of a template in `gait.gallery`."""
    return f"{subject}/{template_id}".encode()


def split_template_key(key: bytes | None) -> tuple[str, str]:
    """Subject and template id of a key.  Raises SchemaMismatch."""
    subject, slash, template_id = (key or b"").decode("utf-8", "replace").partition("/")
    if not (subject and slash and template_id):
        raise SchemaMismatch(f"a gallery key is subject/template, got {key!r}", path="(key)")
    return subject, template_id
