"""`gaitstream push imu` and `gaitstream watch`: what goes in, what comes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from streams.errors import Refused
from workers.cli.run import run_async, stop_event
from workers.watching import event_line, identity_events

if TYPE_CHECKING:
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Publish recordings as if devices sent them now.")


class Start(StrEnum):
    """Where `watch` begins."""

    BEGINNING = "beginning"
    END = "end"


class Decision(StrEnum):
    """Decisions that `watch` can be limited to."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    UNDECIDED = "undecided"


@app.callback()
def push() -> None:
    """Publish recordings as if devices sent them now."""


@app.command()
def imu(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recordings in the project's npz format")],
    people: Annotated[str | None, typer.Option(help="1-6, or names: ms01,ms03")] = None,
    where: Annotated[str | None, typer.Option(help='Conditions: "trial=7", "trial=8,15;placement=wrist"')] = None,
    speed: Annotated[str, typer.Option(help="Times real time, or max")] = "1",
    claim: Annotated[str | None, typer.Option(help="Every device claims to be this person (verification)")] = None,
    start_ns: Annotated[int | None, typer.Option(help="Time of the first sample (default: such that the recording ends now)")] = None,
    chunk_s: Annotated[float, typer.Option(help="Length of a message", min=0.05, max=10.0)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="The devices as JSON")] = False,
) -> None:
    """Publish inertial recordings; each record is one device session."""
    from models.data.recordings import load_recordings
    from workers.sources.phones import publish
    from workers.sources.recordings import phones_of

    settings: Settings = context.obj
    recordings = [r for file in files for r in load_recordings(file, people=people, where=where)]
    phones = phones_of(recordings, start_ns=start_ns, claim=claim)
    total = sum(-(-len(r.acc_N3) // max(1, round(chunk_s * r.rate_hz))) for r in recordings)
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task(f"{len(phones)} devices", total=total)
        times = None if speed == "max" else _positive(speed)
        sent = run_async(publish(settings, phones, speed=times, chunk_s=chunk_s, on_progress=lambda n: progress.update(task, completed=n)))
    if as_json:
        rows = [{"device": p.device_id, "subject": r.subject, "start_ns": p.start_ns} for p, r in zip(phones, recordings, strict=True)]
        typer.echo(json.dumps({"messages": sent, "devices": rows}))
    else:
        typer.echo(f"{sent} messages of {len(phones)} devices: {', '.join(phone.device_id for phone in phones)}")


def _positive(speed: str) -> float:
    try:
        value = float(speed)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise Refused(f"--speed is a positive number or max, got {speed!r}")
    return value


def watch(
    context: typer.Context,
    start: Annotated[Start, typer.Option("--from", help="beginning or end")] = Start.END,
    decision: Annotated[list[Decision] | None, typer.Option(help="Only these decisions")] = None,
    seconds: Annotated[float, typer.Option(help="Stop after this long; 0 watches until Ctrl-C")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """Identity events as they happen, one line each."""
    settings: Settings = context.obj
    wanted = set(decision or Decision)

    async def show() -> None:
        until = stop_event()
        if seconds:
            asyncio.get_running_loop().call_later(seconds, until.set)
        async for event in identity_events(settings, start=start.value, until=until):
            if event.decision in wanted:
                typer.echo(event.model_dump_json() if as_json else event_line(event))

    with contextlib.suppress(BrokenPipeError):
        run_async(show())
