"""What an evaluation returns: figures with confidence intervals over people, and the counts behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.evaluation.scores import DetCurve, thinned

Person = TypeVar("Person")

RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its bootstrap interval over people (None where there are fewer than two people)."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Whose probes were given to whom. names: (G) of the enrolled.  share_GG: row the walker, column the answer, rows sum to 1."""

    names: list[str]
    share_GG: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one evaluation.

    figures: by name.  counts: people, recordings, windows, scores.  tables: further plain numbers, for example per activity.
    curves: detection error trade-offs by the name of the probe ("1": one window).  confusion: of single windows.  Both are for pictures;
    JSON has the curves with few points, and no confusion.
    """

    task: str
    networks: dict[str, str]
    figures: dict[str, Figure]
    counts: dict[str, int]
    tables: dict[str, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, DetCurve] = field(default_factory=dict)
    confusion: Confusion | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, figures as {"value", "low", "high"}."""
        figures = {name: {"value": figure.value, "low": figure.low, "high": figure.high} for name, figure in self.figures.items()}
        return {
            "task": self.task,
            "networks": self.networks,
            "figures": figures,
            "confidence": CONFIDENCE,
            "counts": self.counts,
            "tables": self.tables,
            "curves": {name: thinned(curve) for name, curve in self.curves.items()},
            "limits": "One visit per person: nothing here shows how recognition holds from day to day.",
        }


def over_people(
    people: Sequence[Person], figures: Callable[[Sequence[Person]], dict[str, float]], seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Figure]:
    """Figures of all people, with percentile intervals from drawing as many people with replacement.

    figures: from a selection of people, in which one may occur several times, to values by name (NaN where a selection gives none).
    """
    values = figures(people)
    if len(people) < 2:
        return {name: Figure(value) for name, value in values.items()}
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        for name, value in figures([people[i] for i in rng.integers(0, len(people), len(people))]).items():
            drawn[name].append(value)
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    result = {}
    for name, value in values.items():
        known = np.array(drawn[name])[~np.isnan(drawn[name])]
        low, high = np.quantile(known, tails) if len(known) else (np.nan, np.nan)
        result[name] = Figure(value, float(low), float(high)) if len(known) else Figure(value)
    return result
