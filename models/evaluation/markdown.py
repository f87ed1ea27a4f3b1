"""Evaluations as Markdown: one report for one evaluation, and the pieces of the large one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.report import Evaluation


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the others right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join([' --- ', *[' ---: '] * (len(head) - 1)])}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def percent(figure: dict[str, Any] | None, *, interval: bool = True) -> str:
    """A figure of `Evaluation.to_json` in percent, its interval behind it; a dash where there is none."""
    if figure is None or figure["value"] != figure["value"]:  # NaN
        return "–"
    value = f"{100 * figure['value']:.1f}"
    if not interval or figure["low"] is None or figure["low"] != figure["low"]:
        return value
    return f"{value} ({100 * figure['low']:.0f}–{100 * figure['high']:.0f})"


def evaluation_report(evaluation: Evaluation, title: str, command: str, pictures: Sequence[Path] = ()) -> str:
    """A page about one evaluation. pictures: files beside the page."""
    result = evaluation.to_json()
    figures = [(name, percent(figure)) for name, figure in result["figures"].items()]
    parts = [
        f"# {title}",
        f"`{command}`",
        f"Networks: {', '.join(f'{role} {space}' for role, space in result['networks'].items())}.",
        f"Percent, with {result['confidence']:.0%} intervals over people (bootstrap).",
        table(["figure", "value"], figures),
        table(["count", "N"], [(name, f"{count:,}") for name, count in result["counts"].items()]),
    ]
    for name, values in result["tables"].items():
        parts.append(table([name.replace("_", " "), "%"], [(key, f"{100 * value:.1f}") for key, value in values.items()]))
    parts += [f"![{picture.stem}]({picture.name})" for picture in pictures]
    return "\n\n".join([*parts, result["limits"]]) + "\n"
