"""A private InfluxDB 1.x as Debian ships it, for the benchmarks: HTTP, each write on disk before it is answered."""

import json
import urllib.error
import urllib.parse
import urllib.request

from tests.servers import packages
from tests.servers.process import Server, free_port

DATABASE = "naru"
_CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
wal-fsync-delay = "0s"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
[logging]
level = "warn"
"""


class InfluxDB(Server):
    """`with InfluxDB() as server:` ... `server.write(lines)` stores points in the line protocol."""

    name = "influxdb"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, statement: str) -> bytes:
        """What it answers, JSON."""
        return self._post(f"/query?db={DATABASE}&q={urllib.parse.quote(statement)}", b"")

    def write(self, lines: bytes) -> None:
        """Store points whose times are microseconds. OSError when they were not taken."""
        self._post(f"/write?db={DATABASE}&precision=u", lines)

    def clear(self) -> None:
        """An empty database."""
        self.query(f"DROP DATABASE {DATABASE}")
        self.query(f"CREATE DATABASE {DATABASE}")

    def count(self, measurement: str, field: str) -> int:
        """How many points of a measurement have this field."""
        answer = json.loads(self.query(f'SELECT COUNT("{field}") FROM "{measurement}"'))
        series = answer["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0

    def _post(self, path: str, body: bytes) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def _prepare(self) -> None:
        text = _CONFIGURATION.format(folder=self.folder, port=self.port, rpc=free_port())
        (self.folder / "influxdb.conf").write_text(text, encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("influxd", packages.BENCHMARKS)
        return [str(program), "run", "-config", str(self.folder / "influxdb.conf")], environment

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False
