"""Writes the dashboards in `dashboards/`: `python deploy/grafana/build.py`.  A test compares them with what this writes.

Panel numbers are stable, because alerts link to them: a new panel gets the next free number of its dashboard, wherever it stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SCHEMA_VERSION = 41
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, HEIGHT = 24, 8
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One panel: `queries` are (PromQL, legend) pairs; `unit` is Grafana's name of it."""

    id: int
    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One file.  `variables` are (name, query) pairs of label values besides the data source."""

    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[tuple[str, str], ...] = ()


def quantiles(metric: str, label: str, where: str = "") -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile of a histogram, by one label."""
    rate = f"sum by (le, {label}) (rate({metric}_bucket{where}{RATE}))"
    return tuple((f"histogram_quantile({q}, {rate})", f"{name} {{{{{label}}}}}") for q, name in (("0.5", "p50"), ("0.99", "p99")))


OBJECTIVE = "gaitstream:event_latency_late:ratio"

OVERVIEW = Dashboard(
    "gaitstream-overview",
    "gaitstream: overview",
    "For who watches a site: who walks, is it recognised, is anything wrong.",
    (
        (
            "Now",
            (
                Panel(1, "Alerts", "Firing alerts, the watchdog left out; each has a section in deploy/README.md.", "short",
                      (('count(ALERTS{alertstate="firing",alertname=~"Gaitstream.*",alertname!="GaitstreamWatchdog"}) or vector(0)', "firing"),),
                      "stat", 4),
                Panel(2, "Sources", "Devices and cameras that are heard, by the role that reads them.", "short",
                      (("sum by (role) (gaitstream_streams)", "{{role}}"),), "timeseries", 8),
                Panel(3, "People enrolled", "As the identity workers hold them, by embedding space.", "short",
                      (('max by (space) (gaitstream_gallery_subjects{job="identity"})', "{{space}}"),), "stat", 4),
                Panel(4, "Decisions per minute", "Identity events by decision: known, unknown, undecided.", "opm",
                      ((f"60 * sum by (modality, decision) (rate(gaitstream_decisions_total{RATE}))", "{{modality}} {{decision}}"),),
                      stacked=True),
            ),
        ),
        (
            "How fast",
            (
                Panel(5, "Late events", "Share of events more than 2.5 s after the arrival of the last sample they rest on; the objective is 1 %.",
                      "percentunit", ((f"{OBJECTIVE}5m", "5 min {{modality}}"), (f"{OBJECTIVE}1h", "1 h {{modality}}"), (f"{OBJECTIVE}6h", "6 h {{modality}}"))),
                Panel(6, "Arrival to event", "From the broker's receipt of the last raw sample of a window to the identity event.", "s",
                      quantiles("gaitstream_event_latency_seconds", "modality")),
                Panel(7, "Walking", "Bouts of walking begun and windows cut, per minute.", "opm",
                      ((f"60 * sum by (modality) (rate(gaitstream_bouts_total{RATE}))", "bouts {{modality}}"),
                       (f"60 * sum by (modality) (rate(gaitstream_windows_total{RATE}))", "windows {{modality}}"))),
            ),
        ),
        (
            "Cameras",
            (
                Panel(8, "Since the last picture", "Of each camera that sent one within 24 h; after 2 minutes it is an alert.", "s",
                      (("time() - max by (camera) (gaitstream_camera_last_frame_timestamp_seconds or gaitstream:camera_last_frame_timestamp_seconds:max)",
                        "{{camera}}"),), width=24),
            ),
        ),
    ),
)  # fmt: skip

PIPELINE = Dashboard(
    "gaitstream-pipeline",
    "gaitstream: pipeline",
    "For SREs: processes, flow, backlog, commits, letters, disks.",
    (
        (
            "Processes",
            (
                Panel(1, "Processes up", "Processes that answer, by role.", "short", (('sum by (job) (up{job=~"$role"})', "{{job}}"),), width=6),
                Panel(2, "Running for", "Since the youngest process of the role started.", "s",
                      (('time() - max by (job) (process_start_time_seconds{job=~"$role"})', "{{job}}"),), width=6),
                Panel(3, "Memory", "Resident memory of a process.", "bytes",
                      (('max by (job, instance) (process_resident_memory_bytes{job=~"$role"})', "{{job}} {{instance}}"),), width=6),
                Panel(14, "Processor time", "Cores in use by role.", "short",
                      ((f'sum by (job) (rate(process_cpu_seconds_total{{job=~"$role"}}{RATE}))', "{{job}}"),), width=6),
            ),
        ),
        (
            "Flow",
            (
                Panel(4, "Lag", "Messages between the processed position and the end of the topic.", "short",
                      (('sum by (role, topic) (gaitstream_lag_messages{role=~"$role"})', "{{role}} {{topic}}"),)),
                Panel(5, "Time behind", "The backlog at the present rate; raw samples are kept for an hour.", "s",
                      (('gaitstream:lag:seconds{role=~"$role"}', "{{role}} {{topic}}"),)),
                Panel(6, "Since the last progress and commit", "Over 60 s a worker is stuck; commits come every second.", "s",
                      (('time() - min by (role) (gaitstream_last_progress_timestamp_seconds{role=~"$role"})', "progress {{role}}"),
                       ('time() - min by (role) (gaitstream_last_commit_timestamp_seconds{role=~"$role"})', "commit {{role}}"))),
                Panel(7, "Messages read", "used: processed; rejected: dead letters; repeated: known already.", "mps",
                      ((f"sum by (topic, outcome) (rate(gaitstream_messages_total{RATE}))", "{{topic}} {{outcome}}"),), stacked=True),
                Panel(11, "Messages written", "And outputs that were not written again after a restart.", "mps",
                      ((f"sum by (topic) (rate(gaitstream_outputs_total{RATE}))", "{{topic}}"),
                       (f"sum by (topic) (rate(gaitstream_suppressed_total{RATE}))", "suppressed {{topic}}"))),
                Panel(12, "Held back", "Processed, but not committed, because an open window still needs it: read again after a restart.", "short",
                      (('sum by (role) (gaitstream_held_back_messages{role=~"$role"})', "{{role}}"),)),
            ),
        ),
        (
            "Trouble",
            (
                Panel(8, "Rebalances and rebuilds per hour", "Partitions given anew; states read again from the log, by cause.", "short",
                      (('sum by (role) (increase(gaitstream_rebalances_total{role=~"$role"}[1h]))', "rebalances {{role}}"),
                       ('sum by (role, cause) (increase(gaitstream_rebuilds_total{role=~"$role"}[1h]))', "rebuilds {{role}} {{cause}}"))),
                Panel(9, "Dead letters per minute", "By reason; `gaitstream deadletter list` shows them.", "opm",
                      ((f"60 * sum by (topic, reason) (rate(gaitstream_dead_letters_total{RATE}))", "{{topic}} {{reason}}"),), stacked=True),
                Panel(10, "Free disk", "Share that is free, of machines (node_exporter) and of volumes (kubelet).", "percentunit",
                      (('node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"} / node_filesystem_size_bytes',
                        "{{instance}} {{mountpoint}}"),
                       ("kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes", "{{persistentvolumeclaim}}"))),
                Panel(13, "Gaps per minute", "Gaps over 100 ms that ended a segment: packets that devices lost.", "opm",
                      ((f"60 * sum(rate(gaitstream_gaps_total{RATE}))", "gaps"),)),
            ),
        ),
    ),
    (("role", "label_values(gaitstream_last_progress_timestamp_seconds, role)"),),
)  # fmt: skip

MODELS = Dashboard(
    "gaitstream-models",
    "gaitstream: models and batching",
    "Natural batching at work: small batches under light load, large ones under heavy load.",
    (
        (
            "Batches",
            (
                Panel(1, "Messages per batch", "One poll is one batch.", "short", quantiles("gaitstream_batch_messages", "role")),
                Panel(2, "Decoded and waiting", "Messages of the batch that waits while another is processed.", "short",
                      (("sum by (role) (gaitstream_queue_depth)", "{{role}}"),)),
                Panel(3, "Batches per second", "Polls that brought messages.", "ops",
                      ((f"sum by (role) (rate(gaitstream_batch_messages_count{RATE}))", "{{role}}"),)),
            ),
        ),
        (
            "Networks",
            (
                Panel(4, "Items per forward pass", "Across all devices and cameras of the batch.", "short",
                      quantiles("gaitstream_forward_batch", "network", '{network=~"$network"}')),
                Panel(5, "Time of a forward pass", "Wall time, transfer to and from the device included.", "s",
                      quantiles("gaitstream_forward_seconds", "network", '{network=~"$network"}')),
                Panel(6, "Items per second", "What each network takes.", "ops",
                      ((f'sum by (network) (rate(gaitstream_forward_batch_sum{{network=~"$network"}}{RATE}))', "{{network}}"),)),
                Panel(7, "Time per item", "Falls as batches grow, until the device is full.", "s",
                      ((f'sum by (network) (rate(gaitstream_forward_seconds_sum{{network=~"$network"}}{RATE}))'
                        f' / sum by (network) (rate(gaitstream_forward_batch_sum{{network=~"$network"}}{RATE}))', "{{network}}"),)),
                Panel(8, "Busy", "Share of the time that a forward pass runs, summed over processes.", "percentunit",
                      ((f'sum by (network) (rate(gaitstream_forward_seconds_sum{{network=~"$network"}}{RATE}))', "{{network}}"),)),
            ),
        ),
        (
            "Cameras",
            (
                Panel(9, "Pictures per second", "Analysed, and why others were not: faster than needed, behind, late, rejected.", "ops",
                      ((f"sum by (outcome) (rate(gaitstream_camera_frames_total{RATE}))", "{{outcome}}"),), stacked=True),
                Panel(10, "People in view", "Followed just now in all pictures.", "short",
                      (("sum(gaitstream_camera_people_in_view)", "people"),)),
                Panel(11, "Time per picture", "Decoding the JPEG; looking at it: gate, detector, tracks, poses.", "s",
                      quantiles("gaitstream_camera_frame_seconds", "stage")),
            ),
        ),
    ),
    (("network", "label_values(gaitstream_forward_batch_count, network)"),),
)  # fmt: skip

GALLERY = Dashboard(
    "gaitstream-gallery",
    "gaitstream: gallery and decisions",
    "Who is enrolled (numbers, never names), what is decided, what operators asked for.",
    (
        (
            "Gallery",
            (
                Panel(1, "Templates by process", "Identity workers must hold what the control plane holds.", "short",
                      (('sum by (job, instance) (gaitstream_gallery_templates{space=~"$space"})', "{{job}} {{instance}}"),)),
                Panel(2, "People enrolled", "By embedding space; spaces do not mix.", "short",
                      (('max by (space) (gaitstream_gallery_subjects{space=~"$space"})', "{{space}}"),)),
                Panel(3, "Commands per minute", "Enrol, rename, merge, erase, by outcome.", "opm",
                      ((f"60 * sum by (kind, outcome) (rate(gaitstream_commands_total{RATE}))", "{{kind}} {{outcome}}"),), stacked=True),
            ),
        ),
        (
            "Decisions",
            (
                Panel(4, "Decisions per minute", "Identity events by decision.", "opm",
                      ((f"60 * sum by (modality, decision) (rate(gaitstream_decisions_total{RATE}))", "{{modality}} {{decision}}"),),
                      stacked=True),
                Panel(5, "Share named", "Known among decided events: a jump says that the people or the thresholds changed.", "percentunit",
                      ((f'sum by (modality) (rate(gaitstream_decisions_total{{decision="known"}}{RATE}))'
                        f' / sum by (modality) (rate(gaitstream_decisions_total{{decision=~"known|unknown"}}{RATE}))', "{{modality}}"),)),
                Panel(6, "Verifications per minute", "Claims by outcome.", "opm",
                      ((f"60 * sum by (outcome) (rate(gaitstream_verifications_total{RATE}))", "{{outcome}}"),), stacked=True),
            ),
        ),
    ),
    (("space", "label_values(gaitstream_gallery_templates, space)"),),
)  # fmt: skip

ALL = (OVERVIEW, PIPELINE, MODELS, GALLERY)


def panel_json(panel: Panel, x: int, y: int) -> dict[str, Any]:
    """A panel as Grafana reads it."""
    custom: dict[str, Any] = {"fillOpacity": 30 if panel.stacked else 10, "showPoints": "never"}
    if panel.stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    stat = panel.kind == "stat"
    reduce = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    lines = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "id": panel.id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"h": HEIGHT, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0} | ({} if stat else {"custom": custom}), "overrides": []},
        "options": {"reduceOptions": reduce, "colorMode": "value", "graphMode": "none"} if stat else lines,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(panel.queries)
        ],
    }


def variable_json(name: str, query: str) -> dict[str, Any]:
    """A variable of label values, with All."""
    return {
        "name": name,
        "type": "query",
        "label": name,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "values"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard_json(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as Grafana's provisioning reads it; panels flow from left to right under their row."""
    panels: list[dict[str, Any]] = []
    y = 0
    for number, (title, row) in enumerate(dashboard.rows):
        panels.append({"id": 100 + number, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}})  # fmt: skip
        x, y = 0, y + 1
        for panel in row:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(panel_json(panel, x, y))
            x += panel.width
        y += HEIGHT
    source = {"name": "datasource", "type": "datasource", "label": "data source", "query": "prometheus",
              "current": {"selected": True, "text": "Prometheus", "value": "prometheus"}}  # fmt: skip
    links = [
        {"type": "dashboards", "title": "gaitstream", "tags": ["gaitstream"], "asDropdown": True, "includeVars": False, "keepTime": True}
    ]
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["gaitstream"],
        "timezone": "browser",
        "editable": False,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "annotations": {"list": []},
        "links": links,
        "templating": {"list": [source, *(variable_json(*variable) for variable in dashboard.variables)]},
        "panels": panels,
    }


def files() -> dict[str, str]:
    """Name and content of every dashboard file."""
    return {f"{dashboard.uid}.json": json.dumps(dashboard_json(dashboard), indent=1) + "\n" for dashboard in ALL}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
