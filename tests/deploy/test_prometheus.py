"""Prometheus' rules and Alertmanager's routes, by their own tools: syntax, every alert on its fault, who is told what."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics
from tests.deploy.tools import DEPLOY, program, run
from workers.health import STUCK_AFTER_S
from workers.supervisor import ROLES

PROMETHEUS = DEPLOY / "prometheus"
RULES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))}
ALERTS: list[dict[str, Any]] = [rule for group in RULES["alerts"]["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for group in RULES["recording"]["groups"] for rule in group["rules"]}
README = (DEPLOY / "README.md").read_text()


def series() -> set[str]:
    """Every time series that the metrics of streams/metrics.py make."""
    found = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric.describe()[0].name
            suffixes = ["_bucket", "_sum", "_count"] if isinstance(metric, Histogram) else ["_total"] if metric._type == "counter" else [""]
            found |= {name + suffix for suffix in suffixes}
    return found


def test_promtool_accepts_configuration_and_rules() -> None:
    assert "rules found" in run(program("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")
    run(program("promtool"), "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))


def test_each_alert_fires_on_its_fault_and_not_before() -> None:
    run(program("promtool"), "test", "rules", PROMETHEUS / "tests" / "alerts.test.yml")


def test_no_alert_is_without_such_a_test() -> None:
    tests = (PROMETHEUS / "tests" / "alerts.test.yml").read_text()
    patterns = re.findall(r'alertname=~?"([^"]+)"', tests)
    assert [a["alert"] for a in ALERTS if not any(re.fullmatch(pattern, a["alert"]) for pattern in patterns)] == []


def test_rules_ask_for_declared_metrics_only() -> None:
    text = "".join(path.read_text() for path in (PROMETHEUS / "rules").glob("*.yml"))
    used = {name for name in re.findall(r"\bgaitstream[_:][\w:]+", text) if not name.endswith("_ratio")}
    assert used - series() - RECORDED == set()


def test_stuck_means_the_same_as_in_healthz() -> None:
    (alert,) = [a for a in ALERTS if a["alert"] == "GaitstreamNoProgress"]
    assert f"> {STUCK_AFTER_S:.0f}" in alert["expr"]


def test_every_role_is_scraped_and_watched() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "gaitstream"]
    assert job["dns_sd_configs"][0]["names"] == list(ROLES)
    alerts = (PROMETHEUS / "rules" / "alerts.yml").read_text()
    assert set(re.findall(r'job=~"([\w|]+)"', alerts)) == {"|".join(ROLES)}


def anchors(markdown: str) -> set[str]:
    """Anchors of the headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a['alert']}-{a['labels']['severity']}")
def test_an_alert_says_what_is_wrong_and_where_to_look(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket", "none"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "deploy/README.md"
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(README)


def test_amtool_accepts_the_routes_and_each_severity_finds_its_receiver() -> None:
    file = DEPLOY / "alertmanager" / "alertmanager.yml"
    assert "SUCCESS" in run(program("amtool"), "check-config", file)
    rows = [
        ("severity=page alertname=GaitstreamRoleDown", "pages"),
        ("severity=ticket alertname=GaitstreamDeadLetters", "tickets"),
        ("severity=none alertname=GaitstreamWatchdog", "watchdog"),
        ("severity=ticket alertname=FromSomebodyElse", "tickets"),  # nothing is lost
    ]
    for labels, receiver in rows:
        routed = run(program("amtool"), "config", "routes", "test", f"--config.file={file}", *labels.split())
        assert routed.strip() == receiver, labels


def test_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    names = {a["alert"] for a in ALERTS}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            if found := re.fullmatch(r'alertname=~?"(.+)"', matcher):
                for pattern in found[1].split("|"):
                    assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_the_runbook_explains_no_alert_that_does_not_exist() -> None:
    explained = set(re.findall(r"^#+ (Gaitstream\w+)$", README, re.MULTILINE))
    assert explained == {a["alert"] for a in ALERTS}


def test_paths_exist_where_the_configuration_looks() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    found = [path for pattern in config["rule_files"] for path in Path(PROMETHEUS).glob(pattern)]
    assert {path.name for path in found} == {"alerts.yml", "recording.yml"}
