"""A real Prometheus with the rules of deploy/ that scrapes what a test starts, and is asked over HTTP as Grafana asks it."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from tests.deploy.tools import DEPLOY, program
from tests.support.brokers import free_port


class Prometheus:
    """Scrapes `targets` (port by job) every second and evaluates the rules of deploy/."""

    def __init__(self, folder: Path, targets: dict[str, int]) -> None:
        self.port, self._targets = free_port(), targets
        self._binary = program("prometheus")
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DEPLOY / "prometheus" / "rules" / "*.yml")],
            "scrape_configs": [
                {"job_name": role, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for role, port in targets.items()
            ],
        }
        self._config, self._data, self._log = folder / "prometheus.yml", folder / "prometheus", folder / "prometheus.log"
        self._config.write_text(yaml.safe_dump(config))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Prometheus":
        with self._log.open("wb") as log:
            command = [self._binary, f"--config.file={self._config}", f"--storage.tsdb.path={self._data}"]
            self._process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def up(self) -> bool:
        """Whether every target has been scraped."""
        try:
            return [value for _, value in self.query("sum(up)")] == [len(self._targets)]
        except (urllib.error.URLError, OSError):
            return False

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector (a scalar as one).  Raises AssertionError with Prometheus' words when it refuses the query."""
        body = urllib.parse.urlencode({"query": expr}).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query", body, timeout=10) as response:
                answer = json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from None
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(row["metric"], float(row["value"][1])) for row in answer["result"]]
