"""A private Prometheus with the rules of docker/prometheus, that asks the targets of a file."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import packages
from tests.servers.process import Server

FOLDER = Path(__file__).resolve().parents[2] / "docker/prometheus"


class Prometheus(Server):
    """`targets` are ports of this machine by the name of the process that answers there; with the port of an
    Alertmanager alerts are sent to it, and both are asked as docker/prometheus does."""

    name = "prometheus"

    def __init__(
        self,
        targets: Mapping[str, int],
        folder: Path | str | None = None,
        *,
        port: int | None = None,
        alertmanager: int | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self._targets, self._alertmanager = targets, alertmanager

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now. ValueError, with what Prometheus says, if it is none."""
        asked = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                told: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{expression}: {error.read().decode()}") from error
        return [told] if told["resultType"] == "scalar" else list(told["result"])

    def label_values(self, figure: str, label: str) -> list[str]:
        """The values of a label that a figure has, sorted."""
        asked = f"{self.url}/api/v1/label/{label}/values?{urllib.parse.urlencode({'match[]': figure})}"
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return sorted(json.load(answer)["data"])

    def _prepare(self) -> None:
        run = (FOLDER / "run.yml").read_text(encoding="utf-8")
        assert "rules/*.yml" in run
        assert "../../var/run/prometheus.json" in run
        for before, now in (
            ("rules/*.yml", str(FOLDER / "rules/*.yml")),
            ("../../var/run/prometheus.json", str(self.folder / "targets.json")),
            ("scrape_interval: 5s", "scrape_interval: 2s"),
            ("scrape_timeout: 4s", "scrape_timeout: 2s"),
            ("evaluation_interval: 5s", "evaluation_interval: 1s"),
            ("interval: 30s", "interval: 1s"),
        ):
            run = run.replace(before, now)
        if self._alertmanager is not None:
            for job, asked in (("prometheus", self.port), ("alertmanager", self._alertmanager)):
                run += f'  - {{job_name: {job}, static_configs: [{{targets: ["127.0.0.1:{asked}"]}}]}}\n'
            sent_to = f'static_configs: [{{targets: ["127.0.0.1:{self._alertmanager}"]}}]'
            run += f"alerting:\n  alertmanagers:\n    - {sent_to}\n"
        (self.folder / "prometheus.yml").write_text(run, encoding="utf-8")
        targets = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"process": name}} for name, port in self._targets.items()
        ]
        (self.folder / "targets.json").write_text(json.dumps(targets), encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("prometheus", packages.MONITORING)
        options = [
            "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        return [str(program), *options], environment

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return True
        except OSError:
            return False
