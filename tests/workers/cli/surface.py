"""The command line as data.  After a change that is meant: `.venv/bin/python -m tests.workers.cli.surface`, then look at the diff."""

import json
import types
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer.main

from workers.cli import app

FROZEN = Path(__file__).with_name("surface.json")


def surface() -> dict[str, Any]:
    """Every command by its full name, with arguments, options, types and defaults; "gaitstream" holds the options before any command."""
    return dict(_walk(typer.main.get_command(app), "gaitstream"))


def _walk(command: Any, name: str) -> list[tuple[str, dict[str, Any]]]:
    own = {
        "arguments": [_parameter(p) for p in command.params if p.param_type_name == "argument"],
        "options": [_parameter(p) for p in command.params if p.param_type_name == "option"],
    }
    nested = getattr(command, "commands", {})
    below = [row for key in sorted(nested) for row in _walk(nested[key], f"{name} {key}")]
    return below if nested and not own["options"] else [(name, own), *below]


def _parameter(parameter: Any) -> dict[str, Any]:
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return {
        "name": "/".join((*parameter.opts, *parameter.secondary_opts)),
        "type": _type(parameter.type_descriptor.annotation),
        "required": parameter.required,
        "many": parameter.multiple or parameter.nargs == -1,
        "default": default if isinstance(default, str | int | float | None) else str(default),
    }


def _type(annotation: Any) -> str:
    """A type in words: "a|b" for a choice, without Optional and list, which `required` and `many` say."""
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is list:
        return " or ".join(_type(inner) for inner in get_args(annotation) if inner is not types.NoneType)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(member.value for member in annotation)
    return str(annotation.__name__)


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(surface(), indent=1) + "\n")
    print(f"{len(surface())} commands written to {FROZEN.name}")
