"""A private Alertmanager with the routes of docker/prometheus, whose receivers are those of a test."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.servers import packages
from tests.servers.process import Server
from tests.servers.prometheus import FOLDER

RECEIVERS = "http://127.0.0.1:9099"
"""Where those of alertmanager.yml lead to."""
BESIDE = {
    "alertmanager_notifications_failed_total", "prometheus_notifications_errors_total",
    "prometheus_notifications_dropped_total",
}  # fmt: skip
"""What rules ask Prometheus and Alertmanager of themselves."""
SHARED = Path("/usr/share")
OWN_MOUNTS = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
SOON = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "2s"}
"""Nobody waits for minutes here."""


def may_run() -> bool:
    """Whether one that is not installed finds what it reads: not where nobody may have mounts of his own."""
    return subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode == 0


class Alertmanager(Server):
    """`receivers` is the address in whose place /page, /ticket and /watchdog are."""

    name = "alertmanager"

    def __init__(self, receivers: str, folder: Path | str | None = None) -> None:
        super().__init__(folder)
        self._receivers = receivers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _prepare(self) -> None:
        text = (FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
        config: dict[str, Any] = yaml.safe_load(text.replace(RECEIVERS, self._receivers))
        for route in (config["route"], *config["route"]["routes"]):
            route.update(SOON)
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("prometheus-alertmanager", packages.MONITORING)
        options = [
            "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=", "--log.level=warn",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        shared = Path(program).parents[1] / "share"
        if shared == SHARED:
            return [str(program), *options], environment
        # Debian's reads its templates from one place.
        within = [*OWN_MOUNTS, "sh", "-c", f'mount --bind "$0" {SHARED} && exec "$@"', str(shared)]
        return [*within, str(program), *options], environment

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return True
        except OSError:
            return False
