"""The section of the report on the research set, which its own command writes (models.evaluation.research_folds)."""

from __future__ import annotations

from pathlib import Path

HEADING = "## Research set, by folds over people"


def research_section(report: Path) -> str:
    """The section with its heading, empty if the report has none (or is not there)."""
    content = report.read_text(encoding="utf-8") if report.exists() else ""
    _, heading, rest = content.partition(HEADING)
    return (heading + rest.partition("\n## ")[0]).strip()


def write_section(report: Path, text: str) -> None:
    """Puts the section in the place of an earlier one, else at the end of the report."""
    content = report.read_text(encoding="utf-8") if report.exists() else ""
    before, _, rest = content.partition(HEADING)
    _, mark, after = rest.partition("\n## ")
    following = f"\n{mark}{after}" if mark else "\n"
    report.write_text(f"{before.rstrip()}\n\n{text.strip()}{following}".lstrip(), encoding="utf-8")
