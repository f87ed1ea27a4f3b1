"""Topic configuration: which keys are honoured, their defaults and limits.

Names, defaults and meanings are those of Apache Kafka, except for ``segment.bytes`` (64 MiB: retention removes whole segments, and
a demo has little data) .
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class InvalidConfig(Exception):
    """An unknown key, or a value that cannot be honoured: error INVALID_CONFIG."""


def _integer(low: int, high: int = 2**63 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return parse


def _ratio(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError("must be between 0 and 1")
    return value


def _policy(text: str) -> frozenset[str]:
    policy = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not policy or not policy <= {"delete", "compact"}:
        raise ValueError("must be delete, compact, or both")
    return policy


def _only(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"the embedded broker supports only {' or '.join(allowed)}")
        return text

    return parse


@dataclass(frozen=True)
class ConfigKey:
    """Default value, parser, and the protocol's number of the value type (2 string, 3 int, 5 long, 6 double, 7 list, 1 boolean)."""

    default: str
    parse: Callable[[str], object]
    type_number: int


HONOURED = {
    "cleanup.policy": ConfigKey("delete", _policy, 7),
    "delete.retention.ms": ConfigKey("86400000", _integer(0), 5),
    "max.compaction.lag.ms": ConfigKey(str(2**63 - 1), _integer(1), 5),
    "max.message.bytes": ConfigKey("1048588", _integer(0, 2**31 - 1), 3),
    "message.timestamp.type": ConfigKey("CreateTime", _only("CreateTime"), 2),
    "min.cleanable.dirty.ratio": ConfigKey("0.5", _ratio, 6),
    "retention.bytes": ConfigKey("-1", _integer(-1), 5),
    "retention.ms": ConfigKey("604800000", _integer(-1), 5),
    "segment.bytes": ConfigKey("67108864", _integer(14, 2**31 - 1), 3),
    "segment.ms": ConfigKey("604800000", _integer(1), 5),
    "compression.type": ConfigKey("producer", _only("producer"), 2),
}
# Known to Kafka and kept, but without effect where there is one node, no page index and no transaction.
ACCEPTED = {
    "file.delete.delay.ms": ConfigKey("60000", _integer(0), 5),
    "flush.messages": ConfigKey(str(2**63 - 1), _integer(1), 5),
    "flush.ms": ConfigKey(str(2**63 - 1), _integer(0), 5),
    "index.interval.bytes": ConfigKey("4096", _integer(0, 2**31 - 1), 3),
    "message.timestamp.after.max.ms": ConfigKey(str(2**63 - 1), _integer(0), 5),
    "message.timestamp.before.max.ms": ConfigKey(str(2**63 - 1), _integer(0), 5),
    "message.timestamp.difference.max.ms": ConfigKey(str(2**63 - 1), _integer(0), 5),
    "min.compaction.lag.ms": ConfigKey("0", _integer(0), 5),
    "min.insync.replicas": ConfigKey("1", _integer(1, 1), 3),
    "preallocate": ConfigKey("false", _only("true", "false"), 1),
    "segment.index.bytes": ConfigKey("10485760", _integer(4, 2**31 - 1), 3),
    "segment.jitter.ms": ConfigKey("0", _integer(0), 5),
    "unclean.leader.election.enable": ConfigKey("false", _only("true", "false"), 1),
}
KEYS = HONOURED | ACCEPTED


@dataclass(frozen=True)
class TopicConfig:
    """Parsed configuration of one topic; durations in ms, sizes in bytes, -1 for no limit."""

    overrides: dict[str, str] = field(default_factory=dict)
    compacted: bool = False
    expires: bool = True
    delete_retention_ms: int = 0
    max_compaction_lag_ms: int = 0
    max_message_bytes: int = 0
    min_cleanable_dirty_ratio: float = 0.5
    retention_bytes: int = -1
    retention_ms: int = -1
    segment_bytes: int = 0
    segment_ms: int = 0

    @classmethod
    def parse(cls, overrides: Mapping[str, str | None]) -> "TopicConfig":
        """The defaults with ``overrides`` (a None takes the default back).

        Raises:
            InvalidConfig: names the key and what is wrong.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        parsed: dict[str, object] = {}
        for name in given:
            if name not in KEYS:
                raise InvalidConfig(f"unknown topic configuration {name}")
        for name, key in KEYS.items():
            text = given.get(name, key.default)
            try:
                parsed[name.replace(".", "_")] = key.parse(text)
            except ValueError as error:
                raise InvalidConfig(f"{name}={text}: {error}") from error
        policy = parsed.pop("cleanup_policy")
        assert isinstance(policy, frozenset)
        used = {name: value for name, value in parsed.items() if name in cls.__dataclass_fields__}
        return cls(overrides=given, compacted="compact" in policy, expires="delete" in policy, **used)  # type: ignore[arg-type]
