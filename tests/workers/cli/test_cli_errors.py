"""What a person sees when a command cannot do what it was asked: a sentence and an exit code, never a traceback."""

from pathlib import Path

import pytest

from workers.cli import main

NO_BROKER = "127.0.0.1:1"
"""Port 1 (tcpmux) is never served on a test machine, so a connection is refused at once."""


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and everything printed of the entry point itself."""
    monkeypatch.setattr("sys.argv", ["gaitstream", *arguments])
    with pytest.raises(SystemExit) as raised:
        main()
    captured = capsys.readouterr()
    code = raised.value.code
    return (0 if code is None else int(code)), captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["push", "imu", "absent.npz"], 1, "absent.npz: no such file"),
        (["deadletter", "show", "x"], 1, "PARTITION:OFFSET"),
        (["models", "show", "nothing"], 1, "there are walk-tcn, gait-tcn"),
        (["up", "--roles", "inertial,radar"], 2, "radar"),  # a role that does not exist is refused, not left out
        (["worker", "radar"], 2, "radar"),
        (["watch", "--from", "noon"], 2, "noon"),
        (["nothing"], 2, "nothing"),
        (["broker", "--data", "broker", "--host", "0.0.0.0", "--port", "0"], 1, "loopback"),
        (["--bootstrap", NO_BROKER, "watch"], 1, "no broker answers"),
        (["--bootstrap", NO_BROKER, "deadletter", "list"], 1, "no broker answers"),
        (["--bootstrap", NO_BROKER, "worker", "inertial"], 1, "no broker answers"),
        (["--bootstrap", "nonsense", "up", "--roles", "inertial"], 2, "HOST:PORT"),  # not an address at all
    ],
)
def test_a_refusal_is_a_sentence(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workers.logs.configure_logs", lambda *_: None)  # leaves the logging of the test run as it is
    found, said = run(arguments, monkeypatch, capsys)
    assert (found, says in said) == (code, True), said
    assert "Traceback" not in said
