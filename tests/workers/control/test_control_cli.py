"""`gaitstream enrol` and `gaitstream gallery ...` as a person or a script types them: what is printed, the exit codes, the audit trail."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams import topics
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess
from tests.workers.control.plane import SPACE, Plane, run
from workers.cli import main
from workers.control.export import export_lines

Walked = Callable[..., tuple[str, str, dict[str, Any]]]

# What the command line adds does not depend on the broker.
embedded = pytest.mark.parametrize("bootstrap", ["embedded"], indirect=True)


def gaitstream(plane: Plane, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in a process of its own."""
    command = [sys.executable, "-m", "workers.cli", "--bootstrap", plane.settings.bootstrap, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def enrolled(plane: Plane, walked: Walked, *more: object) -> tuple[str, dict[str, Any]]:
    """Somebody whom the command line has enrolled, and what it printed."""
    subject, device, arguments = walked(20)
    stretch = ("--from", arguments["from_ns"], "--to", arguments["to_ns"])
    code, out, err = gaitstream(plane, "enrol", subject, "--device", device, *stretch, *more, "--json")
    assert code == 0, err
    return subject, json.loads(out)


@embedded
def test_enrol_list_show_rename_consent_and_merge(plane: Plane, walked: Walked) -> None:
    subject, reply = enrolled(plane, walked, "--consent", "gate 3", "--expires", "2099-01-01T00:00:00+00:00")
    assert (reply["templates"], reply["windows"], reply["space"]) == (1, 20, SPACE)
    (template,) = plane.gallery(subject)
    assert (template.consent, template.expires_ns) == ("gate 3", 4_070_908_800 * 10**9)
    code, out, _ = gaitstream(plane, "gallery", "list")
    assert code == 0 and subject in out and "2099-01-01T00:00:00+00:00" in out
    code, out, _ = gaitstream(plane, "gallery", "show", subject)
    shown = json.loads(out)
    assert code == 0 and shown["consent"] == ["gate 3"] and "vector" not in shown
    code, out, _ = gaitstream(plane, "gallery", "rename", subject, f"{subject} B")
    assert code == 0 and "done" in out
    other, _ = enrolled(plane, walked)
    assert gaitstream(plane, "gallery", "consent", f"{subject} B", "--text", "gate 4")[0] == 0
    assert gaitstream(plane, "gallery", "merge", f"{subject} B", other)[0] == 0
    rows = json.loads(gaitstream(plane, "gallery", "list", "--json")[1])
    assert [row["consent"] for row in rows if row["subject"] == other] == [["", "gate 4"]]
    assert subject not in {row["subject"] for row in rows} and f"{subject} B" not in {row["subject"] for row in rows}
    actions = [(entry.action, entry.actor.partition(":")[0]) for entry in plane.audit() if entry.subject == subject]
    assert actions == [("enrol", "cli"), ("show", "cli"), ("rename", "cli")]


@embedded
def test_export_erase_and_import(plane: Plane, walked: Walked, tmp_path: Path) -> None:
    subject, _ = enrolled(plane, walked)
    before = plane.gallery(subject)
    file = tmp_path / "gallery.jsonl"
    assert gaitstream(plane, "gallery", "export", file)[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "biometric data is for its owner"
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.jsonl"]
    code, out, _ = gaitstream(plane, "gallery", "erase", subject, "--json")
    receipt = {row["topic"]: row for row in json.loads(out)["receipt"]}
    assert code == 0 and not plane.gallery(subject)
    assert receipt["gait.gallery"]["removed"] == 1 and receipt["gait.embeddings"]["found"] == 20
    assert receipt.keys() == {topic.name for topic in topics.ALL}
    head, *lines = file.read_text().splitlines()
    ours = [line for line in lines if json.loads(line)["subject"] == subject]
    file.write_text("\n".join([json.dumps(json.loads(head) | {"templates": len(ours)}), *ours]))
    code, out, _ = gaitstream(plane, "gallery", "import", file)
    assert code == 0 and "1 templates of 1 people" in out
    assert [t.to_bytes() for t in plane.gallery(subject)] == [t.to_bytes() for t in before]
    code, out, _ = gaitstream(plane, "gallery", "erase", subject, "--cut")
    assert code == 0 and "gait.embeddings" in out and "leaves with its retention" in out, "a receipt that a person can read"


@embedded
def test_replace_and_last(plane: Plane, walked: Walked) -> None:
    subject, device, _ = walked(30)
    for options in (("--last", 20), ("--replace",)):
        code, out, err = gaitstream(plane, "enrol", subject, "--device", device, *options, "--json")
        assert code == 0, err
    assert json.loads(out)["replaced"] == 1 and [t.windows for t in plane.gallery(subject)] == [30]


REFUSED = [
    # arguments; exit code, and what the sentence says
    (("gallery", "show", "Nobody"), 1, "nobody is enrolled as Nobody"),
    (("gallery", "erase", "Nobody"), 1, "nobody is enrolled as Nobody"),
    (("gallery", "rename", "a/b", "c"), 1, "subject"),  # no name; refused before anything is published
    (("gallery", "consent", "Nobody"), 1, "give consent"),
    (("enrol", "Ada", "--device", "silent phone"), 1, "no walking of silent phone"),
    (("enrol", "Ada", "--device", "x", "--from", "noon"), 1, "ISO time"),
    (("enrol", "Ada", "--device", "x", "--last", "0"), 2, "--last"),
    (("enrol", "Ada"), 2, "--device"),
    (("gallery", "import", "absent.jsonl"), 2, "absent.jsonl"),
    (("gallery", "import", "binary.jsonl"), 1, "cannot be read"),
    (("gallery", "import", "text.jsonl"), 1, "line 1"),
    (("gallery", "export", "no/such/folder.jsonl"), 1, "cannot be written"),
]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The entry point itself, without the second that a new process takes."""

    def call(bootstrap: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["gaitstream", "--bootstrap", bootstrap, *map(str, arguments)])
        with pytest.raises(SystemExit) as raised:
            main()
        captured = capsys.readouterr()
        return int(raised.value.code or 0), captured.out, captured.err

    return call


@embedded
@pytest.mark.parametrize(("arguments", "code", "sentence"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_a_refusal_is_a_sentence_and_an_exit_code(
    plane: Plane,
    in_process: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "text.jsonl").write_text("hello\n")
    monkeypatch.chdir(tmp_path)
    got, out, err = in_process(plane.settings.bootstrap, *arguments)
    assert (got, sentence in err) == (code, True), err
    assert not out, "nothing that a script could take for a result"


NO_TOPICS = [
    ("gallery", "rename", "A", "B"),
    ("gallery", "list", "--json"),
    ("gallery", "export", "x.jsonl"),
    ("gallery", "import", "e.jsonl"),
]


def test_where_no_worker_has_run_yet(
    in_process: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No topics: a sentence at once; a producer would wait for the topic for minutes."""
    (tmp_path / "e.jsonl").write_text("\n".join(export_lines([])))
    monkeypatch.chdir(tmp_path)
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        for arguments in NO_TOPICS:
            code, out, err = in_process(broker.bootstrap, *arguments)
            assert (code, out) == (1, "") and "start a control worker first" in err, (arguments, out, err)
    assert not (tmp_path / "x.jsonl").exists()


def test_no_reply_is_told_in_time(in_process: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics, but no control worker."""
    monkeypatch.setattr("workers.cli.gallery.ANSWER_WITHIN_S", 1.0)
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        run(ensure_topics(Settings(bootstrap=broker.bootstrap)))
        code, out, err = in_process(broker.bootstrap, "gallery", "rename", "A", "B")
    assert (code, out) == (1, "") and "is a control worker running?" in err
