"""The Grafana dashboard asks only for metrics and labels that streams/metrics.py declares, and leaves none of the important ones out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "gaitstream.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel.get("targets", [])]
BY_PROMETHEUS = {"job", "instance", "le"}
"""Labels that no metric declares itself."""


def series() -> dict[str, set[str]]:
    """Every time series that the metrics make, with its labels."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric.describe()[0].name
            suffixes = ["_bucket", "_sum", "_count"] if isinstance(metric, Histogram) else ["_total"] if metric._type == "counter" else [""]
            found |= {name + suffix: set(metric._labelnames) for suffix in suffixes}
    return found


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_panels_ask_for_declared_metrics_and_labels(panel: str, target: dict[str, Any]) -> None:
    declared = series()
    used = re.findall(r"\bgaitstream_\w+", target["expr"])
    assert used or target["expr"].startswith("sum by (job) (up"), panel
    assert [name for name in used if name not in declared] == [], panel
    labels = {label for name in used for label in declared[name]} | BY_PROMETHEUS
    grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", target["expr"]) for label in group.split(",")}
    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert grouped <= labels, panel
    assert shown <= grouped, f"{panel}: the legend shows a label that the query sums away"


def test_every_declared_metric_has_a_panel() -> None:
    shown = set(re.findall(r"\bgaitstream_\w+", " ".join(target["expr"] for _, target in TARGETS)))
    hidden = {name for name in series() if not name.endswith(("_sum", "_count"))} - shown
    assert hidden == set()


@pytest.mark.parametrize("metric", [name for name in series() if name.endswith("_seconds_bucket")])
def test_times_are_shown_as_median_and_99th_percentile(metric: str) -> None:
    expressions = [target["expr"] for _, target in TARGETS if metric in target["expr"]]
    assert sorted(expression.split("(")[1].split(",")[0] for expression in expressions) == ["0.5", "0.99"]


def test_the_layout_is_whole() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not own & cells, f"{panel['title']} lies on another panel"
        cells |= own


def test_provisioning_names_the_data_source_and_the_folder_that_the_dashboard_uses() -> None:
    compose = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())["services"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {target["datasource"]["uid"] for _, target in TARGETS} == {source["uid"]}
    host, port = source["url"].removeprefix("http://").split(":")
    assert f"127.0.0.1:{port}:{port}" in compose[host]["ports"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "gaitstream.yml").read_text())["providers"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert (
        compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == provider["options"]["path"] + "/gaitstream.json"
    )
