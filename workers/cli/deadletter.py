"""`gaitstream deadletter list|show|replay`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import msgpack
import typer
from rich.console import Console
from rich.table import Table

from streams.deadletter import Letter, list_letters, replay_letters, show_letter
from workers.cli.run import run_async

if TYPE_CHECKING:
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Messages that could not be used: list, show, put back.")

Json = Annotated[bool, typer.Option("--json", help="JSON")]


@app.command("list")
def list_(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only this reason")] = None,
    limit: Annotated[int, typer.Option(help="Most letters", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """The newest letters first."""
    settings: Settings = context.obj
    letters = run_async(list_letters(settings, reason=reason, limit=limit))
    if as_json:
        typer.echo(json.dumps([_plain(letter) for letter in letters]))
        return
    table = Table("place", "reason", "from", "key", "text")
    for letter in letters:
        table.add_row(letter.place, letter.reason, f"{letter.topic}/{letter.partition}:{letter.offset}", _text(letter.key), letter.text)
    Console().print(table)


@app.command()
def show(
    context: typer.Context, place: Annotated[str, typer.Argument(help="PARTITION:OFFSET as list prints it")], as_json: Json = False
) -> None:
    """One letter with its content, as far as it can be read."""
    settings: Settings = context.obj
    fields = _plain(run_async(show_letter(settings, place)), content=True)
    if as_json:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        typer.echo(f"{name:>10}  {value}")


@app.command()
def replay(
    context: typer.Context, places: Annotated[list[str], typer.Argument(help="PARTITION:OFFSET ...")], as_json: Json = False
) -> None:
    """Put letters back where they came from, behind newer messages."""
    settings: Settings = context.obj
    letters = run_async(replay_letters(settings, places))
    if as_json:
        typer.echo(json.dumps([_plain(letter) for letter in letters]))
    else:
        for letter in letters:
            typer.echo(f"{letter.place} put back on {letter.topic}/{letter.partition}")


def _plain(letter: Letter, *, content: bool = False) -> dict[str, Any]:
    fields = asdict(letter) | {"key": _text(letter.key), "bytes": len(letter.value or b"")}
    value = fields.pop("value")
    if content and value is not None:
        fields["content"] = _content(value)
    return fields


def _content(value: bytes) -> str:
    try:
        unpacked = msgpack.unpackb(value)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError):
        return f"not msgpack: {value[:200]!r}"
    text = repr({k: v for k, v in unpacked.items() if not isinstance(v, dict)} if isinstance(unpacked, dict) else unpacked)
    return text[:2000]


def _text(key: bytes | None) -> str:
    return "" if key is None else key.decode("utf-8", "replace")
