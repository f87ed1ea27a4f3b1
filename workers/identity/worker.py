"""The identity worker: `gait.samples.inertial` in; `gait.embeddings` and `gait.identity.events` out.

samples → embedding (one batch over all devices) → evidence of the bout → gallery → decision → event
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import structlog
import torch

from models.matching.evidence import combine
from models.matching.gallery import Gallery
from models.matching.policy import DecisionPolicy
from streams import metrics, topics
from streams.errors import SchemaMismatch
from streams.messages import EmbeddingRecord, GaitSample, IdentityEvent
from streams.messages.fields import stable_id
from workers.gallery_feed import GalleryFeed
from workers.identity.claims import PairClaims
from workers.identity.site import read_site
from workers.identity.walk import Walk
from workers.inertial.bouts import CUT, WINDOW_SAMPLES
from workers.inertial.two_step import TWO_STEP_CUT
from workers.networks import embedder_of, verifier_of
from workers.processor import Outcome, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord, TopicPartition
    from numpy.typing import NDArray

    from streams.messages import Template
    from streams.messages.events import Verification
    from streams.settings import Settings
    from workers.identity.walk import Evidence
    from workers.processor import Emitted, Incoming


log = structlog.get_logger()

CUTS = (CUT, TWO_STEP_CUT)
"""Ways of cutting that the samples topic may hold side by side; the setting `cut` says which one is embedded."""

CANDIDATES = 5
"""People listed in an event."""

SILENT_NS = 600_000_000_000
"""A walk is let go of when no sample of its partition came for so long: far longer than an outage of the worker before this one, which
must not cost evidence."""


class IdentityWorker:
    """See the module; implements `workers.processor.Processor`."""

    role = "identity"
    inputs: tuple[topics.Topic, ...] = (topics.SAMPLES_INERTIAL,)
    outputs: tuple[topics.Topic, ...] = (topics.EMBEDDINGS, topics.IDENTITY_EVENTS)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._walks: dict[tuple[TopicPartition, str], Walk] = {}
        self._sensed_ns: dict[TopicPartition, int] = {}  # newest raw samples behind each partition's windows
        self._feed = GalleryFeed(settings)
        self._gallery_version = -1
        self._loaded = False

    async def start(self) -> None:
        """Load the embedder and the whole gallery: nobody is called unknown because the gallery was not there yet."""
        await asyncio.to_thread(self._load)
        await self._feed.start()

    def _load(self) -> None:
        torch.set_num_threads(self.settings.threads)
        self._embedder = embedder_of(self.settings)
        self._embedder.embed(np.zeros((1, WINDOW_SAMPLES, 6), np.float32))
        site = read_site(self.settings, self._embedder.space)
        self._transform = site.transform() if site else None
        self._space = self._transform.adapted_space if self._transform else self._embedder.space
        calibration = (site.calibration() if site else None) or self._embedder.calibration
        impostors = site.impostors() if site and self._transform is None else None
        self._policy = DecisionPolicy(calibration, self.settings.target_fpir, self.settings.min_windows, site=impostors)
        self._gallery = Gallery(self._space, self._embedder.dim)
        verifier = verifier_of(self.settings)
        self._pairs = None if verifier is None else PairClaims(verifier, self._policy.target_fmr, self.settings.min_windows)
        self._loaded = True

    async def stop(self) -> None:
        """Stop following the gallery."""
        await self._feed.stop()

    def ready(self) -> str | None:
        """None once embedder and gallery are loaded."""
        if not self._loaded:
            return "the embedding network is not loaded"
        if not self._feed.loaded:
            return "the gallery is not loaded"
        return f"the gallery cannot be followed: {self._feed.behind}" if self._feed.behind else None

    def decode(self, record: ConsumerRecord) -> GaitSample:
        """The sample in a record.  Raises BadMessage."""
        sample = GaitSample.from_bytes(record.value)
        if sample.cut not in CUTS or sample.samples.shape != (WINDOW_SAMPLES, 6):
            wanted = f"({WINDOW_SAMPLES}, 6) cut as {' or '.join(CUTS)}"
            raise SchemaMismatch(f"expected {wanted}, got {sample.samples.shape} cut as {sample.cut}", path="cut")
        if record.key != sample.stream_key.encode():
            raise SchemaMismatch(f"the key must be {sample.stream_key!r}, got {record.key!r}", path="(key)")
        return sample

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        """An embedding and an identity event for every sample that is cut as the embedder wants it; the others are not for it."""
        self._update_gallery()
        batch = [incoming for incoming in batch if incoming.message.cut == self.settings.cut]  # type: ignore[attr-defined]
        if not batch:
            return Outcome()
        samples: list[GaitSample] = [incoming.message for incoming in batch]  # type: ignore[misc]
        vectors_BD, quality_B = self._embed(np.stack([sample.samples for sample in samples]))
        matched_BD = vectors_BD if self._transform is None else self._transform.apply(vectors_BD)
        maps = self._maps(samples)
        walks, evidence, probes = [], [], []
        for b, (incoming, sample) in enumerate(zip(batch, samples, strict=True)):
            walk = self._walks.get((incoming.at, sample.stream_key))
            if walk is None:
                walk = self._walks[incoming.at, sample.stream_key] = Walk(self._embedder.dim)
            walk.add(incoming, sample, matched_BD[b], float(quality_B[b]))
            self._sensed_ns[incoming.at] = max(self._sensed_ns.get(incoming.at, 0), sample.received_ns)
            walks.append(walk)
            evidence.append(walk.evidence())
            if b in maps:
                walk.maps.append(maps[b])
            probes.append(list(walk.maps))
        outcome = Outcome()
        events = self._events(samples, walks, quality_B, evidence, probes)
        for incoming, sample, vector_D, quality, event in zip(batch, samples, vectors_BD, quality_B, events, strict=True):
            embedding = self._embedding(sample, vector_D, float(quality))
            key = sample.stream_key.encode()
            outcome.outputs.append(Output(incoming.at, topics.EMBEDDINGS.name, key, embedding.to_bytes(), embedding.id))
            outcome.outputs.append(Output(incoming.at, topics.IDENTITY_EVENTS.name, key, event.to_bytes(), event.id))
        metrics.STREAMS.labels(self.role).set(len(self._walks))
        return outcome

    def _update_gallery(self) -> None:
        changes = self._feed.changes
        while not changes.empty():
            self._gallery_version, subject, template_id, template = changes.get()
            if template is None:
                self._gallery.remove(subject, template_id)
                if self._pairs is not None:
                    self._pairs.remove(subject, template_id)
            elif template.space == self._embedder.space:  # people enrolled in another space are enrolled again in this one
                self._put(subject, template_id, template)
        metrics.GALLERY_SUBJECTS.labels(self._space).set(self._gallery.subjects)
        metrics.GALLERY_TEMPLATES.labels(self._space).set(len(self._gallery))

    def _put(self, subject: str, template_id: str, template: Template) -> None:
        """A template that fits no matrix stays out and is counted: it must not fail the samples of whoever walks just now."""
        try:
            vector_D = np.asarray(template.vector, np.float32)
            self._gallery.put(
                subject,
                template_id,
                vector_D if self._transform is None else self._transform.apply(vector_D[None])[0],
                quality=template.quality,
                windows=template.windows,
                expires_ns=template.expires_ns,
            )
            if self._pairs is not None:
                self._pairs.put(template)
        except ValueError as error:
            metrics.DEAD_LETTERS.labels(topics.GALLERY.name, "values").inc()
            log.error("a template cannot be used", template=template_id, error=str(error))

    def _maps(self, samples: list[GaitSample]) -> dict[int, NDArray[np.float32]]:
        """What the pair network compares of the windows that claim somebody, by position in the batch; one batch over all devices."""
        claims = [b for b, sample in enumerate(samples) if sample.claimed_subject is not None] if self._pairs is not None else []
        if self._pairs is None or not claims:
            return {}
        maps_BSF = self._pairs.verifier.maps(np.stack([np.asarray(samples[b].samples, np.float32) for b in claims]))
        return dict(zip(claims, maps_BSF.copy(), strict=True))

    def _embed(self, samples_BT6: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        began = time.perf_counter()
        vectors_BD, quality_B = self._embedder.embed(samples_BT6)
        metrics.FORWARD_SECONDS.labels(self._embedder.name).observe(time.perf_counter() - began)
        metrics.FORWARD_BATCH.labels(self._embedder.name).observe(len(samples_BT6))
        return vectors_BD, quality_B

    def _events(
        self,
        samples: list[GaitSample],
        walks: list[Walk],
        quality_B: NDArray[np.float32],
        evidence: list[Evidence],
        probes: list[list[NDArray[np.float32]]],
    ) -> list[IdentityEvent]:
        """An event for every sample, with the evidence of its bout up to it."""
        vectors_BD, effective_B = combine(*zip(*evidence, strict=True))
        windows_B = np.array([len(quality_K) for _, quality_K, _ in evidence])
        matches = self._gallery.match(vectors_BD, CANDIDATES, now_ns=time.time_ns(), space=self._space)
        decisions = self._policy.decide(matches, effective_B, windows_B)
        decided_ns = time.time_ns()
        events = []
        for b, (sample, walk) in enumerate(zip(samples, walks, strict=True)):
            subject = decisions.subject[b]
            if sample.claimed_subject is None:
                verification, verification_score = None, None
            elif self._pairs is not None:
                verification, verification_score = self._pairs.verify(sample.claimed_subject, probes[b], int(windows_B[b]), decided_ns)
            else:
                verification, verification_score = self._verify(sample, vectors_BD[b : b + 1], effective_B[b], windows_B[b])
            event = IdentityEvent(
                id=stable_id(sample.stream_key, sample.session, sample.start_ns, self._space),
                stream_key=sample.stream_key,
                session=sample.session,
                bout_id=sample.bout_id,
                start_ns=sample.start_ns,
                end_ns=sample.end_ns,
                decision=decisions.outcome[b],
                subject=subject,
                score=float(decisions.score_B[b]),
                confidence=float(decisions.confidence_B[b]),
                margin=float(decisions.margin_B[b]),
                candidates=[{"subject": name, "score": score} for name, score in matches.candidates(b)],
                windows=int(windows_B[b]),
                effective_windows=float(effective_B[b]),
                target_fpir=self.settings.target_fpir,
                enrolled=matches.enrolled,
                gallery_version=self._gallery_version,
                space=self._space,
                quality=float(quality_B[b]),
                placement=sample.placement,
                claimed_subject=sample.claimed_subject,
                verification=verification,
                verification_score=verification_score,
                contradicts=walk.contradicted_by(decisions.outcome[b], subject),
                received_ns=sample.received_ns,
                decided_ns=decided_ns,
            )
            events.append(event)
        self._count(events)
        return events

    def _count(self, events: list[IdentityEvent]) -> None:
        for decision, number in Counter(event.decision for event in events).items():
            metrics.DECISIONS.labels("inertial", decision).inc(number)
        latency = metrics.LATENCY.labels("inertial")
        for event in events:
            latency.observe(max(0.0, (event.decided_ns - event.received_ns) / 1e9))

    def _verify(self, sample: GaitSample, vector_1D: NDArray[np.float32], effective: float, windows: int) -> tuple[Verification, float]:
        assert sample.claimed_subject is not None
        score_1 = self._gallery.score_subject(vector_1D, sample.claimed_subject, now_ns=time.time_ns(), space=self._space)
        templates = max(1, len(self._gallery.templates_of(sample.claimed_subject)))
        verdict = self._policy.verify(score_1, effective, windows, templates)
        metrics.VERIFICATIONS.labels(verdict.outcome[0]).inc()
        return verdict.outcome[0], float(verdict.score_B[0])

    def _embedding(self, sample: GaitSample, vector_D: NDArray[np.float32], quality: float) -> EmbeddingRecord:
        return EmbeddingRecord(
            id=stable_id(sample.id, self._embedder.space),
            stream_key=sample.stream_key,
            session=sample.session,
            sample_id=sample.id,
            start_ns=sample.start_ns,
            end_ns=sample.end_ns,
            bout_id=sample.bout_id,
            space=self._embedder.space,
            vector=vector_D,
            quality=quality,
            placement=sample.placement,
        )

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
