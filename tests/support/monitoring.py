"""The real Prometheus and Alertmanager with deploy's rules and routes, made impatient, and a relay that keeps what it is told."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.deploy.tools import DEPLOY, program
from tests.support.brokers import free_port
from tests.support.pipeline import WorkerProcess

PROMETHEUS, ALERTMANAGER = DEPLOY / "prometheus", DEPLOY / "alertmanager" / "alertmanager.yml"


class Relay:
    """The site's relay behind Alertmanager's web hooks: `told` are (receiver, status, labels) in order."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told: list[tuple[str, str, dict[str, str]]] = []

    def was_told(self, receiver: str, status: str, **labels: str) -> bool:
        """Whether the receiver was told so of an alert with these labels, among others."""
        return any((r, s) == (receiver, status) and labels.items() <= found.items() for r, s, found in self.told)

    async def __aenter__(self) -> "Relay":
        app = web.Application()
        app.add_routes([web.post("/{receiver}", self._take)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        for alert in (await request.json())["alerts"]:
            self.told.append((request.match_info["receiver"], alert["status"], alert["labels"]))
        return web.Response()


class Monitoring:
    """Prometheus scrapes what `scrape` was told last, as from a name service; Alertmanager tells the relay."""

    def __init__(self, folder: Path, relay: Relay) -> None:
        self.folder, self.port, self._alertmanager_port = folder, free_port(), free_port()
        self._programs = program("prometheus"), program("prometheus-alertmanager")
        self._running: list[subprocess.Popen[bytes]] = []
        (folder / "rules").mkdir(parents=True)
        for file in (PROMETHEUS / "rules").glob("*.yml"):
            (folder / "rules" / file.name).write_text(yaml.safe_dump(impatient_rules(yaml.safe_load(file.read_text()))))
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(impatient_routes(yaml.safe_load(ALERTMANAGER.read_text()), relay.port)))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(self._prometheus()))
        self.scrape([])

    def scrape(self, workers: Iterable[WorkerProcess]) -> None:
        """These are there now; one that is not named any more has no targets, as in a name service."""
        rows = [{"targets": [f"127.0.0.1:{worker.port}"], "labels": {"job": worker.role}} for worker in workers]
        part = self.folder / "targets.part"
        part.write_text(json.dumps(rows))
        part.replace(self.folder / "targets.json")

    def up(self, expr: str = "count(up == 1)") -> float:
        """Value of a query that gives one number; 0 without an answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/query?query={expr.replace(' ', '%20')}", timeout=10
            ) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except (urllib.error.URLError, OSError):
            return 0.0
        return float(result[0]["value"][1]) if result else 0.0

    def __enter__(self) -> "Monitoring":
        prometheus, alertmanager = self._programs
        self._start("prometheus", prometheus, f"--storage.tsdb.path={self.folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.port}")
        listen = f"--web.listen-address=127.0.0.1:{self._alertmanager_port}"
        self._start("alertmanager", alertmanager, f"--storage.path={self.folder / 'alerts'}", listen, "--cluster.listen-address=")
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def log(self) -> str:
        """The end of what both have logged."""
        return "".join((self.folder / f"{name}.log").read_text(errors="replace")[-2000:] for name in ("prometheus", "alertmanager"))

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            arguments = [*command, f"--config.file={self.folder / name}.yml"]
            # Debian's units give options by this variable; here it must not.
            environment = {key: value for key, value in os.environ.items() if key != "ARGS"}
            self._running.append(subprocess.Popen(arguments, stdout=log, stderr=log, env=environment))

    def _prometheus(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{self._alertmanager_port}"]}]}]
        found = {"files": [str(self.folder / "targets.json")], "refresh_interval": "1s"}
        config["scrape_configs"] = [{"job_name": "gaitstream", "file_sd_configs": [found]}]
        return config


def impatient_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """The same expressions, labels and annotations; only how long an alert must hold is a second."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    return rules


def impatient_routes(config: dict[str, Any], relay_port: int) -> dict[str, Any]:
    """The same routes, inhibitions and receivers; only the waits are shorter, and the relay listens elsewhere."""
    for route in (config["route"], *config["route"]["routes"]):
        route |= {name: "1s" for name in ("group_wait", "group_interval") if name in route or route is config["route"]}
    for receiver in config["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = hook["url"].replace("127.0.0.1:9095", f"127.0.0.1:{relay_port}")
    return config
