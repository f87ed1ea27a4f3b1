"""deploy/README.md says only what exists: commands and their options, settings, topics, paths."""

import json
import re
import shlex

from streams import topics
from streams.provision import _configs
from streams.settings import Settings
from tests.deploy.tools import DEPLOY, REPOSITORY

README = (DEPLOY / "README.md").read_text()
SURFACE = json.loads((REPOSITORY / "tests" / "workers" / "cli" / "surface.json").read_text())


def commands() -> list[list[str]]:
    """Every `gaitstream ...` of a code span or a code block, split as a shell does."""
    spans = re.findall(r"`((?:GAITSTREAM_\w+=\S+ )?gaitstream [a-z][^`]*)`", README)
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    lines = [line.strip() for line in (*spans, *blocks)]
    return [
        shlex.split(line[line.index("gaitstream") :].split(" > ")[0])
        for line in lines
        if re.match(r"(GAITSTREAM_\w+=\S+ )?gaitstream ", line)
    ]


def test_commands_and_options_exist() -> None:
    assert len(commands()) > 10
    for words in commands():
        name = " ".join(words[:3]) if " ".join(words[:3]) in SURFACE else " ".join(words[:2])
        assert name in SURFACE, words
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= {option["name"] for option in SURFACE[name]["options"]}, words


def test_settings_exist() -> None:
    named = {name.lower() for name in re.findall(r"GAITSTREAM_([A-Z_]+)\b", README)}
    assert named - set(Settings.model_fields) == {"variant"}, "GAITSTREAM_VARIANT is compose.yaml's own"


def test_the_topics_to_be_made_are_the_declared_ones() -> None:
    rows = re.findall(r"^ *\| `(gait\.[\w.]+)` \| (\d+) \| (.+) \|$", README, re.MULTILINE)
    stated = {name: (int(partitions), set(re.findall(r"`([^`]+)`", config))) for name, partitions, config in rows}
    declared = {}
    for topic in topics.ALL:
        configs = {key: value for key, value in _configs(topic, Settings()).items() if (key, value) != ("cleanup.policy", "delete")}
        declared[topic.name] = (topic.partitions, {f"{key}={value}" for key, value in configs.items()})
    assert stated == declared


def test_paths_exist_and_what_the_commands_make_is_never_committed() -> None:
    paths = set(re.findall(r"(?<![\w/.])((?:deploy|tests)/[\w./-]+)", README))
    assert len(paths) > 3
    made = {f"deploy/{name}" for name in (DEPLOY / ".gitignore").read_text().splitlines() if not name.startswith("#")}
    assert made <= paths, "each is made by a command of the runbook"
    paths -= made
    assert [path for path in paths if not (REPOSITORY / path.rstrip("./")).exists()] == []


def test_the_measured_figures_are_in_the_history() -> None:
    history = (REPOSITORY / "tests" / "bench" / "HISTORY.md").read_text()
    for stated, measured in [
        ("110 µs", "110 µs"),
        ("350 µs", "350 µs"),
        ("11,200 phones", "11,2"),
        ("1.5 s and 2.1 s", "1,475 / 2,120"),
        ("1.8 s", "1,817"),
    ]:
        assert stated in README and measured in history
