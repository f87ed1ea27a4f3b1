"""What was measured against what was promised: a table for people, one JSON object for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that the project promises."""

    key: str
    what: str
    kind: Literal["at least", "at most"]
    value: float

    def reached(self, figure: float) -> bool:
        """Whether a measured figure keeps the promise."""
        return figure >= self.value if self.kind == "at least" else figure <= self.value


def targets(hop_ms: float, lookahead_ms: float) -> tuple[Target, ...]:
    """The promises; the latency follows from the windows of the networks in use."""
    return (
        Target("pipeline_to_bare_ratio", "bare networks' CPU time over the workers'", "at least", 0.9),
        Target("phones_realtime", "phones in real time on 2 cores", "at least", 5000),
        Target("versus_faust_per_message", "messages per CPU second over a Faust agent's", "at least", 20),
        Target("batch_gain", "embedding per item, alone over in a batch of 64", "at least", 3.5),
        Target("event_latency_p99_ms", "last sample of a window to its event, p99, ms", "at most", hop_ms + lookahead_ms + 150),
        Target("gallery_match_ms_200k", "64 probes against 200,000 templates, ms", "at most", 20),
        Target("camera_frames_per_s", "pictures of 640 x 360 on 2 cores, two people at a time", "at least", 75),
        Target("camera_pipeline_to_bare_ratio", "bare networks' CPU time over the camera worker's", "at least", 0.9),
        Target("erase_s_200k", "erase a person among 200,000 templates, s", "at most", 1),
    )


def print_table(figures: Mapping[str, Any], promised: tuple[Target, ...]) -> None:
    """Targets with figures first, then what else was measured."""
    console = Console()
    table = Table("figure", "what", "target", "measured", "", title="gaitstream bench")
    for t in promised:
        figure, reached = figures[t.key], t.reached(figures[t.key])
        verdict = "[green]reached[/green]" if reached else "[red]missed[/red]"
        table.add_row(t.key, t.what, f"{t.kind} {t.value:,.4g}" if t.value < 1e4 else f"{t.kind} {t.value:,.0f}", _text(figure), verdict)
    console.print(table)
    shown = {t.key for t in promised}
    for key, figure in figures.items():
        if key not in shown:
            text = ", ".join(f"{k} {_text(v)}" for k, v in figure.items()) if isinstance(figure, dict) else _text(figure)
            console.print(f"[dim]{key}[/dim]  {text}")


def _text(figure: Any) -> str:
    if not isinstance(figure, float | int):
        return str(figure)
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"
