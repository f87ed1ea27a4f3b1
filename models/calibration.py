"""What cosine similarities of one embedding space mean: impostor and genuine distributions by number of windows in the probe.

A *template* is the normalised mean of the window embeddings of one enrolment; a *probe* is the normalised mean of n consecutive windows of
another recording. Both distributions are measured on people whom the network was not trained on, impostor pairs within one data set only
(across data sets the device gives the answer away). The model card keeps the result under "calibration".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMPOSTOR_FMRS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
"""False match rates of the quantile table, as far as the impostor scores support them (at least 10 scores beyond the threshold)."""

GENUINE_PROBABILITIES = (0.05, 0.5, 0.95)
"""Quantiles of the genuine scores that the card keeps."""


class CalibrationError(ValueError):
    """A model card holds no usable calibration; the text names the field."""


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """Score distributions of one embedding space; every tuple but `windows` has one entry per entry of `windows`.

    windows: rising numbers of windows averaged into a probe, for example (1, 2, 4, 8, 16).
    impostor_mean, impostor_sd: moments of the cosine between a template and a probe of another person.
    impostor_quantiles: per n, rows (false match rate, cosine), falling rate and rising cosine: this share of impostor scores is >= cosine.
    genuine_mean, genuine_sd: moments of the cosine between a template and a probe of the same person from another recording.
    genuine_quantiles: per n, rows (probability, cosine): this share of genuine scores is <= cosine.
    counts: per n, (impostor scores, genuine scores).
    people: number of people behind the scores.
    """

    windows: tuple[int, ...]
    impostor_mean: tuple[float, ...]
    impostor_sd: tuple[float, ...]
    impostor_quantiles: tuple[tuple[tuple[float, float], ...], ...]
    genuine_mean: tuple[float, ...]
    genuine_sd: tuple[float, ...]
    genuine_quantiles: tuple[tuple[tuple[float, float], ...], ...]
    counts: tuple[tuple[int, int], ...]
    people: int

    def __post_init__(self) -> None:
        if not self.windows or list(self.windows) != sorted(set(self.windows)) or self.windows[0] < 1:
            raise CalibrationError(f"calibration.windows must be rising positive integers, got {self.windows}")
        for name in ("impostor_mean", "impostor_sd", "impostor_quantiles", "genuine_mean", "genuine_sd", "genuine_quantiles", "counts"):
            if len(getattr(self, name)) != len(self.windows):
                raise CalibrationError(f"calibration.{name} must have {len(self.windows)} entries, got {len(getattr(self, name))}")
        if min(self.impostor_sd) <= 0 or min(self.genuine_sd) <= 0:
            raise CalibrationError("calibration: standard deviations must be positive")

    def index_of(self, windows: float) -> int:
        """Position of the largest tabulated number of windows that is <= `windows` (the first below the table)."""
        return max((i for i, n in enumerate(self.windows) if n <= windows), default=0)

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> ScoreCalibration:
        """Reads card["calibration"]. Raises CalibrationError if a field is missing or ill-formed."""
        entry = card.get("calibration")
        if not isinstance(entry, Mapping):
            raise CalibrationError("the model card has no calibration")
        try:
            return cls(
                windows=tuple(int(n) for n in entry["windows"]),
                impostor_mean=_floats(entry["impostor_mean"]),
                impostor_sd=_floats(entry["impostor_sd"]),
                impostor_quantiles=_tables(entry["impostor_quantiles"]),
                genuine_mean=_floats(entry["genuine_mean"]),
                genuine_sd=_floats(entry["genuine_sd"]),
                genuine_quantiles=_tables(entry["genuine_quantiles"]),
                counts=tuple((int(impostor), int(genuine)) for impostor, genuine in entry["counts"]),
                people=int(entry["people"]),
            )
        except KeyError as error:
            raise CalibrationError(f"calibration.{error.args[0]} is missing from the model card") from error
        except (TypeError, ValueError) as error:
            raise CalibrationError(f"the calibration of the model card is ill-formed: {error}") from error

    def to_card(self) -> dict[str, Any]:
        """The value of card["calibration"], plain JSON types."""
        return {
            "windows": list(self.windows),
            "impostor_mean": list(self.impostor_mean),
            "impostor_sd": list(self.impostor_sd),
            "impostor_quantiles": [[list(row) for row in table] for table in self.impostor_quantiles],
            "genuine_mean": list(self.genuine_mean),
            "genuine_sd": list(self.genuine_sd),
            "genuine_quantiles": [[list(row) for row in table] for table in self.genuine_quantiles],
            "counts": [list(pair) for pair in self.counts],
            "people": self.people,
        }


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _tables(tables: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(tuple((float(probability), float(value)) for probability, value in table) for table in tables)
