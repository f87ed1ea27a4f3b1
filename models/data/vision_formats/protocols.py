"""Who trains, who is tested, and what is gallery and probe, as each published system divided its data.

Sources: see `models.data.vision_formats.names`; splits as the published scripts of GaitNN, GaitNet, GaitFormer and the disentangling network
have them. FVG's protocols are lists of (session, run) that come with the data and are read from a file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.data.recordings import RecordingError
from models.data.vision_formats.names import WalkName

Role = Literal["gallery", "probe"]

Sequences = tuple[tuple[str, tuple[int, ...]], ...]
"""(condition, numbers of walks), "" for any condition."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """training, test: people by number, both ends included.  gallery, probes: which walks of the tested people."""

    training: tuple[int, int]
    test: tuple[int, int]
    gallery: Sequences
    probes: Sequences

    def trains(self, name: WalkName) -> bool:
        """Whether the person is one to train on."""
        return self.training[0] <= int(name.subject) <= self.training[1]

    def role(self, name: WalkName) -> Role | None:
        """What a walk is in the test; None where it takes no part."""
        if not self.test[0] <= int(name.subject) <= self.test[1]:
            return None
        if _among(name, self.gallery):
            return "gallery"
        return "probe" if _among(name, self.probes) else None


def _among(name: WalkName, sequences: Sequences) -> bool:
    return any(condition in ("", name.condition.lower()) and name.sequence in numbers for condition, numbers in sequences)


_CASIA_GALLERY: Sequences = (("nm", (1, 2, 3, 4)),)
_CASIA_PROBES: Sequences = (("nm", (5, 6)), ("bg", (1, 2)), ("cl", (1, 2)))
_GAID_GALLERY: Sequences = (("n", (1, 2, 3, 4)),)
_GAID_PROBES: Sequences = (("n", (5, 6)), ("b", (1, 2)), ("s", (1, 2)))

PROTOCOLS: dict[str, Protocol] = {
    "casia-b-74": Protocol((1, 74), (75, 124), _CASIA_GALLERY, _CASIA_PROBES),
    "casia-b-62": Protocol((1, 62), (63, 124), _CASIA_GALLERY, _CASIA_PROBES),
    "outdoor-gait": Protocol((1, 69), (70, 138), (("", (1, 2)),), (("", (3, 4)),)),
    "szu": Protocol((1, 49), (50, 100), (("", (1, 2, 3, 4)),), (("", (5, 6, 7, 8)),)),
    "tum-gaid": Protocol((1, 150), (151, 305), _GAID_GALLERY, _GAID_PROBES),
}
"""GaitNet and disentanglement: 74 of CASIA-B's people; GaitFormer: 62. Outdoor-Gait counts positions in the sorted list of folders, whose
numbers have gaps (`positions`); TUM GAID likewise, its lists of 100, 50 and 155 people come with the data."""


def positions(subjects: Collection[str]) -> dict[str, str]:
    """Subject -> position in the sorted list, from 1."""
    return {subject: str(k) for k, subject in enumerate(sorted(set(subjects)), start=1)}


def load_fvg(path: str | Path) -> dict[str, dict[Role, frozenset[tuple[int, int]]]]:
    """FVG's protocols by name (WS, CB, CL, CBG, ALL): lines "PROTOCOL,ROLE,SESSION,RUN", `#` begins a comment.

    Raises RecordingError naming file and line, or a protocol without gallery or probes.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: not text ({error})") from error
    found: dict[str, dict[Role, set[tuple[int, int]]]] = {}
    for number, line in enumerate(lines, start=1):
        words = [word.strip() for word in line.split("#")[0].split(",")]
        if words == [""]:
            continue
        if len(words) != 4 or words[1] not in ("gallery", "probe") or not words[2].isdigit() or not words[3].isdigit():
            raise RecordingError(f"{path}: line {number}: {line!r} is not PROTOCOL,gallery|probe,SESSION,RUN")
        role: Role = "gallery" if words[1] == "gallery" else "probe"
        found.setdefault(words[0], {"gallery": set(), "probe": set()})[role].add((int(words[2]), int(words[3])))
    for name, roles in found.items():
        if not roles["gallery"] or not roles["probe"]:
            raise RecordingError(f"{path}: protocol {name!r} has no {'gallery' if not roles['gallery'] else 'probe'}")
    if not found:
        raise RecordingError(f"{path}: names no protocol")
    return {name: {role: frozenset(walks) for role, walks in roles.items()} for name, roles in found.items()}
