"""What the README tells people to type, read and set exists."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from streams import topics
from streams.settings import Settings
from tests.workers.cli.surface import surface
from workers.supervisor import ROLES

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()
SURFACE = surface()
IN_TICKS = re.findall(r"`([^`\n]+)`", README)


def commands() -> list[list[str]]:
    """Words behind `gaitstream` of every command in a block or between ticks."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).splitlines()
    lines = [line for line in (*blocks, *IN_TICKS) if line.startswith("gaitstream ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    shared = {name for option in SURFACE["gaitstream"]["options"] for name in option["name"].split("/")}
    names = {name for name in (f"gaitstream {words[0]}", f"gaitstream {' '.join(words[:2])}") if name in SURFACE}
    groups = {name for name in SURFACE if name.startswith(f"gaitstream {words[0]} ")}
    if words[0] in shared:
        return
    assert names or (groups and len(words) == 1), f"there is no gaitstream {' '.join(words)}"
    given = {word for word in words if word.startswith("--")}
    assert given <= {option["name"] for name in names for option in SURFACE[name]["options"]} | {"--help"}


def test_the_table_of_commands_is_complete() -> None:
    rows = re.findall(r"^\| (?!to )[^|]+ \| (`gaitstream .*) \|$", README, re.MULTILINE)
    listed = {f"gaitstream {text.removeprefix('gaitstream ')}" for row in rows for text in re.findall(r"`([^`]+)`", row)}
    assert listed == set(SURFACE) - {"gaitstream"}


def test_every_make_verb_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {text.removeprefix("make ") for text in IN_TICKS if text.startswith("make ")}
    assert {"demo", "test"} <= named <= targets


def test_every_file_exists() -> None:
    named = {text for text in IN_TICKS if re.fullmatch(r"(streams|models|workers|deploy|tests)/[\w./-]*", text)} | {"LICENSE", "NOTICE"}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_every_variable_is_a_setting() -> None:
    named = {name.removeprefix("GAITSTREAM_").lower() for name in re.findall(r"GAITSTREAM_[A-Z_]*[A-Z]", README)}
    assert named - {"data"} <= set(Settings.model_fields), "GAITSTREAM_DATA alone is for the tests"


def test_the_settings_file_is_accepted() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    settings = Settings(**tomllib.loads(text))
    assert set(settings.topic_partitions) == {topic.name for topic in topics.CO_PARTITIONED}
    assert len(set(settings.topic_partitions.values())) == 1


def test_every_route_is_served() -> None:
    source = "".join((REPOSITORY / "workers" / "control" / name).read_text() for name in ("http.py", "page.py"))
    served = {(method.upper(), path) for method, path in re.findall(r'web\.(get|post|delete|put)\("(/api/[^"]+)"', source)}
    for method, path in list(served):
        if several := re.search(r"\{kind:([a-z|]+)\}", path):  # one handler for several words
            served.remove((method, path))
            served |= {(method, path.replace(several.group(0), word)) for word in several.group(1).split("|")}
    named: set[tuple[str, str]] = set()
    for line in re.findall(r"^\| (`(?:GET|POST|DELETE).*?`) \|", README, re.MULTILINE):
        texts = re.findall(r"`([^`]+)`", line)
        method, first = texts[0].split(" ")
        for text in texts:
            found = text.partition("?")[0].split(" ")
            named.add((found[0], found[1]) if len(found) == 2 else (method, first.rsplit("/", 1)[0] + found[0].removeprefix("...")))
    assert named == served


def test_every_topic_is_in_the_picture() -> None:
    assert [topic.name for topic in topics.ALL if topic.name not in README] == []


def test_the_ports_are_those_of_up() -> None:
    first = next(option["default"] for option in SURFACE["gaitstream up"]["options"] if option["name"] == "--metrics-port")
    ports = {role: first + i for i, role in enumerate(ROLES)} | {"control": Settings.model_fields["api_port"].default}
    for role, port in ports.items():
        assert f"{role} on {port}" in README


def test_nothing_is_left_to_fill_in() -> None:
    assert re.findall(r"^[A-Z]+_OUTPUT$", README, re.MULTILINE) == []
