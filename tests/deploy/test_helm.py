"""The chart by Helm itself: linted, rendered for three sites, checked against Kubernetes' schemas, and compared with the code."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import topics
from streams.seal import FORBIDDEN_MODE
from streams.settings import Settings
from tests.deploy.tools import DEPLOY, helm, package, program, run
from workers.supervisor import ROLES, STOP_WITHIN_S

CHART = DEPLOY / "helm" / "gaitstream"
SITES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
KUBERNETES = "1.33"
OPERATORS_KINDS = {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}
"""Kinds of KEDA and of the Prometheus operator, whose schemas no package has; what matters of them is compared below."""

Manifests = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    return helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def rendered(binary: str) -> dict[str, Manifests]:
    """Manifests by site and kind."""
    found: dict[str, Manifests] = {}
    for site in SITES:
        text = run(binary, "template", "gs", CHART, "--kube-version", f"{KUBERNETES}.0", "-f", CHART / "ci" / f"{site}.yaml")
        for manifest in filter(None, yaml.safe_load_all(text)):
            found.setdefault(site, {}).setdefault(manifest["kind"], []).append(manifest)
    return found


def pods(manifests: Manifests) -> dict[str, dict[str, Any]]:
    """Pod specification by role."""
    owners = manifests["Deployment"] + manifests["StatefulSet"]
    return {o["metadata"]["labels"]["app.kubernetes.io/component"]: o["spec"]["template"]["spec"] for o in owners}


@pytest.mark.parametrize("site", SITES)
def test_lint(binary: str, site: str) -> None:
    run(binary, "lint", "--strict", "--kube-version", f"{KUBERNETES}.0", CHART, "-f", CHART / "ci" / f"{site}.yaml")


@pytest.mark.parametrize("site", SITES)
def test_kubernetes_accepts_what_is_rendered(rendered: dict[str, Manifests], site: str) -> None:
    package("kubernetes_validate", "kubernetes-validate==1.37.0")
    import kubernetes_validate

    for manifest in (manifest for manifests in rendered[site].values() for manifest in manifests):
        if manifest["kind"] not in OPERATORS_KINDS:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("site", SITES)
def test_every_role_runs_guarded_with_settings_that_exist(rendered: dict[str, Manifests], site: str) -> None:
    specs = pods(rendered[site])
    assert set(specs) == set(ROLES)
    for role, spec in specs.items():
        (container,) = spec["containers"]
        assert container["args"] == ["worker", role]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        security = container["securityContext"]
        assert (
            security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"] and security["capabilities"]["drop"] == ["ALL"]
        )
        assert spec["terminationGracePeriodSeconds"] > STOP_WITHIN_S, "a stop finishes the batch and commits"
        assert spec["automountServiceAccountToken"] is False
        paths = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
        names = [entry["name"].removeprefix("GAITSTREAM_").lower() for entry in container["env"]]
        assert set(names) <= set(Settings.model_fields) and len(set(names)) == len(names)
        values = {e["name"].removeprefix("GAITSTREAM_").lower(): e["value"] for e in container["env"] if "value" in e}
        Settings(**values)  # each value is accepted
        secret = {name for name in names if "password" in name or "token" in name}
        assert not secret & set(values), "secrets come from secrets"
        port = container["ports"][0]["containerPort"]
        assert str(port) == values["api_port" if role == "control" else "http_port"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claims = {c["metadata"]["name"] for s in rendered[site]["StatefulSet"] for c in s["spec"]["volumeClaimTemplates"]}
        assert mounted - {volume["name"] for volume in spec["volumes"]} <= (claims if role == "control" else set())


def test_only_who_seals_and_opens_gets_the_keys_and_their_file_is_private(rendered: dict[str, Manifests]) -> None:
    for site in SITES:
        for role, spec in pods(rendered[site]).items():
            names = {entry["name"] for entry in spec["containers"][0]["env"]}
            volumes = {volume["name"]: volume for volume in spec["volumes"]}
            wanted = site == "external-kafka-sasl-tls" and role in ("identity", "control")
            assert ("GAITSTREAM_SEAL_KEY_FILE" in names, "seal" in volumes) == (wanted, wanted), (site, role)
            assert not wanted or volumes["seal"]["secret"]["defaultMode"] & FORBIDDEN_MODE == 0


def kafka_secrets(manifest: dict[str, Any]) -> set[str]:
    """Names of secrets for signing in to Kafka, wherever they stand in a manifest."""
    return set(re.findall(r"\bgaitstream-kafka[\w-]*", json.dumps(manifest)))


def test_each_role_signs_in_to_kafka_as_itself(rendered: dict[str, Manifests], binary: str) -> None:
    assert {role: kafka_secrets(spec) for role, spec in pods(rendered["external-kafka-sasl-tls"]).items()} == {
        role: {f"gaitstream-kafka-{role}"} for role in ROLES
    }
    site = CHART / "ci" / "external-kafka-sasl-tls.yaml"
    text = run(binary, "template", "gs", CHART, "--kube-version", f"{KUBERNETES}.0", "-f", site, "--set", "kafka.secretPerRole=false")
    assert kafka_secrets({"all": text}) == {"gaitstream-kafka"}, "or all of them with the same"


def test_keda_signs_in_as_the_role_whose_group_it_looks_at(rendered: dict[str, Manifests]) -> None:
    manifests = rendered["external-kafka-sasl-tls"]
    authentication = {a["metadata"]["name"]: kafka_secrets(a) for a in manifests["TriggerAuthentication"]}
    used = {
        trigger["metadata"]["consumerGroup"].removeprefix("gait-prod-"): authentication[trigger["authenticationRef"]["name"]]
        for scaled in manifests["ScaledObject"]
        for trigger in scaled["spec"]["triggers"]
    }
    assert used == {role: {f"gaitstream-kafka-{role}"} for role in ROLES if role != "control"}


@pytest.mark.parametrize("site", SITES)
def test_guards_select_the_pods_they_are_for(rendered: dict[str, Manifests], site: str) -> None:
    labels = [o["spec"]["template"]["metadata"]["labels"] for kind in ("Deployment", "StatefulSet") for o in rendered[site][kind]]
    guards = [(g, g["spec"]["selector"]["matchLabels"]) for g in rendered[site]["PodDisruptionBudget"]]
    guards += [(g, g["spec"]["podSelector"]["matchLabels"]) for g in rendered[site].get("NetworkPolicy", [])]
    guards += [(g, g["spec"]["selector"]) for g in rendered[site]["Service"]]
    for guard, selector in guards:
        assert sum(selector.items() <= own.items() for own in labels) == 1, guard["metadata"]["name"]
    assert len(rendered[site]["PodDisruptionBudget"]) == len(ROLES)


def test_scaling_follows_the_topics_and_groups_of_the_code(rendered: dict[str, Manifests]) -> None:
    partitions = {topic.name: topic.partitions for topic in topics.ALL}
    reads = {
        "inertial": [topics.IMU_RAW.name],
        "camera": [topics.CAMERA_FRAMES.name],
        "identity": [topics.SAMPLES_INERTIAL.name, topics.SAMPLES_CAMERA.name],
    }
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values["roles"]) == set(ROLES) - {"control"}
    for role, of in values["roles"].items():
        assert of["topics"] == reads[role]
        assert of["maxReplicas"] <= min(partitions[topic] for topic in of["topics"])
    scaled = {s["metadata"]["name"]: s["spec"] for s in rendered["external-kafka-sasl-tls"]["ScaledObject"]}
    deployments = {d["metadata"]["name"]: d for d in rendered["external-kafka-sasl-tls"]["Deployment"]}
    assert set(scaled) == set(deployments) == {spec["scaleTargetRef"]["name"] for spec in scaled.values()}
    for name, spec in scaled.items():
        trigger = spec["triggers"][-1]["metadata"]
        role = deployments[name]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        assert trigger["consumerGroup"] == Settings(group_prefix="gait-prod").group(role)
        assert trigger["sasl"] == "scram_sha512" and trigger["tls"] == "enable"
        assert "replicas" not in deployments[name]["spec"], "KEDA and Helm would fight over it"


def test_keda_asks_prometheus_for_a_metric_that_exists(rendered: dict[str, Manifests]) -> None:
    for scaled in rendered["gpu"]["ScaledObject"]:
        trigger = scaled["spec"]["triggers"][0]
        assert trigger["type"] == "prometheus"
        assert re.fullmatch(r'sum\(gaitstream_lag_messages\{role="\w+",topic="gait[\w.]+"\}\)', trigger["metadata"]["query"])


def test_a_gpu_is_asked_for_and_used(rendered: dict[str, Manifests]) -> None:
    for role, spec in pods(rendered["gpu"]).items():
        (container,) = spec["containers"]
        device = {e["name"]: e.get("value") for e in container["env"]}["GAITSTREAM_DEVICE"]
        assert (container["resources"]["limits"].get("nvidia.com/gpu"), device) == ((None, "cpu") if role == "control" else (1, "cuda"))
        assert bool(spec.get("nodeSelector")) == (role != "control")


def test_one_node_needs_no_operator(rendered: dict[str, Manifests]) -> None:
    assert not OPERATORS_KINDS & set(rendered["cpu-single-node"])


def test_rules_and_dashboards_are_the_same_as_in_compose(rendered: dict[str, Manifests], tmp_path: Path) -> None:
    manifests = rendered["external-kafka-sasl-tls"]
    for rule in manifests["PrometheusRule"]:
        file = tmp_path / f"{rule['metadata']['name']}.yml"
        file.write_text(yaml.safe_dump(rule["spec"]))
        run(program("promtool"), "check", "rules", file)
        assert "localhost" not in file.read_text(), "links go to this site's Grafana"
        assert rule["metadata"]["labels"]["release"] == "prometheus"
    shipped = {path.name: json.loads(path.read_text()) for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for m in manifests["ConfigMap"] for name, text in m["data"].items()} == shipped


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("kafka.bootstrap=nowhere", "bootstrap"),  # no port
        ("kafka.securityProtocol=SASL_SSL", "existingSecret"),  # TLS and passwords need a secret
        ("settings.API_TOKEN=x", "settings"),  # secrets do not belong into values
        ("roles.inertial.minReplicas=0", "minReplicas"),  # nobody would measure the lag
        ("rolls.inertial.gpu=1", "rolls"),  # a typing error
        ("keda.trigger=cpu", "trigger"),  # the network waits for messages, its load says nothing of the backlog
    ],
)
def test_values_that_cannot_work_are_refused(binary: str, given: str, why: str) -> None:
    done = subprocess.run([binary, "template", "gs", str(CHART), "--set", given], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and why in done.stderr
