"""The command line: `gaitstream ...`.  One module per family of commands; this one holds what they share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from models.data.recordings import RecordingError
from streams.errors import GaitstreamError
from streams.settings import Settings
from workers.cli import deadletter, gallery, inspect, networks, push, run

app = typer.Typer(
    name="gaitstream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Recognises people by how they walk, live.",
)


@app.callback()
def root(
    context: typer.Context,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka, HOST:PORT[,HOST:PORT...] (else GAITSTREAM_BOOTSTRAP)")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings (default: gaitstream.toml here, if any)")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console")] = None,
) -> None:
    """Settings come from the command line, then GAITSTREAM_... variables, then the TOML file, then defaults."""
    context.obj = read_settings(config, bootstrap=bootstrap, log_format=log_format)


def read_settings(config: Path | None = None, **given: object) -> Settings:
    """Settings with those that were given on the command line on top.  Exits with a sentence when one is wrong."""
    try:
        return Settings.read(config, **{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            name = ".".join(str(part) for part in wrong["loc"])
            field = Settings.model_fields.get(str(wrong["loc"][0])) if wrong["loc"] else None
            shown = "" if field and field.annotation == SecretStr | None else f" (it is {wrong['input']!r})"
            typer.secho(f"settings: {name}: {wrong['msg']}{shown}", fg="red", err=True)
        raise typer.Exit(2) from None
    except (ValueError, SettingsError) as error:
        typer.secho(f"settings: {error}", fg="red", err=True)
        raise typer.Exit(2) from None


app.command()(run.demo)
app.command()(run.up)
app.command()(run.broker)
app.command()(run.worker)
app.command()(run.bridge)
app.add_typer(push.app, name="push")
app.add_typer(push.simulate, name="simulate")
app.command()(push.watch)
app.command()(gallery.enrol)
app.add_typer(gallery.app, name="gallery")
app.add_typer(deadletter.app, name="deadletter")
app.add_typer(networks.app, name="models")
app.command()(networks.train)
app.add_typer(networks.evaluate, name="evaluate")
app.command()(networks.calibrate)
app.command()(inspect.bench)
app.command()(inspect.asyncapi)
app.command()(inspect.doctor)


def main() -> None:
    """Entry point: errors that gaitstream raises on purpose are told in a sentence, with exit code 1."""
    try:
        app()
    except _told() as error:
        text = f"no broker answers: {error}" if isinstance(error, KafkaConnectionError) else f"{error}"
        typer.secho(text, fg="red", err=True)
        sys.exit(1)


def _told() -> tuple[type[Exception], ...]:
    """Errors whose text is written for people.  Those of the networks exist only where networks were loaded (torch takes a second)."""
    registry = sys.modules.get("models.registry")
    return (GaitstreamError, RecordingError, KafkaError, *((registry.RegistryError,) if registry else ()))
