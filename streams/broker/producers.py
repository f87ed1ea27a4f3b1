"""Ids of idempotent producers, never given twice."""

from pathlib import Path

from streams.broker import files

_BLOCK = 1000  # ids are reserved on disk by the block, so that a crash skips some and repeats none


class ProducerIds:
    """Counter in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = self._reserved = files.read_json(path, 1)

    def new(self) -> int:
        """A new id.

        Raises:
            OSError: the disk is full.
        """
        if self._next >= self._reserved:
            files.write_json(self._path, self._next + _BLOCK)
            self._reserved = self._next + _BLOCK
        self._next += 1
        return self._next - 1
