"""Enrolling a person from embeddings that the pipeline has already made."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.calibration import ScoreCalibration
from models.matching import DecisionPolicy, Gallery
from models.matching.enrolment import DEVICE, TRACK, Limits, already_enrolled, build_templates
from models.matching.vectors import leading
from streams import topics
from streams.errors import BadMessage
from streams.messages import EmbeddingRecord, Template
from streams.messages.fields import stable_id
from streams.seal import KeyRing
from workers.control.arguments import EnrolArguments, arguments_of
from workers.control.gallery import Change
from workers.control.lookup import records_of_key
from workers.control.pairs import with_pair_maps
from workers.control.refusal import Refusal
from workers.identity.site import read_site
from workers.networks import camera_embedder_card, embedder_card, verifier_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.inertial.verifier import PairVerifier
    from streams.messages import Command
    from streams.messages.fields import Modality
    from streams.settings import Settings
    from workers.control.gallery import GalleryView

RECENT_S = (600.0, 7200.0)
"""`last_s` counts back from the newest embedding of a device: looked for in the last minutes, then hours, then everywhere."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """The space that this site embeds in, and how alike two walks must be there to be one person's.  matched_dim: directions that are compared,
    None for all."""

    name: str
    matched_dim: int | None
    policy: DecisionPolicy
    verifier: PairVerifier | None
    limits: Limits

    @classmethod
    def of_phones(cls, settings: Settings) -> EmbeddingSpace:
        """As the identity workers use it; of the embedder only the model card is read."""
        card = embedder_card(settings)
        name = str(card["space"])
        site = read_site(settings, name)
        impostors = site.impostors() if site else None
        policy = DecisionPolicy(ScoreCalibration.from_card(card), settings.target_fpir, settings.min_windows, site=impostors)
        return cls(name, card.get("matched_dim"), policy, verifier_of(settings), DEVICE)

    @classmethod
    def of_cameras(cls, settings: Settings) -> EmbeddingSpace:
        """The same for tracks of cameras."""
        card = camera_embedder_card(settings)
        policy = DecisionPolicy(ScoreCalibration.from_card(card), settings.camera_target_fpir, settings.camera_min_windows)
        return cls(str(card["space"]), card.get("matched_dim"), policy, None, TRACK)


Spaces = dict["Modality", EmbeddingSpace]


def spaces_of_site(settings: Settings) -> Spaces:
    """One space per modality."""
    return {"inertial": EmbeddingSpace.of_phones(settings), "camera": EmbeddingSpace.of_cameras(settings)}


async def enrol(settings: Settings, command: Command, view: GalleryView, spaces: Spaces) -> Change:
    """New templates of the command's subject.  Raises Refusal in words: no consent, too little walking, two people, enrolled as somebody else."""
    wanted = arguments_of(command, EnrolArguments)
    if settings.require_consent and not wanted.consent.strip():
        raise Refusal("consent: this installation enrols nobody without a text of what was agreed (require_consent)", "no_consent")
    records = await embeddings_of(settings, wanted)
    modality, space = _space_of(wanted, records, spaces)
    vectors_ND = np.stack([np.asarray(record.vector, np.float32) for record in records])
    result = build_templates(
        vectors_ND, [record.quality for record in records], [record.start_ns for record in records], limits=space.limits
    )
    if result.reasons:
        why = "too_little_walking" if result.reasons[0].startswith(("too little", "poor signal")) else "two_people"
        raise Refusal("; ".join(result.reasons), why)
    known = await asyncio.to_thread(gallery_of, view.current(), space, vectors_ND.shape[1])  # seconds with 100,000 templates
    other = already_enrolled(known, result.templates, space.policy, subject=command.subject, now_ns=time.time_ns())
    if other is not None:
        text = f"this walk is already enrolled as {other}; use gallery merge or rename if it is the same person"
        raise Refusal(text, "already_enrolled")
    # Ids follow from the command: whoever carries it out again writes the same keys.
    prefix = stable_id(command.id)[:16]
    written = [
        Template(
            subject=command.subject,
            template_id=f"{prefix}-{index}",
            modality=modality,
            space=space.name,
            vector=np.asarray(new.vector_D, np.float32),
            quality=float(new.quality),
            windows=new.windows,
            stream_key=wanted.stream_key,
            from_ns=new.from_ns,
            to_ns=new.to_ns,
            enrolled_ns=command.sent_ns,
            enrolled_by=command.actor,
            consent=wanted.consent,
            expires_ns=wanted.expires_ns,
        )
        for index, new in enumerate(result.templates)
    ]
    if space.verifier is not None:
        written = await with_pair_maps(settings, space.verifier, wanted.stream_key, written)
    keys = {t.key for t in written}
    before = [t.key for t in view.current() if t.subject == command.subject and t.key not in keys]
    answer = {
        "templates": len(written),
        "windows": sum(t.windows for t in written),
        "quality": round(result.mean_quality, 3),
        "from_ns": written[0].from_ns,
        "to_ns": written[-1].to_ns,
        "space": space.name,
        "replaced": len(before) if wanted.replace else 0,
    }
    return Change(written=written, erased=before if wanted.replace else [], result=answer)


def _space_of(wanted: EnrolArguments, records: list[EmbeddingRecord], by_modality: Spaces) -> tuple[Modality, EmbeddingSpace]:
    """The site's space that the records are in.  Raises Refusal."""
    if not records:
        text = f"no walking of {wanted.stream_key} is known in that time (none of the windows that are needed); devices are named as they publish"
        raise Refusal(text, "too_little_walking")
    spaces = {record.space for record in records}
    if len(spaces) > 1:
        text = f"the walking of {wanted.stream_key} in that time is in {len(spaces)} spaces ({', '.join(sorted(spaces))}): choose a shorter time"
        raise Refusal(text, "mixed_spaces")
    modality = records[0].modality
    space = by_modality[modality]
    if spaces != {space.name}:
        text = f"the walking of {wanted.stream_key} is in space {spaces.pop()}, this site embeds in {space.name}: let them walk again"
        raise Refusal(text, "other_space")
    if len({len(record.vector) for record in records}) > 1 or not all(usable(record) for record in records):
        raise Refusal(f"embeddings of {wanted.stream_key} are not vectors of one length, finite and of length 1", "mixed_spaces")
    return modality, space


def usable(record: EmbeddingRecord) -> bool:
    """Whether the vector is what its type promises: finite, of unit length."""
    return bool(abs(float(np.linalg.norm(np.asarray(record.vector, np.float64))) - 1.0) < 1e-2)


async def embeddings_of(settings: Settings, wanted: EnrolArguments) -> list[EmbeddingRecord]:
    """The stream's embeddings of the wanted time, oldest first, each once."""
    if wanted.last_s is None:
        records = await _found(settings, wanted.stream_key, wanted.from_ns)
        begin_ns, end_ns = wanted.from_ns or 0, wanted.to_ns
    else:
        newest_ns = await _newest(settings, wanted.stream_key)
        begin_ns, end_ns = newest_ns - int(wanted.last_s * 1e9), None
        records = await _found(settings, wanted.stream_key, begin_ns) if newest_ns else []
    inside = [r for r in records if r.start_ns >= begin_ns and (end_ns is None or r.end_ns <= end_ns)]
    return sorted(inside, key=lambda record: record.start_ns)


async def _newest(settings: Settings, stream_key: str) -> int:
    """End of the stream's newest embedding in ns since the epoch, 0 when there is none."""
    now_ns = time.time_ns()
    for since_ns in (*(now_ns - int(back_s * 1e9) for back_s in RECENT_S), None):
        if found := await _found(settings, stream_key, since_ns):
            return max(record.end_ns for record in found)
    return 0


async def _found(settings: Settings, stream_key: str, since_ns: int | None) -> list[EmbeddingRecord]:
    """Embeddings of a stream that reached the broker since a time, each once."""
    ring = KeyRing(settings)
    found: dict[str, EmbeddingRecord] = {}
    for record in await records_of_key(settings, topics.EMBEDDINGS, stream_key, since_ns):
        try:
            embedding = EmbeddingRecord.from_bytes(ring.open(topics.EMBEDDINGS.name, record.key, record.value))
        except BadMessage:
            continue  # not a pipeline's; it enrols nobody
        found[embedding.id] = embedding
    return list(found.values())


def gallery_of(templates: Iterable[Template], space: EmbeddingSpace, dim: int) -> Gallery:
    """The templates of one space as something to match against.  dim: length of its embeddings."""
    gallery = Gallery(space.name, space.matched_dim or dim)
    for t in templates:
        if t.space == space.name and len(t.vector) == dim:
            vector_M = leading(np.asarray(t.vector, np.float32)[None], gallery.dim)[0]
            gallery.put(t.subject, t.template_id, vector_M, quality=t.quality, windows=t.windows, expires_ns=t.expires_ns)
    return gallery
