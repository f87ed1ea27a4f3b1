"""`gaitstream doctor`, `asyncapi`, `bench`: looking at the installation, the interface, the speed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.run import run_async

if TYPE_CHECKING:
    from streams.settings import Settings


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON")] = False,
    acls: Annotated[bool, typer.Option("--acls", help="Only the rights that each role needs on a Kafka with an authorizer")] = False,
) -> None:
    """What is wrong with this installation, in words; exit code 1 when something is."""
    from workers.acls import acl_commands, acls_of
    from workers.doctor import examine

    settings: Settings = context.obj
    if acls:
        rights = acls_of(settings)
        lines = [json.dumps([asdict(right) for right in rights])] if as_json else acl_commands(rights, settings.bootstrap)
        typer.echo("\n".join(lines))
        return
    findings = run_async(examine(settings))
    if as_json:
        typer.echo(json.dumps([{"what": f.what, "state": f.state, "text": f.text, "remedy": f.remedy} for f in findings]))
    else:
        colours = {"fine": "green", "note": "yellow", "wrong": "red"}
        for f in findings:
            typer.echo(f"{typer.style(f'{f.state:<6}', fg=colours[f.state])} {f.what:<16} {f.text}")
            if f.remedy:
                typer.echo(f"{'':<23} → {f.remedy}")
    raise typer.Exit(1 if any(f.state == "wrong" for f in findings) else 0)


def asyncapi(context: typer.Context) -> None:
    """The AsyncAPI 3 document of every topic and message."""
    from streams.asyncapi import document

    typer.echo(json.dumps(document(context.obj), indent=2))


def bench(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON")] = False,
    phones: Annotated[int, typer.Option(help="Phones in the preloaded backlog", min=10)] = 1000,
    seconds: Annotated[int, typer.Option(help="Seconds of each phone in the backlog", min=10)] = 60,
) -> None:
    """Speed as ratios measured in one run, per second of CPU time of the workers."""
    from workers.bench import run_bench

    raise typer.Exit(run_async(run_bench(context.obj, phones=phones, seconds=seconds, as_json=as_json)))
