"""Grafana's dashboards as its importer sees them, and every query of every panel against a real Prometheus after a real load."""

import asyncio
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from models.simulation import Walker
from streams import metrics
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES
from tests.deploy.scraping import Prometheus
from tests.deploy.tools import DEPLOY, REPOSITORY, no_camera_networks, program
from tests.support.brokers import BrokerProcess
from tests.support.filming import film
from tests.support.pipeline import WorkerProcess, chunks_of, send, until
from workers.control.client import ask
from workers.supervisor import ROLES

GRAFANA = DEPLOY / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}
PANELS = [(uid, panel) for uid, dashboard in DASHBOARDS.items() for panel in dashboard["panels"] if panel["type"] != "row"]
QUERIES = [(uid, panel["title"], target["expr"]) for uid, panel in PANELS for target in panel["targets"]]
GIVEN_BY_PROMETHEUS = {"job", "instance", "le", "mountpoint", "persistentvolumeclaim", "alertname"}
OTHERS_METRICS = re.compile(r"^(up|ALERTS|process_\w+|node_filesystem_\w+|kubelet_volume_\w+)$")

UNITS = {"short", "opm", "ops", "mps", "s", "bytes", "percentunit"}
"""Grafana's own names of units; another one must be looked up before it is added here."""

NEEDS_MORE_THAN_A_LOAD = {
    "Free disk": "node_exporter or a kubelet",
    "Verifications per minute": "claims",
}
if no_camera_networks():
    NEEDS_MORE_THAN_A_LOAD |= dict.fromkeys(
        ("Pictures per second", "People in view", "Time per picture", "Since the last picture"), "a camera worker: gaitstream models fetch"
    )
PATIENCE_S = 180.0
"""For everything that is waited for: bounds a failing test, not a slow machine."""

RUNNING = [role for role in ROLES if role != "camera" or not no_camera_networks()]


def declared() -> dict[str, set[str]]:
    """Every time series that the metrics make, with its labels."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric.describe()[0].name
            suffixes = ["_bucket", "_sum", "_count"] if isinstance(metric, Histogram) else ["_total"] if metric._type == "counter" else [""]
            found |= {name + suffix: set(metric._labelnames) for suffix in suffixes}
    return found


def recorded() -> dict[str, set[str]]:
    """Every recorded series, with the labels that its expression keeps."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules" / "recording.yml").read_text())
    return {rule["record"]: {"role", "topic", "modality", "outcome", "camera"} for group in rules["groups"] for rule in group["rules"]}


def test_the_files_are_what_build_py_writes() -> None:
    """Edit deploy/grafana/build.py and run it; a hand-edited file would be lost."""
    code = "import json, runpy; print(json.dumps(runpy.run_path('deploy/grafana/build.py')['files']()))"
    written = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True).stdout)
    assert written == {path.name: path.read_text() for path in FILES}


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_the_importer_finds_what_it_needs(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    assert dashboard["uid"] == uid and len(uid) <= 40, "Grafana's limit of a uid"
    assert 36 <= dashboard["schemaVersion"] <= 42, "older ones are migrated, newer ones are of the other format"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["title"] and panel["description"] and panel["targets"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_no_panel_lies_on_another(uid: str) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[uid]["panels"]:
        place = panel["gridPos"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not own & cells, panel["title"]
        cells |= own


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_no_variable_dangles(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    text = json.dumps(dashboard["panels"])
    used = {name for pair in re.findall(r"\$\{(\w+)\}|\$(\w+)", text) for name in pair if name and not name.startswith("__")}
    assert used | {"datasource"} == defined, "used and defined variables"
    assert set(re.findall(r"\$(__\w+)", text)) <= {"__rate_interval"}


def test_every_data_source_is_the_provisioned_one() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    for uid, dashboard in DASHBOARDS.items():
        (variable,) = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
        assert variable["query"] == source["type"]
        assert variable["current"]["value"] == source["uid"]
        references = [p["datasource"] for u, p in PANELS if u == uid]
        references += [t["datasource"] for u, p in PANELS if u == uid for t in p["targets"]]
        assert all(reference == {"type": source["type"], "uid": "${datasource}"} for reference in references)


def found(node: Any, name: str) -> Iterator[Any]:
    """Every value of that name, however deep it stands."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key == name:
            yield value
        yield from found(value, name)


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_reference_to_a_data_source_goes_through_the_variable(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    references = list(found(dashboard, "datasource"))
    assert references and all(reference == {"type": "prometheus", "uid": "${datasource}"} for reference in references)
    first, *others = dashboard["templating"]["list"]
    assert (first["name"], first["type"]) == ("datasource", "datasource"), "the others ask it for their values, so it comes before them"
    assert {variable["type"] for variable in others} <= {"query"}
    assert all(re.findall(r"\$\{?(\w+)", variable["definition"]) == [] for variable in others), "none waits for another"
    assert "${DS_" not in json.dumps(dashboard) and not {"__inputs", "__requires"} & set(dashboard), (
        "only the dialog of an import fills these"
    )


def test_files_do_not_take_each_other_s_place() -> None:
    assert all(dashboard.get("id") is None for dashboard in DASHBOARDS.values()), "a number belongs to one database"
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS), "Grafana refuses a title twice in a folder"
    assert {panel["type"] for _, panel in PANELS} <= {"timeseries", "stat"}, "panels that every Grafana has"


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_links_lead_to_dashboards_that_are_there(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    for link in (link for links in found(dashboard, "links") for link in links):
        assert link["type"] == "dashboards", "an address would be of one site"
        reached = [other for other in DASHBOARDS.values() if set(link["tags"]) <= set(other["tags"])]
        assert len(reached) == len(DASHBOARDS)
    for span in (dashboard["time"]["from"].removeprefix("now-"), dashboard["refresh"]):
        assert re.fullmatch(r"\d+[smhd]", span)


def test_provisioning_compose_and_home_agree() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert f"127.0.0.1:{port}:{port}" in compose[host]["ports"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "gaitstream.yml").read_text())["providers"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    home = Path(compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"] and home.stem in DASHBOARDS


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=lambda v: v if isinstance(v, str) else v["title"])
def test_panels_ask_for_declared_series_and_labels(uid: str, panel: dict[str, Any]) -> None:
    known = declared() | recorded()
    for target in panel["targets"]:
        expr = re.sub(r'"[^"]*"', '""', target["expr"])
        used = set(re.findall(r"\bgaitstream[_:][\w:]+", expr))
        assert used - set(known) == set()
        labels = {label for name in used for label in known[name]} | GIVEN_BY_PROMETHEUS
        grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expr) for label in group.split(",")}
        matched = set(re.findall(r"(\w+)=~?\"\"", expr)) - {"fstype", "alertstate"}
        assert grouped | matched <= labels
        assert used or any(OTHERS_METRICS.match(word) for word in re.findall(r"[A-Za-z_]\w+", expr))
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert not grouped or shown <= grouped, "the legend shows a label that the query sums away"


def test_every_declared_metric_has_a_panel_and_every_time_its_median_and_99th_percentile() -> None:
    text = " ".join(expr for _, _, expr in QUERIES)
    assert {name for name in declared() if not name.endswith(("_sum", "_count")) and name not in text} == set()
    for name in declared():
        if name.endswith("_seconds_bucket"):
            assert {q for _, _, e in QUERIES if name in e for q in re.findall(r"histogram_quantile\(([\d.]+)", e)} == {"0.5", "0.99"}


ALERTS = [
    rule for group in yaml.safe_load((DEPLOY / "prometheus" / "rules" / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a['alert']}-{a['labels']['severity']}")
def test_an_alert_links_a_panel_that_shows_its_cause(alert: dict[str, Any]) -> None:
    uid, panel_id = re.fullmatch(r"http://localhost:3000/d/([\w-]+)\?viewPanel=(\d+)", alert["annotations"]["dashboard_url"]).groups()  # type: ignore[union-attr]
    (panel,) = [p for u, p in PANELS if u == uid and p["id"] == int(panel_id)]
    if alert["alert"] == "GaitstreamWatchdog":
        return
    shown = " ".join(target["expr"] for target in panel["targets"]).replace("gaitstream_lag_messages", "gaitstream:lag_messages:sum")
    asked = set(re.findall(r"\b(?:gaitstream[_:][\w:]+|up\b|node_\w+|process_\w+)", alert["expr"]))
    related = {"gaitstream:streams:sum": "gaitstream_streams", "gaitstream:rejected:ratio5m": "gaitstream_dead_letters_total"}
    assert any(related.get(name, name) in shown for name in asked), (asked, shown)


# --- against a real Prometheus


def substituted(expr: str) -> str:
    """The query as Grafana sends it with every variable at All."""
    return re.sub(r"\$(role|network|space)\b", ".*", expr.replace("$__rate_interval", "10s"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus over the roles while people walk, with phones and past a camera: somebody is enrolled, and something cannot be used."""
    program("prometheus")
    folder = tmp_path_factory.mktemp("dashboards")
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess("embedded", folder / "broker"))
        settings = Settings(bootstrap=broker.bootstrap)
        workers = [stack.enter_context(WorkerProcess(role, settings, folder, GAITSTREAM_DATA_DIR=str(folder / role))) for role in RUNNING]
        prometheus = stack.enter_context(Prometheus(folder, {worker.role: worker.port for worker in workers}))
        asyncio.run(_load(settings, workers, prometheus))
        yield prometheus


async def _load(settings: Settings, workers: list[WorkerProcess], prometheus: Prometheus) -> None:
    for worker in workers:
        await until(worker.is_ready, PATIENCE_S, f"{worker.role} is ready")
    await until(prometheus.up, PATIENCE_S, "a scrape of every role")
    recordings = [Walker(seed).record(duration_s=24.0) for seed in (1, 2)]
    walks = [
        SimpleNamespace(subject=f"p{i}", name="walk", rate_hz=r.rate_hz, acc_N3=r.acc_N3, gyro_N3=r.gyro_N3)
        for i, r in enumerate(recordings)
    ]
    start_ns = time.time_ns() - 3_000_000_000_000
    for wave in range(30):  # recording rules are evaluated every 30 s only
        chunks = chunks_of(walks, start_ns=start_ns + wave * 30_000_000_000, session=f"w{wave}")  # type: ignore[arg-type]
        del chunks[9]  # a gap
        await send(settings, [*chunks, (b"p0-walk", b"\xc1 is no message")])
        if "camera" in RUNNING:
            again = [frame.model_copy(update={"session": f"w{wave}"}) for frame in film(1, 2.0)]
            await send(settings, [(frame.camera_id.encode(), frame.to_bytes()) for frame in again], topic=CAMERA_FRAMES.name)
        if wave == 1:
            await _enrolled(settings, start_ns)
        if wave >= 1 and not await _missing(prometheus, 4.0):
            return
    pytest.fail(f"no data: {await _missing(prometheus, 0.0)}")


async def _enrolled(settings: Settings, start_ns: int) -> None:
    """Enrol the first walker as soon as the embeddings are there."""
    arguments = {"stream_key": "p0-walk", "from_ns": start_ns, "to_ns": start_ns + 60_000_000_000, "consent": "test"}

    async def done() -> bool:
        return (await ask(settings, "enrol", "Ada", "tester", arguments)).ok

    await until(done, PATIENCE_S, "Ada is enrolled")


async def _missing(prometheus: Prometheus, patience_s: float) -> list[str]:
    """Panels that a load must fill and that have no data yet, after waiting for them."""
    deadline_s = time.monotonic() + patience_s
    while True:
        empty = {panel for _, panel, expr in QUERIES if not _filled(prometheus, expr)}
        filled = {panel for _, panel, expr in QUERIES if _filled(prometheus, expr)}
        missing = sorted(empty - filled - set(NEEDS_MORE_THAN_A_LOAD))
        if not missing or time.monotonic() > deadline_s:
            return missing
        await asyncio.sleep(0.3)


def _filled(prometheus: Prometheus, expr: str) -> bool:
    return any(math.isfinite(value) for _, value in prometheus.query(substituted(expr)))


@pytest.mark.timeout(600)  # of the first of them, which waits for the load
@pytest.mark.parametrize(("uid", "panel", "expr"), QUERIES)
def test_prometheus_answers_every_query(loaded: Prometheus, uid: str, panel: str, expr: str) -> None:
    """Without an error.  That the panels have data is what the fixture has waited for."""
    loaded.query(substituted(expr))


def test_the_numbers_are_those_of_the_load(loaded: Prometheus) -> None:
    rows = [
        ("max(gaitstream_gallery_subjects{job='identity'})", 1.0),  # Ada
        ("count(count by (job) (up == 1))", float(len(RUNNING))),
        ("sum(gaitstream_commands_total{kind='enrol',outcome='done'})", 1.0),
        ("count(gaitstream_dead_letters_total{reason='undecodable'})", 1.0),
        ("count(gaitstream_gaps_total > 0)", 1.0),
        ("min(gaitstream_decisions_total) > bool 0", 1.0),
    ]
    for expr, value in rows:
        assert [number for _, number in loaded.query(expr)] == [value], expr


def test_the_variables_have_values(loaded: Prometheus) -> None:
    for dashboard in DASHBOARDS.values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
                assert loaded.query(f"count by ({label}) ({metric})"), variable["name"]


def test_the_watchdog_fires_and_no_page_does(loaded: Prometheus) -> None:
    firing = {labels["alertname"] for labels, _ in loaded.query('ALERTS{alertstate="firing",severity=~"page|none"}')}
    assert firing == {"GaitstreamWatchdog"}
