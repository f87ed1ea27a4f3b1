"""`deploy/compose.yaml`, the image and Prometheus agree with each other and with the settings and roles of the code."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from streams import topics
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds
from workers.supervisor import ROLES

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml, anchors and merges resolved."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def port_of(service: dict[str, Any], role: str) -> int:
    """Where the role serves /metrics inside its container."""
    return int(service["environment"]["GAITSTREAM_API_PORT" if role == "control" else "GAITSTREAM_HTTP_PORT"])


def test_there_is_one_service_per_role_and_what_they_need(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "prometheus", "grafana", *ROLES}
    for role in ROLES:
        assert services[role]["command"] == ["worker", role]
        assert services[role]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert re.fullmatch(r"apache/kafka:4\.\d+\.\d+", services["kafka"]["image"])


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_no_image_is_taken_at_whatever_version_is_newest(services: dict[str, Any]) -> None:
    images = [service["image"] for role, service in services.items() if role not in ROLES]
    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_every_variable_is_a_setting_and_its_value_is_accepted(services: dict[str, Any]) -> None:
    given = [(name, value) for role in ROLES for name, value in services[role]["environment"].items()]
    given += re.findall(r"(GAITSTREAM_\w+)=(\S+)", DOCKERFILE)
    assert given
    for name, value in given:
        field = name.removeprefix("GAITSTREAM_").lower()
        assert field in Settings.model_fields, f"{name} is not a setting"
        if not value.startswith("${"):  # what the operator gives is not known here
            TypeAdapter(Settings.model_fields[field].annotation).validate_python(value)


def test_listening_beyond_loopback_comes_with_a_token(services: dict[str, Any]) -> None:
    for role in ROLES:
        environment = services[role]["environment"]
        assert environment["GAITSTREAM_HTTP_HOST"] == "0.0.0.0"
        # Compose refuses to start without it: `${NAME:?text}`.
        assert re.fullmatch(r"\$\{GAITSTREAM_API_TOKEN:\?.+\}", environment["GAITSTREAM_API_TOKEN"])


def test_prometheus_scrapes_the_port_that_each_role_serves(services: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    scraped = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    assert set(scraped) == set(ROLES)
    for role, target in scraped.items():
        assert target["names"] == [role], "the name of the service"
        assert target["port"] == port_of(services[role], role)


def test_ports_of_image_bootstrap_and_health_checks_agree(services: dict[str, Any]) -> None:
    exposed = {int(port) for port in re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split()}
    assert exposed == {port_of(services[role], role) for role in ROLES}
    for role in ("inertial", "identity"):  # these use the health check of the image, which reads the variable
        assert "healthcheck" not in services[role]
    assert f":{port_of(services['control'], 'control')}/healthz" in " ".join(services["control"]["healthcheck"]["test"])
    advertised = dict(entry.split("://") for entry in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert {services[role]["environment"]["GAITSTREAM_BOOTSTRAP"] for role in ROLES} == {advertised["INSIDE"]}
    assert services["kafka"]["ports"] == [f"127.0.0.1:{advertised['OUTSIDE'].split(':')[1]}:9092"]


def test_promtool_accepts_the_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("broker_kind", broker_kinds(embedded=False))
async def test_a_real_kafka_starts_with_these_settings(broker_kind: str, services: dict[str, Any], tmp_path: Path) -> None:
    """Kafka's image turns KAFKA_LOG_DIRS into log.dirs; addresses and folders are the machine's, the rest is as in compose.yaml."""
    addresses = {"NODE_ID", "PROCESS_ROLES", "LOG_DIRS", "CONTROLLER_QUORUM_VOTERS"}
    settings = {name.removeprefix("KAFKA_"): value for name, value in services["kafka"]["environment"].items()}
    kept = {name.lower().replace("_", "."): value for name, value in settings.items() if name not in addresses and "LISTENER" not in name}
    assert kept["auto.create.topics.enable"] == "false"
    extra = " ".join(f"{name}={value}" for name, value in kept.items())
    with BrokerProcess("kafka", tmp_path / "kafka", extra_env={"KAFKA_EXTRA": extra}) as broker:
        created = await ensure_topics(Settings(bootstrap=broker.bootstrap))
        assert set(created) == {topic.name for topic in topics.ALL}
