"""A private storage that speaks S3's protocol: moto's server. Its objects are in memory and go with the process. It
does not compare a part with the MD5 that it was sent with, so nothing here counts on that."""

import sys
from pathlib import Path

import httpx

from tests.servers.process import Server

BUCKET = "naru-backups"


class S3(Server):
    """`with S3() as server:` ... `server.url` is its endpoint; `make_bucket` comes first."""

    name = "s3"

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, name: str = BUCKET) -> None:
        """An empty bucket; whoever names any key may use it."""
        httpx.put(f"{self.url}/{name}", timeout=30).raise_for_status()

    def _prepare(self) -> None:
        """Nothing: its objects are in memory."""

    def _command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], {}

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/", timeout=5).is_success
        except httpx.HTTPError:
            return False
