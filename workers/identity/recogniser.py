"""What recognises people in one modality: embedder, gallery of its space, calibrated thresholds, claims.

Shape letters: N, B rows, D embedding, M its directions that are matched.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import structlog

from models.matching.evidence import combine
from models.matching.gallery import Gallery
from models.matching.policy import DecisionPolicy
from models.matching.vectors import leading
from models.types import ShapeError
from streams import metrics, topics
from streams.messages import EmbeddingRecord, IdentityEvent
from streams.messages.fields import stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.calibration import ScoreCalibration
    from models.types import Float32
    from streams.messages import Template
    from streams.messages.events import Verification
    from streams.messages.fields import Modality
    from streams.messages.sample import Sample
    from streams.settings import Settings
    from workers.identity.claims import PairClaims
    from workers.identity.site import SiteCalibration
    from workers.identity.walk import Evidence, Walk

log = structlog.get_logger()

CANDIDATES = 5
"""People listed in an event."""

S = TypeVar("S", bound="Sample")


class Embedder(Protocol):
    """A network and its space."""

    name: str
    space: str
    dim: int
    matched_dim: int

    @property
    def calibration(self) -> ScoreCalibration:
        """What cosines of the space mean."""


class Recogniser(ABC, Generic[S]):
    """One modality.  Subclasses know how its samples are embedded and what its events tell besides."""

    modality: Modality

    def __init__(
        self, settings: Settings, embedder: Embedder, target_fpir: float, min_windows: int, site: SiteCalibration | None = None
    ) -> None:
        self.settings, self.embedder, self.target_fpir = settings, embedder, target_fpir
        self.pairs: PairClaims | None = None
        self._transform = site.transform() if site else None
        self.space = self._transform.adapted_space if self._transform else embedder.space
        calibration = (site.calibration() if site else None) or embedder.calibration
        impostors = site.impostors() if site and self._transform is None else None
        self.policy = DecisionPolicy(calibration, target_fpir, min_windows, site=impostors)
        self.matched_dim = self._transform.dim if self._transform else embedder.matched_dim
        self._gallery = Gallery(self.space, self.matched_dim)

    @abstractmethod
    def takes(self, sample: Sample) -> bool:
        """Whether the sample is cut as the embedder wants it."""

    @abstractmethod
    def embed(self, samples: Sequence[S]) -> tuple[Float32, Float32]:
        """(B, D) unit rows and (B,) qualities; one batch through the network."""

    def seen(self, sample: S) -> dict[str, object]:
        """Fields of the event that only this modality fills."""
        return {}

    # ---- gallery -----------------------------------------------------------------------------------------------------------------

    def change(self, subject: str, template_id: str, template: Template | None) -> None:
        """A change of the gallery.  A template of another space is left out: those people are enrolled again in this one."""
        if template is None:
            self._gallery.remove(subject, template_id)
            if self.pairs is not None:
                self.pairs.remove(subject, template_id)
        elif template.space == self.embedder.space:
            self._put(subject, template_id, template)

    def count_gallery(self) -> None:
        """Metrics of the gallery."""
        metrics.GALLERY_SUBJECTS.labels(self.space).set(self._gallery.subjects)
        metrics.GALLERY_TEMPLATES.labels(self.space).set(len(self._gallery))

    def _put(self, subject: str, template_id: str, template: Template) -> None:
        """A template that fits no matrix stays out and is counted: it must not fail the samples of whoever walks just now."""
        try:
            vector_D = np.asarray(template.vector, np.float32)
            self._gallery.put(
                subject,
                template_id,
                self._matched(vector_D[None])[0],
                quality=template.quality,
                windows=template.windows,
                expires_ns=template.expires_ns,
            )
            if self.pairs is not None:
                self.pairs.put(template)
        except ValueError as error:
            metrics.DEAD_LETTERS.labels(topics.GALLERY.name, "values").inc()
            log.error("a template cannot be used", template=template_id, error=str(error))

    # ---- samples to events -------------------------------------------------------------------------------------------------------

    def vectors(self, samples: Sequence[S]) -> tuple[Float32, Float32, Float32]:
        """Embeddings (B, D), the same as they are matched at this site (B, M), qualities (B,)."""
        began = time.perf_counter()
        vectors_BD, quality_B = self.embed(samples)
        metrics.FORWARD_SECONDS.labels(self.embedder.name).observe(time.perf_counter() - began)
        metrics.FORWARD_BATCH.labels(self.embedder.name).observe(len(samples))
        return vectors_BD, self._matched(vectors_BD), quality_B

    def _matched(self, vectors_ND: Float32) -> Float32:
        """(N, M) unit rows as they are matched.  Raises ShapeError for rows that are no embeddings."""
        if vectors_ND.shape[1:] != (self.embedder.dim,):
            raise ShapeError(f"embeddings of {self.embedder.space} have {self.embedder.dim} numbers, got {vectors_ND.shape[1:]}")
        return leading(vectors_ND, self.matched_dim) if self._transform is None else self._transform.apply(vectors_ND)

    def embedding(self, sample: S, vector_D: NDArray[np.float32], quality: float) -> EmbeddingRecord:
        """The embedding as it travels: always of the network's space."""
        return EmbeddingRecord(
            id=stable_id(sample.id, self.embedder.space),
            modality=self.modality,
            stream_key=sample.stream_key,
            session=sample.session,
            sample_id=sample.id,
            start_ns=sample.start_ns,
            end_ns=sample.end_ns,
            bout_id=sample.bout_id,
            space=self.embedder.space,
            vector=vector_D,
            quality=quality,
            placement=sample.placement,
        )

    def events(
        self,
        samples: Sequence[S],
        walks: Sequence[Walk],
        quality_B: NDArray[np.float32],
        evidence: Sequence[Evidence],
        probes: Sequence[Sequence[Float32]],
        gallery_version: int,
    ) -> list[IdentityEvent]:
        """An event for every sample, with the evidence of its bout up to it."""
        vectors_BD, effective_B = combine(*zip(*evidence, strict=True))
        windows_B = np.array([len(quality_K) for _, quality_K, _ in evidence])
        matches = self._gallery.match(vectors_BD, CANDIDATES, now_ns=time.time_ns(), space=self.space)
        decisions = self.policy.decide(matches, effective_B, windows_B)
        decided_ns = time.time_ns()
        events = []
        for b, (sample, walk) in enumerate(zip(samples, walks, strict=True)):
            subject = decisions.subject[b]
            if sample.claimed_subject is None:
                verification, verification_score = None, None
            elif self.pairs is not None:
                verification, verification_score = self.pairs.verify(sample.claimed_subject, probes[b], int(windows_B[b]), decided_ns)
            else:
                verification, verification_score = self._verify(sample, vectors_BD[b : b + 1], effective_B[b], windows_B[b])
            event = IdentityEvent(
                id=stable_id(sample.stream_key, sample.session, sample.start_ns, self.space),
                modality=self.modality,
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
                target_fpir=self.target_fpir,
                enrolled=matches.enrolled,
                gallery_version=gallery_version,
                space=self.space,
                quality=float(quality_B[b]),
                placement=sample.placement,
                claimed_subject=sample.claimed_subject,
                verification=verification,
                verification_score=verification_score,
                contradicts=walk.contradicted_by(decisions.outcome[b], subject),
                received_ns=sample.received_ns,
                decided_ns=decided_ns,
                **self.seen(sample),  # type: ignore[arg-type]
            )
            events.append(event)
        self._count(events)
        return events

    def _count(self, events: list[IdentityEvent]) -> None:
        for decision, number in Counter(event.decision for event in events).items():
            metrics.DECISIONS.labels(self.modality, decision).inc(number)
        latency = metrics.LATENCY.labels(self.modality)
        for event in events:
            latency.observe(max(0.0, (event.decided_ns - event.received_ns) / 1e9))

    def _verify(self, sample: S, vector_1D: NDArray[np.float32], effective: float, windows: int) -> tuple[Verification, float]:
        assert sample.claimed_subject is not None
        score_1 = self._gallery.score_subject(vector_1D, sample.claimed_subject, now_ns=time.time_ns(), space=self.space)
        templates = max(1, len(self._gallery.templates_of(sample.claimed_subject)))
        verdict = self.policy.verify(score_1, effective, windows, templates)
        metrics.VERIFICATIONS.labels(verdict.outcome[0]).inc()
        return verdict.outcome[0], float(verdict.score_B[0])
