"""One module per message family; `ALL` lists every family that travels."""

from streams.messages.commands import AuditEntry, Command, Reply
from streams.messages.embedding import EmbeddingRecord
from streams.messages.events import Candidate, IdentityEvent, WalkingEvent
from streams.messages.gallery import Template
from streams.messages.imu import ImuChunk
from streams.messages.sample import GaitSample

ALL = (ImuChunk, GaitSample, EmbeddingRecord, Template, IdentityEvent, WalkingEvent, Command, Reply, AuditEntry)

__all__ = [
    "ALL", "AuditEntry", "Candidate", "Command", "EmbeddingRecord", "GaitSample", "IdentityEvent", "ImuChunk", "Reply", "Template", "WalkingEvent",
]  # fmt: skip
