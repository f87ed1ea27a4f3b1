"""Records of `gait.gallery` as templates: opened, checked, and kept waiting when they are sealed under a key that is not known yet.

A record under an unknown key is no dead letter: nothing is wrong with it, a key is missing.  It waits until the key file brings the key, or
until a later record of the same template replaces it, as happens when the gallery was sealed again and the old key is gone: the
broker compacts the older records away only some time later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from streams import metrics, topics
from streams.errors import BadMessage, SchemaMismatch, UnknownSealKey
from streams.messages import Template
from streams.messages.gallery import split_template_key
from streams.seal import KeyRing, sealed_under

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from streams.settings import Settings

log = structlog.get_logger()


class GalleryRecords:
    """`take` each record in order; `waiting` are those that cannot be opened yet; `sealed_under` tells the key of each template taken."""

    def __init__(self, settings: Settings) -> None:
        self.ring = KeyRing(settings)
        self.waiting: dict[bytes, ConsumerRecord] = {}
        self.sealed_under: dict[bytes, str | None] = {}
        self._readings = self.ring.readings

    def take(self, record: ConsumerRecord) -> Template | None:
        """The template, None for a tombstone.

        Raises UnknownSealKey for one that waits now, and BadMessage, counted and logged, for one that nobody can use: whoever wrote it, it
        matches nobody.
        """
        key = record.key or b""
        self.waiting.pop(key, None)
        try:
            template = self._template(record)
        except UnknownSealKey:
            self.waiting[key] = record
            raise
        except BadMessage as error:
            self.sealed_under.pop(key, None)
            metrics.DEAD_LETTERS.labels(topics.GALLERY.name, error.why).inc()
            log.error("a gallery record cannot be used", offset=record.offset, error=str(error))
            raise
        if template is None:
            self.sealed_under.pop(key, None)
        else:
            self.sealed_under[key] = sealed_under(record.value)
        return template

    def due(self) -> list[ConsumerRecord]:
        """Waiting records, when the key file has changed since they were tried last: `take` them again."""
        if self.waiting:
            self.ring.refresh()
        if self._readings == self.ring.readings:
            return []
        self._readings = self.ring.readings
        return sorted(self.waiting.values(), key=lambda record: record.offset)

    def missing(self) -> UnknownSealKey | None:
        """Why some templates are not known; None when all are."""
        if not self.waiting:
            return None
        ids = sorted({sealed_under(record.value) or "" for record in self.waiting.values()})
        text = f"{len(self.waiting)} templates are sealed under {', '.join(ids)}, which this process was not given: add the key to GAITSTREAM_SEAL_KEY_FILE"
        return UnknownSealKey(text, ids[0])

    def _template(self, record: ConsumerRecord) -> Template | None:
        subject, template_id = split_template_key(record.key)
        if record.value is None:
            return None
        template = Template.from_bytes(self.ring.open(topics.GALLERY.name, record.key, record.value))
        if (template.subject, template.template_id) != (subject, template_id):
            raise SchemaMismatch(f"the key must be {template.key!r}, got {record.key!r}", path="(key)")
        return template
