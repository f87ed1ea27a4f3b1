"""Settings of the command line: who wins, what is masked, and what a wrong one says."""

from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr

from streams.settings import Settings
from workers.cli import read_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without gaitstream.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "environment", "file", "expected"),
    [
        (None, None, None, "127.0.0.1:9092"),  # the default
        (None, None, "toml:1", "toml:1"),  # the file beats the default
        (None, "env:1", "toml:1", "env:1"),  # the environment beats the file
        ("cli:1", "env:1", "toml:1", "cli:1"),  # the command line beats all
        ("cli:1", None, "toml:1", "cli:1"),  # also without the environment
        (None, "env:1", None, "env:1"),  # also without a file
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_precedence(
    given: str | None, environment: str | None, file: str | None, expected: str, named: bool, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is gaitstream.toml in the working folder, or the one that --config names."""
    path = nowhere / ("other.toml" if named else "gaitstream.toml")
    if file or named:
        path.write_text(f'bootstrap = "{file}"\n' if file else "")
    if environment:
        monkeypatch.setenv("GAITSTREAM_BOOTSTRAP", environment)
    assert read_settings(path if named else None, bootstrap=given).bootstrap == expected


def test_a_named_file_replaces_the_one_in_the_folder(nowhere: Path) -> None:
    (nowhere / "gaitstream.toml").write_text('bootstrap = "here:1"\nmax_batch = 7\n')
    (nowhere / "other.toml").write_text('bootstrap = "other:1"\n')
    settings = read_settings(nowhere / "other.toml")
    assert (settings.bootstrap, settings.max_batch) == ("other:1", Settings.model_fields["max_batch"].default)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("GAITSTREAM_THREADS", "2", "threads", 2),  # a number
        ("GAITSTREAM_TARGET_FPIR", "0.001", "target_fpir", 0.001),  # a share
        ("GAITSTREAM_TOPIC_PARTITIONS", '{"gait.imu.raw": 3}', "topic_partitions", {"gait.imu.raw": 3}),  # a table is JSON
        ("GAITSTREAM_DATA_DIR", "/somewhere", "data_dir", Path("/somewhere")),  # a path
    ],
)
def test_variables_of_every_kind(name: str, text: str, field: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(read_settings(), field) == value


SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None]


def test_passwords_and_tokens_are_secrets() -> None:
    looks_secret = [
        name
        for name in Settings.model_fields
        if any(word in name for word in ("password", "token", "secret", "_key")) and not name.endswith("_file")
    ]
    assert SECRETS == looks_secret != []


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked_wherever_settings_are_printed(name: str) -> None:
    settings = Settings(**{name: "swordfish"})  # type: ignore[arg-type]
    assert getattr(settings, name).get_secret_value() == "swordfish"
    assert "swordfish" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("environment", "file", "given", "says"),
    [
        ({"GAITSTREAM_THREADS": "many"}, None, {}, ["threads", "integer", "many"]),  # not a number
        ({"GAITSTREAM_THREADS": "0"}, None, {}, ["threads", "greater than or equal to 1"]),  # out of range
        ({"GAITSTREAM_TOPIC_PARTITIONS": "{"}, None, {}, ["topic_partitions"]),  # not JSON
        ({}, "bootstarp = 'x:1'", {}, ["bootstarp"]),  # a misspelt key
        ({}, "bootstrap = x", {}, ["line 1"]),  # not TOML
        ({}, "target_fpir = 0.7", {}, ["target_fpir", "less than 0.5"]),  # out of range in a file
        ({}, None, {"log_format": "xml"}, ["log_format", "'json' or 'console'"]),  # a wrong choice on the command line
        ({}, None, {"bootstrap": "nonsense"}, ["bootstrap", "HOST:PORT", "nonsense"]),  # not an address
    ],
)
def test_a_wrong_setting_is_named_in_a_sentence(
    environment: dict[str, str], file: str | None, given: dict[str, str], says: list[str],
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if file:
        (nowhere / "gaitstream.toml").write_text(file)
    with pytest.raises(typer.Exit) as raised:
        read_settings(**given)
    said = capsys.readouterr().err
    assert raised.value.exit_code == 2
    assert [word for word in ["settings: ", *says] if word not in said] == []
    assert "http" not in said and "Traceback" not in said


def test_what_was_given_reaches_a_child_process(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's settings as variables: read again they are the same, whichever source they came from."""
    (nowhere / "one.toml").write_text('target_fpir = 0.001\napi_token = "swordfish"\n[topic_partitions]\n"gait.imu.raw" = 3\n')
    settings = read_settings(nowhere / "one.toml", bootstrap="cli:1")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert read_settings().model_dump() == settings.model_dump()


def test_a_missing_file_is_named(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised:
        read_settings(nowhere / "absent.toml")
    assert raised.value.exit_code == 2
    assert "there is no settings file" in capsys.readouterr().err


def test_a_wrong_secret_is_not_printed(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "gaitstream.toml").write_text("api_token = 271828\n")  # a number where a text belongs
    with pytest.raises(typer.Exit):
        read_settings()
    said = capsys.readouterr().err
    assert "api_token" in said and "271828" not in said
