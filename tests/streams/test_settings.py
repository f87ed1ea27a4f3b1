"""Settings: precedence, secrets, and words for what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from streams import topics
from streams.settings import Settings


def test_given_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.toml"
    file.write_text('bootstrap = "file:1"\ngroup_prefix = "file"\nthreads = 3\n')
    assert Settings.read(file).bootstrap == "file:1"
    monkeypatch.setenv("GAITSTREAM_BOOTSTRAP", "environment:1")
    monkeypatch.setenv("GAITSTREAM_GROUP_PREFIX", "environment")
    read = Settings.read(file, bootstrap="given:1")
    assert (read.bootstrap, read.group_prefix, read.threads) == ("given:1", "environment", 3)
    assert read.max_batch == Settings.model_fields["max_batch"].default


def test_a_file_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gaitstream.toml").write_text('extractor = "mine"\n[topic_partitions]\n"gait.imu.raw" = 24\n')
    read = Settings.read()
    assert read.extractor == "mine"
    assert read.partitions(topics.IMU_RAW) == 24
    assert read.partitions(topics.GALLERY) == 1


def test_secrets_are_masked_in_print_and_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITSTREAM_SASL_PASSWORD", "hunter2")
    read = Settings.read(security_protocol="SASL_SSL", sasl_username="gait", api_token="t0ken")
    assert "hunter2" not in f"{read!r} {read} {read.model_dump_json()}"
    assert "t0ken" not in f"{read!r} {read}"
    arguments = read.kafka()
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("gait", "hunter2")
    assert arguments["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"no_such_setting": 1}, "no_such_setting"),  # a typing error must not pass as a default
        ({"max_batch": 0}, "max_batch"),
        ({"session_timeout_s": -1}, "session_timeout_s"),
        ({"target_fpir": 0.9}, "target_fpir"),
        ({"http_port": 70_000}, "http_port"),
        ({"topic_partitions": {"gait.imu.raw": 0}}, "topic_partitions"),
        ({"topic_replication": 0}, "topic_replication"),
        ({"topic_partitions": {"gait.gallery": 2}}, "gait.gallery has one partition"),  # its readers want all of it
        ({"security_protocol": "plain"}, "security_protocol"),
        ({"log_level": "loud"}, "log_level"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.read(**given)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml"):
        Settings.read(tmp_path / "nowhere.toml")
