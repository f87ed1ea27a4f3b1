"""Sections of the report that other commands write, or people: they stay where it is made anew."""

from __future__ import annotations

from pathlib import Path


def sections(content: str) -> dict[str, str]:
    """The sections of a report by heading, in order, each with its heading; what stands before the first one is left out."""
    parts = ["## " + part.strip() for part in f"\n{content}".split("\n## ")[1:]]
    return {part.partition("\n")[0]: part for part in parts}


def write_section(report: Path, text: str) -> None:
    """Puts a section, which begins with its heading, in the place of an earlier one, else at the end of the report."""
    content = report.read_text(encoding="utf-8") if report.exists() else ""
    before, _, rest = content.partition(text.strip().partition("\n")[0])
    _, mark, after = rest.partition("\n## ")
    following = f"\n{mark}{after}" if mark else "\n"
    report.write_text(f"{before.rstrip()}\n\n{text.strip()}{following}".lstrip(), encoding="utf-8")
