"""`gaitstream enrol` and `gaitstream gallery ...`: the enrolled people."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streams.errors import Refused
from workers.cli.run import run_async

if TYPE_CHECKING:
    from streams.messages.commands import CommandKind
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Enrolled people: list, show, rename, merge, erase, consent, export, import, reseal.")

ANSWER_WITHIN_S = 30.0
ERASE_WITHIN_S = 600.0
"""An erasure searches every topic before it answers: as long as the longest default search of one, and ample time to queue."""

Json = Annotated[bool, typer.Option("--json", help="JSON")]


def enrol(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="Name of the person")],
    device: Annotated[str | None, typer.Option(help="Device that the person carried")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera that saw the person; with --track")] = None,
    track: Annotated[str | None, typer.Option(help="The person's track, as events name it")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Begin, ISO time or ns since the epoch")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End")] = None,
    last: Annotated[float | None, typer.Option(help="The last seconds of the device's walking", min=1.0)] = None,
    consent: Annotated[str, typer.Option(help="What the person agreed to")] = "",
    expires: Annotated[str | None, typer.Option(help="Until when, ISO time")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Erase the templates that the person has already")] = False,
    as_json: Json = False,
) -> None:
    """Enrol a person from the walking that a device has published, or a camera has seen."""
    arguments: dict[str, Any] = {"stream_key": _stream_key(device, camera, track), "consent": consent, "replace": replace}
    for name, value in (("from_ns", _time_ns(begin)), ("to_ns", _time_ns(end)), ("last_s", last), ("expires_ns", _time_ns(expires))):
        if value is not None:
            arguments[name] = value
    _ask(context, "enrol", subject, arguments, as_json)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Who is enrolled."""
    rows = _subjects(context, "list")
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("subject", "templates", "windows", "quality", "streams", "consent", "expires")
    for row in rows:
        expires = "-" if row["expires_ns"] is None else _iso(row["expires_ns"] / 1e9)
        cells = (
            row["subject"],
            row["templates"],
            row["windows"],
            row["quality"],
            ", ".join(row["streams"]),
            "; ".join(row["consent"]),
            expires,
        )
        table.add_row(*map(str, cells))
    Console().print(table)


@app.command()
def show(context: typer.Context, subject: str) -> None:
    """One person, as JSON."""
    found = [row for row in _subjects(context, "show", subject) if row["subject"] == subject]
    if not found:
        raise Refused(f"nobody is enrolled as {subject}")
    typer.echo(json.dumps(found[0], indent=2))


@app.command()
def rename(context: typer.Context, subject: str, to: str, as_json: Json = False) -> None:
    """Give a person another name."""
    _ask(context, "rename", subject, {"to": to}, as_json)


@app.command()
def merge(context: typer.Context, subject: str, to: str, as_json: Json = False) -> None:
    """Two entries are one person: SUBJECT's templates go to TO."""
    _ask(context, "merge", subject, {"to": to}, as_json)


@app.command()
def erase(
    context: typer.Context,
    subject: str,
    cut: Annotated[
        bool, typer.Option("--cut", help="Also cut samples and embeddings up to the person's last, other devices' included")
    ] = False,
    as_json: Json = False,
) -> None:
    """Erase a person everywhere and print the receipt."""
    # The receipt comes when every topic has been searched.
    _ask(context, "erase", subject, {"cut": cut}, as_json, ERASE_WITHIN_S)


@app.command()
def consent(
    context: typer.Context,
    subject: str,
    text: Annotated[str | None, typer.Option(help="What the person agrees to")] = None,
    expires: Annotated[str | None, typer.Option(help="Until when, ISO time")] = None,
    as_json: Json = False,
) -> None:
    """Change what a person agreed to, or until when."""
    arguments = {name: value for name, value in (("consent", text), ("expires_ns", _time_ns(expires))) if value is not None}
    _ask(context, "consent", subject, arguments, as_json)


@app.command()
def export(context: typer.Context, file: Annotated[Path, typer.Argument(help="JSON lines, one per template")]) -> None:
    """Write the gallery to a file that only its owner may read.  It is not sealed: whoever has the file has the templates."""
    from workers.control.client import note_read, read_gallery
    from workers.control.export import export_lines

    settings: Settings = context.obj
    templates = run_async(read_gallery(settings))
    run_async(note_read(settings, _actor(), "export"))
    _write_private(file, "".join(line + "\n" for line in export_lines(templates)))
    typer.echo(f"{len(templates)} templates written to {file}")


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    force: Annotated[bool, typer.Option(help="Also of another space")] = False,
) -> None:
    """Read a gallery from a file that export wrote; it is sealed where the installation has a key."""
    from workers.control.export import import_templates, parse_lines
    from workers.networks import camera_embedder_card, embedder_card

    settings: Settings = context.obj
    spaces = None if force else {str(card["space"]) for card in (embedder_card(settings), camera_embedder_card(settings))}
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {error}") from None
    templates = parse_lines(text, spaces)
    run_async(import_templates(settings, templates, _actor()))
    typer.echo(f"{len(templates)} templates of {len({t.subject for t in templates})} people imported")


@app.command()
def reseal(context: typer.Context, as_json: Json = False) -> None:
    """Write every template again that is not sealed under the newest key (GAITSTREAM_SEAL_KEY_FILE), and print the receipt."""
    from rich.progress import Progress

    from workers.control.reseal import reseal_gallery

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("people", total=None)
        receipt = run_async(reseal_gallery(context.obj, _actor(), lambda done, of: bar.update(task, completed=done, total=of)))
    if as_json:
        typer.echo(json.dumps(receipt))
    else:
        typer.secho(f"{receipt['resealed']} templates of {receipt['people']} people written again under {receipt['key']}", fg="green")
        for name in ("before", "after"):
            typer.echo(f"  {name}: " + (", ".join(f"{count} under {key}" for key, count in receipt[name].items()) or "nobody is enrolled"))
        for subject, why in receipt["refused"].items():
            typer.echo(f"  {subject}: {why}")
    if receipt["left"]:
        raise Refused(f"{receipt['left']} templates are still under another key: say it again")


def _subjects(context: typer.Context, action: str, subject: str | None = None) -> list[dict[str, Any]]:
    from workers.control.client import note_read, read_gallery
    from workers.control.export import subjects_of

    settings: Settings = context.obj
    rows = subjects_of(run_async(read_gallery(settings)))
    run_async(note_read(settings, _actor(), action, subject))
    return rows


def _write_private(file: Path, text: str) -> None:
    """Whole or not at all, readable by its owner alone: templates are biometric data.  Raises Refused."""
    try:
        if file.exists() and not file.is_file():  # /dev/stdout, a pipe
            file.write_text(text, encoding="utf-8")
            return
        part = file.with_name(f".{file.name}.part")
        part.unlink(missing_ok=True)
        try:
            part.touch(mode=0o600, exist_ok=False)
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror or error}") from None


def _ask(
    context: typer.Context, kind: CommandKind, subject: str, arguments: dict[str, Any], as_json: bool, within_s: float | None = None
) -> None:
    from workers.control.client import ask

    reply = run_async(ask(context.obj, kind, subject, _actor(), arguments, timeout_s=within_s or ANSWER_WITHIN_S))
    if not reply.ok:
        raise Refused(reply.error)
    if as_json:
        typer.echo(json.dumps(reply.result))
        return
    typer.secho(f"{kind} {subject}: done", fg="green")
    for name, value in reply.result.items():
        if name != "receipt":
            typer.echo(f"  {name}: {value}")
    if "receipt" in reply.result:
        Console().print(_receipt(reply.result["receipt"]))


def _receipt(rows: list[dict[str, Any]]) -> Table:
    table = Table("topic", "found", "removed", "remains", "until", "why")
    for row in rows:
        until = "-" if row["until_ms"] is None else _iso(row["until_ms"] / 1e3)
        remains = f"{row['remains']}" if row["complete"] else f"{row['remains']} or more: the search took too long"
        table.add_row(row["topic"], str(row["found"]), str(row["removed"]), remains, until, row["why"])
    return table


def _stream_key(device: str | None, camera: str | None, track: str | None) -> str:
    """The stream that is meant.  Raises BadParameter."""
    if device is not None and camera is None and track is None:
        return device
    if device is None and camera is not None and track is not None:
        return track if track.startswith(f"{camera}:") else f"{camera}:{track}"
    raise typer.BadParameter("give --device, or --camera and --track", param_hint="--device")


def _actor() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return "cli"


def _iso(time_s: float) -> str:
    """A time for people, UTC; times that no calendar has stay numbers."""
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{time_s:.0f} s"


def _time_ns(text: str | None) -> int | None:
    """Nanoseconds of an ISO time (local unless it says otherwise) or of plain digits.  Raises Refused."""
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1e9)
    except (ValueError, OverflowError):
        raise Refused(f"{text!r} is not an ISO time such as 2026-11-21T14:30 or nanoseconds since the epoch") from None
