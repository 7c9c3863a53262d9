"""A private nginx with docker/nginx/naru.conf: TLS in front of one web server or two."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers import packages
from tests.servers.process import Server, free_port

FILE = Path(__file__).resolve().parents[2] / "docker/nginx/naru.conf"
SECOND = "#server 192.0.2.32:8000 "


class Nginx(Server):
    """`webs` are addresses (host:port) of web servers, one or two; `certificate` the files of a certificate and its
    key. `port` takes TLS, `plain` does not."""

    name = "nginx"

    def __init__(self, folder: Path, webs: Sequence[str], certificate: tuple[Path, Path]) -> None:
        super().__init__(folder)
        self.plain = free_port()
        self._webs, self._certificate = webs, certificate

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def tested(self) -> subprocess.CompletedProcess[str]:
        """What nginx itself says of the file."""
        self._prepare()
        command, environment = self._command()
        return subprocess.run(
            [*command, "-t"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def _prepare(self) -> None:
        first, *others = self._webs
        certificate, key = self._certificate
        text = FILE.read_text(encoding="utf-8")
        for before, after in {
            "listen 80;": f"listen {self.host}:{self.plain};",
            "listen 443 ssl;": f"listen {self.host}:{self.port} ssl;",
            "server 127.0.0.1:8000 ": f"server {first} ",
            SECOND: f"server {others[0]} " if others else SECOND,
            "/srv/naru/tls/fullchain.pem": str(certificate),
            "/srv/naru/tls/key.pem": str(key),
        }.items():
            if text.count(before) != 1:
                raise ValueError(f"{FILE.name} has {before!r} {text.count(before)} times")
            text = text.replace(before, after)
        (self.folder / "naru.conf").write_text(text, encoding="utf-8")
        places = "".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {self.folder}/pid; error_log {self.log};"
            f" worker_processes 1; events {{}} http {{ access_log off; {places} include {self.folder}/naru.conf; }}",
            encoding="utf-8",
        )

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("nginx")
        options = ["-e", str(self.log), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        return [str(program), *options], environment

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0
