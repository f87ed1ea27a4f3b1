"""Who walks, under which condition, seen from where: read from the names that each published data set uses.

Sources: CASIA-B (Yu, Tan, Tan, ICPR 2006); TUM GAID (Hofmann et al., JVCI 2014); Outdoor-Gait and SZU RGB-D as GaitNet's published scripts
name them; FVG (Zhang et al., CVPR 2019) as GaitFormer's scripts name them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.data.recordings import RecordingError


@dataclass(frozen=True, slots=True)
class WalkName:
    """subject: who.  condition: clothing or bag, in the data set's own abbreviation.  sequence: which of the walks, from 1.  view: angle or
    scene, "" where there is one only."""

    subject: str
    condition: str
    sequence: int
    view: str


def _reader(pattern: str, words: str) -> Callable[[str | Path], WalkName]:
    compiled = re.compile(pattern)

    def read(name: str | Path) -> WalkName:
        found = compiled.fullmatch(str(name).replace("\\", "/"))
        if found is None:
            raise RecordingError(f"{name}: the name is not {words}")
        parts = found.groupdict(default="")
        return WalkName(parts["subject"], parts.get("condition", ""), int(parts["sequence"]), parts.get("view", ""))

    return read


READERS: Mapping[str, Callable[[str | Path], WalkName]] = {
    "casia-b": _reader(
        r"(?:.*/)?(?P<subject>\d{3})[-/](?P<condition>nm|bg|cl)-(?P<sequence>0[1-6])[-/](?P<view>000|018|036|054|072|090|108|126|144|162|180)",
        "SUBJECT-CONDITION-SEQUENCE-VIEW, for example 001-nm-01-090 or 001/nm-01/090",
    ),
    "tum-gaid": _reader(
        r"(?:.*/)?p(?P<subject>\d{3})/(?P<condition>[nbs])(?P<sequence>0[1-9]|1[0-2])",
        "pSUBJECT/CONDITION SEQUENCE, for example p001/n01, b02 or s02",
    ),
    "outdoor-gait": _reader(
        r"(?:.*/)?(?P<subject>\d+)_(?P<view>[^_/]+)_(?P<condition>nm|bg|cl|NM|BG|CL)_L_090_(?P<sequence>\d+)",
        "SUBJECT_SCENE_CONDITION_L_090_SEQUENCE, for example 012_scene1_nm_L_090_1",
    ),
    "szu": _reader(r"(?:.*/)?(?P<subject>\d{1,3})/(?P<sequence>[1-8]|0[1-8])", "SUBJECT/SEQUENCE with sequences 1 to 8, for example 050/3"),
    "fvg": _reader(
        r"(?:.*/)?session(?P<view>[1-3])/(?P<subject>\d{1,3})_(?P<sequence>\d{2})", "sessionN/SUBJECT_RUN, for example session1/017_02"
    ),
}
"""By data set; each reads a folder's or a file's name without extension and raises RecordingError naming it."""


def read_name(dataset: str, name: str | Path) -> WalkName:
    """What a name says. Raises RecordingError naming it, or the data set where it is unknown."""
    if dataset not in READERS:
        raise RecordingError(f"no data set {dataset!r}; there are {', '.join(READERS)}")
    return READERS[dataset](name)
