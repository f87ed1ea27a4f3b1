"""`gaitstream doctor` says in words what is wrong: each case with a real broker in that state, or none."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from models.registry import WEIGHTS_DIR
from streams.clients import producer_of
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import ALL, CO_PARTITIONED, IMU_RAW
from tests.support.brokers import BrokerProcess, create_topic
from workers import doctor
from workers.cli import app
from workers.doctor import Finding, examine

NO_BROKER = "127.0.0.1:1"


def about(findings: list[Finding], what: str) -> Finding:
    """The finding about one thing."""
    (finding,) = [f for f in findings if f.what == what]
    return finding


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """An embedded broker; tests leave topics in it in the order in which they stand here."""
    with BrokerProcess("embedded", tmp_path_factory.mktemp("doctor")) as process:
        yield process


async def test_no_broker() -> None:
    findings = await examine(Settings(bootstrap=NO_BROKER))
    finding = about(findings, "broker")
    assert (finding.state, NO_BROKER in finding.text) == ("wrong", True)
    assert "gaitstream up" in finding.remedy and "GAITSTREAM_BOOTSTRAP" in finding.remedy
    assert [f for f in findings if f.state == "wrong"] == [finding], "the rest of this installation is fine"


async def test_a_broker_without_topics_is_no_error(broker: BrokerProcess) -> None:
    finding = about(await examine(Settings(bootstrap=broker.bootstrap)), "topics")
    assert (finding.state, IMU_RAW.name in finding.text) == ("note", True)
    assert "workers create them" in finding.remedy


async def test_all_is_well(broker: BrokerProcess) -> None:
    settings = Settings(bootstrap=broker.bootstrap)
    await ensure_topics(settings)
    findings = await examine(settings)
    assert [f for f in findings if f.state == "wrong"] == []
    assert about(findings, "topics").text == f"all {len(ALL)} are there"
    assert about(findings, "clock").state == "fine"


async def test_a_clock_that_is_behind_the_messages(broker: BrokerProcess) -> None:
    settings = Settings(bootstrap=broker.bootstrap)
    await ensure_topics(settings)
    producer = producer_of(settings)
    await producer.start()
    try:
        await producer.send_and_wait(IMU_RAW.name, b"", key=b"phone", timestamp_ms=round((time.time() + 90) * 1000))
    finally:
        await producer.stop()
    finding = about(await examine(settings), "clock")
    assert finding.state == "wrong"
    assert 80 < float(finding.text.split(" s in the future")[0].rsplit(" ", 1)[1]) <= 90
    assert "NTP" in finding.remedy


async def test_a_topic_with_other_partitions(tmp_path: Path) -> None:
    with BrokerProcess("embedded", tmp_path) as other:
        await create_topic(other.bootstrap, IMU_RAW.name, partitions=3)
        settings = Settings(bootstrap=other.bootstrap, topic_partitions={topic.name: 3 for topic in CO_PARTITIONED})
        await ensure_topics(settings)
        assert about(await examine(settings), "topics").state == "fine", "three were asked for"
        finding = about(await examine(Settings(bootstrap=other.bootstrap)), "topics")
    assert (finding.state, f"topic {IMU_RAW.name} has 3 partitions, expected 12" in finding.text) == ("wrong", True)
    assert "GAITSTREAM_TOPIC_PARTITIONS" in finding.remedy


SEALING = [
    ({}, "note", "lie in the clear"),
    ({"seal_key": "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, "fine", "under a"),
    (
        {"seal_key": "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "seal_accept_unsealed": True},
        "note",
        "values in the clear are read too",
    ),
    ({"seal_key": "a AAEC"}, "wrong", "32 bytes"),
    ({"seal_key_file": "/nowhere/keys"}, "wrong", "cannot be read"),
]


@pytest.mark.parametrize(("given", "state", "said"), SEALING)
async def test_whether_templates_are_sealed(given: dict[str, Any], state: str, said: str) -> None:
    finding = about(await examine(Settings(bootstrap=NO_BROKER, **given)), "sealing")
    assert finding.state == state and said in finding.text
    assert "AAEC" not in finding.text


def remove(weights: Path) -> None:
    weights.unlink()


def truncate(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("what", "harm", "says"),
    [
        ("extractor", remove, "no weights"),  # an incomplete folder
        ("embedder", truncate, "SHA-256 differs"),  # an interrupted download
    ],
)
async def test_weights_that_are_missing_or_broken(what: str, harm: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    weights_dir = tmp_path / "weights"
    shutil.copytree(WEIGHTS_DIR, weights_dir)
    for weights in weights_dir.glob("*.safetensors"):
        harm(weights)
    finding = about(await examine(Settings(bootstrap=NO_BROKER, weights_dir=weights_dir)), what)
    assert (finding.state, says in finding.text) == ("wrong", True)
    assert "gaitstream models list" in finding.remedy


async def test_a_network_that_does_not_exist() -> None:
    finding = about(await examine(Settings(bootstrap=NO_BROKER, embedder="gait-lstm")), "embedder")
    assert finding.state == "wrong"
    assert "gait-lstm" in finding.text and "gait-tcn" in finding.text, "it names what there is"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
async def test_a_gpu_that_is_asked_for_and_not_there() -> None:
    assert about(await examine(Settings(bootstrap=NO_BROKER)), "GPU").state == "note"
    finding = about(await examine(Settings(bootstrap=NO_BROKER, device="cuda")), "GPU")
    assert (finding.state, "GAITSTREAM_DEVICE" in finding.text) == ("wrong", True)


async def test_packages_that_are_wrong_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", {"aiokafka": ("0.10", "0.11"), "not-a-package": ("1", "2")})
    findings = await examine(Settings(bootstrap=NO_BROKER))
    assert about(findings, "aiokafka").remedy == "install aiokafka>=0.10,<0.11"
    assert about(findings, "not-a-package").text == "is not installed"
    assert {about(findings, name).state for name in doctor.NEEDED} == {"wrong"}


async def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder need not exist yet: the disk that it will be on counts."""
    monkeypatch.setattr(doctor, "LEAST_FREE_GB", shutil.disk_usage(tmp_path).total / 1e9)
    finding = about(await examine(Settings(bootstrap=NO_BROKER, data_dir=tmp_path / "not" / "yet")), "disk")
    assert (finding.state, "GB free" in finding.text) == ("wrong", True)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_code_and_both_forms(as_json: bool, broker: BrokerProcess) -> None:
    arguments = ["doctor", *(["--json"] if as_json else [])]
    bad = CliRunner().invoke(app, ["--bootstrap", NO_BROKER, *arguments])
    assert bad.exit_code == 1
    if as_json:
        rows = json.loads(bad.stdout)
        assert {row["what"] for row in rows} >= {"Python", "broker", "extractor", "embedder"}
        assert [row["what"] for row in rows if row["state"] == "wrong"] == ["broker"]
    else:
        (line,) = [line for line in bad.stdout.splitlines() if line.startswith("wrong")]
        assert NO_BROKER in line
        assert bad.stdout.splitlines()[-1].strip().startswith("→"), "what would mend it follows"


def test_python_is_named() -> None:
    assert doctor._python().text == ".".join(map(str, sys.version_info[:3]))
