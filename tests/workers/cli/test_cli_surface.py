"""The command line does not change by accident: names, arguments, options, types and defaults are frozen in surface.json."""

import json

import pytest

from tests.workers.cli.surface import FROZEN, surface

SURFACE = surface()

PROMISED = [
    "demo", "up", "broker", "worker", "push imu", "watch", "enrol", "calibrate", "bench", "asyncapi", "doctor", "train",
    *(f"gallery {verb}" for verb in ("list", "show", "rename", "merge", "erase", "export", "import")),
    *(f"deadletter {verb}" for verb in ("list", "show", "replay")),
    *(f"models {verb}" for verb in ("list", "show")),
    *(f"evaluate {task}" for task in ("extraction", "identification", "verification")),
]  # fmt: skip


def test_the_surface_is_the_frozen_one() -> None:
    frozen = json.loads(FROZEN.read_text())
    assert SURFACE.keys() == frozen.keys(), "meant?  Then write it anew: python -m tests.workers.cli.surface"
    for command, parameters in SURFACE.items():
        assert parameters == frozen[command], f"{command} changed; meant?  Then write it anew: python -m tests.workers.cli.surface"


@pytest.mark.parametrize("command", PROMISED)
def test_every_promised_command_is_there(command: str) -> None:
    assert f"gaitstream {command}" in SURFACE


@pytest.mark.parametrize(
    "command",
    [
        *(command for command in SURFACE if command.endswith(" list")),  # every listing
        "gaitstream watch",  # one object a line
        "gaitstream doctor",
        "gaitstream bench",
        "gaitstream push imu",  # what was sent, for scripts that enrol what they pushed
        "gaitstream deadletter show",
        "gaitstream deadletter replay",
    ],
)
def test_what_a_program_may_read_takes_json(command: str) -> None:
    assert "--json" in {option["name"] for option in SURFACE[command]["options"]}


def test_options_are_written_alike() -> None:
    names = [option["name"] for parameters in SURFACE.values() for option in parameters["options"]]
    long = [name for option in names for name in option.split("/") if name.startswith("--")]
    assert [name for name in long if name != name.lower() or "_" in name] == []
