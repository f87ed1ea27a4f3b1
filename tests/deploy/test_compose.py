"""`deploy/compose.yaml`, the image and Prometheus agree with each other and with the settings and roles of the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from streams import topics
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.deploy.tools import DEPLOY, package
from tests.support.brokers import BrokerProcess, broker_kinds
from workers.supervisor import ROLES

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml, anchors and merges resolved."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def port_of(service: dict[str, Any], role: str) -> int:
    """Where the role serves /metrics inside its container."""
    return int(service["environment"]["GAITSTREAM_API_PORT" if role == "control" else "GAITSTREAM_HTTP_PORT"])


def test_there_is_one_service_per_role_and_what_they_need(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "prometheus", "alertmanager", "node", "grafana", *ROLES}
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
    """Relabelling as Prometheus does it: the name of the service becomes the job, and the control plane's port is another."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "gaitstream"]
    (discovery,) = job["dns_sd_configs"]
    for role in ROLES:
        labels = {"__meta_dns_name": role, "__address__": f"10.0.0.7:{discovery['port']}"}
        for rule in job["relabel_configs"]:
            if found := re.fullmatch(rule.get("regex", "(.*)"), ";".join(labels[name] for name in rule["source_labels"])):
                labels[rule["target_label"]] = re.sub(r"\$\{?(\d)\}?", lambda m: found[int(m[1])], rule.get("replacement", "$1"))
        assert labels["job"] == role
        assert labels["__address__"] == f"10.0.0.7:{port_of(services[role], role)}"


def test_other_targets_and_the_alertmanager_are_services_at_their_ports(services: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    static = [job["static_configs"] for job in config["scrape_configs"] if "static_configs" in job]
    static += [manager["static_configs"] for manager in config["alerting"]["alertmanagers"]]
    for target in (target for configs in static for each in configs for target in each["targets"]):
        host, port = target.split(":")
        if host != "localhost":
            ports = [p.split(":")[-1] for p in services[host].get("ports", [])] + services[host].get("expose", [])
            assert port in ports, target


def test_what_is_mounted_exists_and_every_named_volume_is_declared(services: dict[str, Any]) -> None:
    declared = set(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["volumes"])
    used = set()
    for service in services.values():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("/"):
                used.add(source)
    assert used == declared


def test_every_service_has_limits_restarts_and_rotated_logs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name
    for role in ROLES:
        assert services[role]["read_only"] and services[role]["cap_drop"] == ["ALL"]
    for name in ("kafka", "prometheus", "alertmanager", "grafana", "control"):
        assert services[name]["healthcheck"]["test"][0] == "CMD", name


def test_the_compose_specification_accepts_it() -> None:
    package("compose_spec", "compose-spec==0.2.1")
    import compose_spec

    text = yaml.safe_dump(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))  # this parser knows no merge keys
    compose = compose_spec.PyCompose.from_yaml(text)
    assert set(compose.to_spec().services) == set(yaml.safe_load(text)["services"])
    with pytest.raises(Exception, match=r"."):  # the parser does refuse: a typing error in a key
        compose_spec.PyCompose.from_yaml(text.replace("healthcheck:", "healthchek:"))


def test_ports_of_image_bootstrap_and_health_checks_agree(services: dict[str, Any]) -> None:
    exposed = {int(port) for port in re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split()}
    assert exposed == {port_of(services[role], role) for role in ROLES}
    for role in set(ROLES) - {"control"}:  # these use the health check of the image, which reads the variable
        assert "healthcheck" not in services[role]
    assert f":{port_of(services['control'], 'control')}/healthz" in " ".join(services["control"]["healthcheck"]["test"])
    advertised = dict(entry.split("://") for entry in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert {services[role]["environment"]["GAITSTREAM_BOOTSTRAP"] for role in ROLES} == {advertised["INSIDE"]}
    assert services["kafka"]["ports"] == [f"127.0.0.1:{advertised['OUTSIDE'].split(':')[1]}:9092"]


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
