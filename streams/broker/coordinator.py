"""All groups with their committed offsets: one file per group, replaced whole at every commit and settled generation."""

import hashlib
import logging
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from kio.schema.errors import ErrorCode

from streams.broker import files
from streams.broker.groups import Group
from streams.broker.members import GroupError, GroupState

logger = logging.getLogger(__name__)

MAX_METADATA_BYTES = 4096  # Kafka's default of offset.metadata.max.bytes


class Committed(NamedTuple):
    """A committed offset; the time in ms since the epoch tells an operator how old it is."""

    offset: int
    leader_epoch: int
    metadata: str
    time_ms: int


Offsets = dict[tuple[str, int], Committed]


class Coordinator:
    """Groups and offsets under ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._groups: dict[str, Group] = {}
        self._offsets: dict[str, Offsets] = {}

    def load(self) -> None:
        """Restore every group as it last settled."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob("*.json"):
            try:
                entry = files.read_json(path, {})
                group_id = entry["group_id"]
                offsets = {(topic, partition): Committed(*rest) for topic, partition, *rest in entry["offsets"]}
            except (ValueError, KeyError, TypeError) as error:
                # A power failure can leave an empty file. Its group starts anew; the others must not suffer.
                logger.error("%s cannot be read and is left out: %s", path, error)
                continue
            self._offsets[group_id] = offsets
            self.get_or_create(group_id).restore(entry["group"])

    def _path(self, group_id: str) -> Path:
        # Any text may be a group id: a readable beginning and a digest make a file name of it.
        return self._directory / f"{quote(group_id, safe='')[:64]}-{hashlib.sha256(group_id.encode()).hexdigest()[:16]}.json"

    def _save(self, group: Group, offsets: Offsets) -> None:
        entry = {
            "group_id": group.group_id,
            "group": group.settled,
            "offsets": [[topic, partition, *committed] for (topic, partition), committed in offsets.items()],
        }
        files.write_json(self._path(group.group_id), entry)

    def _settled(self, group: Group) -> None:
        try:
            self._save(group, self._offsets.get(group.group_id, {}))
        except OSError as error:
            # Members only need this after a restart, and can do without: they are then unknown and join again.
            logger.warning("group %s is not kept: %s", group.group_id, error)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._groups.values()))

    def get(self, group_id: str) -> Group | None:
        """The group, or None."""
        return self._groups.get(group_id)

    def get_or_create(self, group_id: str) -> Group:
        """The group; a new one is empty.

        Raises:
            GroupError: no valid id.
        """
        if not group_id:
            raise GroupError(ErrorCode.invalid_group_id)
        if group_id not in self._groups:
            self._groups[group_id] = Group(group_id, self._settled)
        return self._groups[group_id]

    def member_group(self, group_id: str) -> Group:
        """The group of a request that only a member sends.

        Raises:
            GroupError: no such group, hence no such member.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise GroupError(ErrorCode.unknown_member_id if group_id else ErrorCode.invalid_group_id)
        return group

    def offsets(self, group_id: str) -> Offsets:
        """Committed offsets by topic and partition."""
        return self._offsets.get(group_id, {})

    def check_commit(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> Group:
        """The group, if the sender may commit: a member of the present generation, or anyone while the group has no members.

        Raises:
            GroupError: it may not.
        """
        group = self.get_or_create(group_id)
        if generation < 0 and not group.members:
            return group
        member = group.check_member(member_id, instance_id, generation)
        if group.state is GroupState.COMPLETING:
            raise GroupError(ErrorCode.rebalance_in_progress)
        group.touch(member)
        return group

    def commit(self, group: Group, new: dict[tuple[str, int], tuple[int, int, str]]) -> None:
        """Store offsets: (offset, leader epoch, metadata) by topic and partition.

        Raises:
            OSError: the disk is full; the earlier offsets stay.
        """
        now_ms = int(time.time() * 1000)
        offsets = self.offsets(group.group_id) | {key: Committed(*value, now_ms) for key, value in new.items()}
        self._save(group, offsets)
        self._offsets[group.group_id] = offsets

    def forget(self, group: Group, keys: set[tuple[str, int]]) -> None:
        """Delete committed offsets."""
        offsets = {key: committed for key, committed in self.offsets(group.group_id).items() if key not in keys}
        self._save(group, offsets)
        self._offsets[group.group_id] = offsets

    def forget_topic(self, name: str) -> None:
        """Delete the offsets of a topic that is gone."""
        for group in self:
            keys = {key for key in self.offsets(group.group_id) if key[0] == name}
            if keys:
                self.forget(group, keys)

    def delete(self, group_id: str) -> None:
        """Delete a group without members, and its offsets.

        Raises:
            GroupError: it has members, or does not exist.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise GroupError(ErrorCode.group_id_not_found)
        if group.state is not GroupState.EMPTY:
            raise GroupError(ErrorCode.non_empty_group)
        self._path(group_id).unlink(missing_ok=True)
        group.close()
        del self._groups[group_id]
        self._offsets.pop(group_id, None)

    def close(self) -> None:
        """Stop every timer."""
        for group in self._groups.values():
            group.close()
