"""The identity worker: gait samples in; `gait.embeddings` and `gait.identity.events` out.

samples → embedding (one batch over all devices, one over all tracks) → evidence of the bout → gallery → decision → event
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import torch

from streams import metrics, topics
from streams.errors import SchemaMismatch
from streams.messages import IdentityEvent
from workers.gallery_feed import GalleryFeed
from workers.identity.modalities import CameraRecogniser, InertialRecogniser
from workers.identity.walk import Walk
from workers.processor import Outcome, Output, Processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord, TopicPartition

    from streams.messages.sample import Sample
    from streams.settings import Settings
    from workers.identity.recogniser import Recogniser
    from workers.processor import Emitted, Incoming

RECOGNISERS: dict[str, type[InertialRecogniser] | type[CameraRecogniser]] = {
    topics.SAMPLES_INERTIAL.name: InertialRecogniser,
    topics.SAMPLES_CAMERA.name: CameraRecogniser,
}
"""What recognises the samples of a topic."""

SILENT_NS = 600_000_000_000
"""A walk is let go of when no sample of its partition came for so long: far longer than an outage of the worker before this one, which
must not cost evidence."""


class IdentityWorker(Processor):
    """See the module; implements `workers.processor.Processor`."""

    role = "identity"
    inputs: tuple[topics.Topic, ...] = (topics.SAMPLES_INERTIAL, topics.SAMPLES_CAMERA)
    outputs: tuple[topics.Topic, ...] = (topics.EMBEDDINGS, topics.IDENTITY_EVENTS)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recognisers: dict[str, Recogniser[Any]] = {}
        self._walks: dict[tuple[TopicPartition, str], Walk] = {}
        self._sensed_ns: dict[TopicPartition, int] = {}  # newest raw samples behind each partition's windows
        self.feed = GalleryFeed(settings)
        self._ring = self.feed.ring
        self._gallery_version = -1

    async def start(self) -> None:
        """Load the embedders and the whole gallery: nobody is called unknown because the gallery was not there yet."""
        await asyncio.to_thread(self.load)
        await self.feed.start()

    def load(self) -> None:
        """Load the embedders and run each once."""
        torch.set_num_threads(self.settings.threads)
        self.recognisers = {topic: kind(self.settings) for topic, kind in RECOGNISERS.items()}

    async def stop(self) -> None:
        """Stop following the gallery."""
        await self.feed.stop()

    def ready(self) -> str | None:
        """None once embedders and gallery are loaded."""
        if not self.recognisers:
            return "the embedding networks are not loaded"
        if not self.feed.loaded:
            return "the gallery is not loaded"
        return f"the gallery cannot be followed: {self.feed.behind}" if self.feed.behind else None

    def decode(self, record: ConsumerRecord) -> Sample:
        """The sample in a record.  Raises BadMessage."""
        sample = RECOGNISERS[record.topic].decode(record)
        if record.key != sample.stream_key.encode():
            raise SchemaMismatch(f"the key must be {sample.stream_key!r}, got {record.key!r}", path="(key)")
        return sample

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        """An embedding and an identity event for every sample that is cut as the embedder wants it; the others are not for it."""
        self._update_gallery()
        outcome = Outcome()
        for topic, recogniser in self.recognisers.items():
            own = [incoming for incoming in batch if incoming.at.topic == topic and recogniser.takes(incoming.message)]  # type: ignore[arg-type]
            if own:
                self._recognise(recogniser, own, outcome)
        metrics.STREAMS.labels(self.role).set(len(self._walks))
        return outcome

    def _recognise(self, recogniser: Recogniser[Any], batch: Sequence[Incoming], outcome: Outcome) -> None:
        """The samples of one modality."""
        samples: list[Any] = [incoming.message for incoming in batch]
        vectors_BD, matched_BD, quality_B = recogniser.vectors(samples)
        maps = {} if recogniser.pairs is None else recogniser.pairs.maps_of(samples)
        walks, evidence, probes = [], [], []
        for b, (incoming, sample) in enumerate(zip(batch, samples, strict=True)):
            walk = self._walks.get((incoming.at, sample.stream_key))
            if walk is None:
                walk = self._walks[incoming.at, sample.stream_key] = Walk(recogniser.matched_dim)
            walk.add(incoming, sample, matched_BD[b], float(quality_B[b]))
            self._sensed_ns[incoming.at] = max(self._sensed_ns.get(incoming.at, 0), sample.received_ns)
            walks.append(walk)
            evidence.append(walk.evidence())
            if b in maps:
                walk.maps.append(maps[b])
            probes.append(list[Any](walk.maps))
        events = recogniser.events(samples, walks, quality_B, evidence, probes, self._gallery_version)
        for incoming, sample, vector_D, quality, event in zip(batch, samples, vectors_BD, quality_B, events, strict=True):
            embedding = recogniser.embedding(sample, vector_D, float(quality))
            key = sample.stream_key.encode()
            sealed = self._ring.seal(topics.EMBEDDINGS.name, key, embedding.to_bytes())
            outcome.outputs.append(Output(incoming.at, topics.EMBEDDINGS.name, key, sealed, embedding.id))
            outcome.outputs.append(Output(incoming.at, topics.IDENTITY_EVENTS.name, key, event.to_bytes(), event.id))

    def _update_gallery(self) -> None:
        self._ring.refresh()
        while not self.feed.changes.empty():
            offset, subject, template_id, template = self.feed.changes.get()
            self._gallery_version = max(self._gallery_version, offset)  # one that waited for its key comes late
            for recogniser in self.recognisers.values():
                recogniser.change(subject, template_id, template)
        for recogniser in self.recognisers.values():
            recogniser.count_gallery()

    # ---- commits and restarts ----------------------------------------------------------------------------------------------------

    def tick(self, at: TopicPartition, now_ns: int) -> Outcome:
        """Walks whose device fell silent are forgotten, and so are people erased meanwhile, although nobody walks.

        Silence is measured in raw samples, as the inertial worker measures it when it ends a bout: its own outages end nothing.
        """
        self._update_gallery()
        idle_ns = self._sensed_ns.get(at, 0) - int(self.settings.idle_release_s * 1e9)
        for name, walk in [pair for pair in self._walks.items() if pair[0][0] == at]:
            if walk.last_sensed_ns < idle_ns or walk.last_record_ns < now_ns - SILENT_NS:
                del self._walks[name]
        return Outcome()

    def hold(self, at: TopicPartition) -> int | None:
        """The oldest window that is still evidence."""
        return min((walk.offsets[0] for (where, _), walk in self._walks.items() if where == at), default=None)

    def restore(self, at: TopicPartition, emitted: Sequence[Emitted]) -> None:
        """Whom an earlier owner's events of each open bout named."""
        for e in emitted:
            if e.topic == topics.IDENTITY_EVENTS.name:
                event = IdentityEvent.from_bytes(e.value)
                walk = self._walks.get((at, event.stream_key))
                if walk is None or walk.bout_id != event.bout_id or event.start_ns > walk.start_ns_K[walk.windows - 1]:
                    continue  # of another bout, or of a window still to come
                if event.subject is not None:
                    walk.named = event.subject

    def forget(self, at: TopicPartition) -> None:
        """Drop the walks of a partition."""
        self._sensed_ns.pop(at, None)
        for name in [name for name in self._walks if name[0] == at]:
            del self._walks[name]
