"""One module per message family; `ALL` lists every family that travels."""

from streams.messages.camera import CameraFrame, PeopleSeen, PersonSeen
from streams.messages.commands import AuditEntry, Command, Reply
from streams.messages.embedding import EmbeddingRecord
from streams.messages.events import Candidate, IdentityEvent, WalkingEvent
from streams.messages.gallery import Template
from streams.messages.imu import ImuChunk
from streams.messages.sample import CameraSample, GaitSample

ALL = (
    ImuChunk,
    CameraFrame,
    PeopleSeen,
    GaitSample,
    CameraSample,
    EmbeddingRecord,
    Template,
    IdentityEvent,
    WalkingEvent,
    Command,
    Reply,
    AuditEntry,
)

__all__ = [
    "ALL", "AuditEntry", "CameraFrame", "CameraSample", "Candidate", "Command", "EmbeddingRecord", "GaitSample", "IdentityEvent", "ImuChunk",
    "PeopleSeen", "PersonSeen", "Reply", "Template", "WalkingEvent",
]  # fmt: skip
