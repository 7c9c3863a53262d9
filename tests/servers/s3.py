"""A private storage that speaks S3's protocol: moto's server. Its objects are in memory; it does not compare a part
with the MD5 that it was sent with, so nothing here counts on that."""

import base64
import json
import sys
from pathlib import Path
from typing import Self
from xml.etree import ElementTree

import httpx

from tests.servers.process import Server

BUCKET = "naru-backups"
CHANGES = ("PUT", "POST", "DELETE")


class S3(Server):
    """`with S3() as server:` ... `server.url` is its endpoint; `make_bucket` comes first. One that `keeps` has after a
    `kill` and a `start` what it had before, as a storage on disks: objects and the parts of uploads, which have other
    numbers then. Without it nothing is left."""

    name = "s3"

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None, keeps: bool = False) -> None:
        super().__init__(folder, port=port)
        self._asked = self.folder / "asked" if keeps else None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, name: str = BUCKET) -> None:
        """An empty bucket; whoever names any key may use it."""
        httpx.put(f"{self.url}/{name}", timeout=30).raise_for_status()

    def make_locked_bucket(self, name: str = BUCKET, *, days: int = 30) -> None:
        """An empty bucket with Object Lock: each version of what lies there is kept for so many days, whoever asks."""
        asked = {"x-amz-bucket-object-lock-enabled": "true"}
        httpx.put(f"{self.url}/{name}", headers=asked, timeout=30).raise_for_status()
        rule = f"<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule>"
        enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
        body = f"<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>"
        httpx.put(f"{self.url}/{name}?object-lock", content=body, timeout=30).raise_for_status()

    def start(self) -> Self:
        if self.running:
            return self
        before = []
        if self._asked is not None and self._asked.exists():
            before = self._asked.read_text(encoding="utf-8").splitlines()
            self._asked.unlink()
        super().start()
        self._ask_again(before)
        return self

    def _ask_again(self, before: list[str]) -> None:
        """What changed anything, in its order; uploads are found by the order in which they were begun."""
        numbers: dict[str, str] = {}
        begun: dict[str, list[str]] = {}
        with httpx.Client(timeout=60) as client:
            for line in before:
                try:
                    asked = json.loads(line)
                except ValueError:  # the kill cut it off
                    continue
                if asked["method"] not in CHANGES:
                    continue
                url = httpx.URL(asked["url"]).copy_with(port=self.port)
                if (number := url.params.get("uploadId")) is not None:
                    if number not in numbers:
                        numbers[number] = begun[url.path].pop(0)
                    url = url.copy_set_param("uploadId", numbers[number])
                headers = {
                    name: value for name, value in asked["headers"].items()
                    if name.lower() not in ("host", "content-length", "transfer-encoding")
                }  # fmt: skip
                body = base64.b64decode(asked["body"]) if asked["body_encoded"] else asked["body"]
                answer = client.request(asked["method"], url, headers=headers, content=body or b"")
                if "uploads" in url.params:
                    found = ElementTree.fromstring(answer.text).find("{*}UploadId")
                    assert found is not None
                    begun.setdefault(url.path, []).append(str(found.text))

    def _prepare(self) -> None:
        """Nothing: its objects are in memory."""

    def _command(self) -> tuple[list[str], dict[str, str]]:
        kept = {}
        if self._asked is not None:
            kept = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(self._asked)}
        # Not by its name as a module, which would want our folder; -P: modules beside it are called like packages.
        program = Path(__file__).with_name("moto_with_locks.py")
        return [sys.executable, "-P", str(program), "-H", "127.0.0.1", "-p", str(self.port)], kept

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/", timeout=5).is_success
        except httpx.HTTPError:
            return False
