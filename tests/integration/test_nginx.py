"""The nginx file that we hand out, in front of the real web server: logins, WebSockets and addresses go through it."""

import asyncio
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from websockets.typing import Origin

from api.throttling import login_throttle
from tests.integration.serving import PATIENCE_S, connect, serving
from tests.integration.test_ingest import certificate
from tests.integration.test_stream_served import _web
from tests.road import ROOT
from tests.servers import ServerMissing, free_port, packages
from tests.servers.process import spawn
from tests.waiting import until

__all__ = ["certificate", "serving"]
pytestmark = pytest.mark.once

FILE = ROOT / "docker/nginx/naru.conf"


class Nginx:
    """nginx with our file, its addresses and certificate replaced; runs in the foreground until it is ended."""

    def __init__(self, folder: Path, web: str, certificate: tuple[Path, Path], second: str = "") -> None:
        self.program, self.environment = packages.need("nginx")
        self.plain, self.port = free_port(), free_port()
        self.folder = folder
        folder.mkdir()
        text = FILE.read_text(encoding="utf-8")
        for before, after in {
            "listen 80;": f"listen 127.0.0.1:{self.plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "server 127.0.0.1:8000 ": f"server {web} ",
            "#server 192.0.2.32:8000 ": f"server {second} " if second else "#server 192.0.2.32:8000 ",
            "/srv/naru/tls/fullchain.pem": str(certificate[0]),
            "/srv/naru/tls/key.pem": str(certificate[1]),
        }.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (folder / "naru.conf").write_text(text)
        places = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/pid; error_log {folder}/error.log;"
            f" worker_processes 1; events {{}} http {{ access_log off; {places} include {folder}/naru.conf; }}"
        )
        self.command = [
            str(self.program),
            "-e",
            str(folder / "error.log"),
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
        ]

    def tested(self) -> subprocess.CompletedProcess[str]:
        """What nginx itself says of the file."""
        return subprocess.run([*self.command, "-t"], env=self.environment, capture_output=True, text=True, timeout=60)

    def start(self) -> subprocess.Popen[bytes]:
        process = spawn(self.command, environment=self.environment, log=self.folder / "log", cwd=self.folder)
        until(lambda: process.poll() is not None or self._listens(), seconds=60, what="nginx")
        assert process.poll() is None, (self.folder / "error.log").read_text()
        return process

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def nginx(serving, road, certificate, tmp_path):
    try:
        packages.need("nginx")
    except ServerMissing as error:
        if os.environ.get("NARU_REQUIRE_SERVERS") or os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    for web in _web(road, BEHIND_TLS="1", ALLOWED_HOSTS="127.0.0.1", PAGE_PUBLIC="0"):
        made = Nginx(tmp_path / "nginx", web, certificate)
        done = made.tested()
        assert (done.returncode, "warn" in done.stderr) == (0, False), done.stderr
        process = made.start()
        yield made
        process.terminate()
        process.wait(60)


@pytest.fixture
def trust(certificate):
    return ssl.create_default_context(cafile=str(certificate[0]))


def ask(nginx, trust, path, *, method="GET", body=None, source="127.0.0.9", **headers):
    """(status, headers, content) through nginx, from an address of our choice."""
    link = http.client.HTTPSConnection(
        "127.0.0.1", nginx.port, timeout=30, context=trust, source_address=(source, 0)
    )  # fmt: skip
    link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = link.getresponse()
    content = answer.read()
    link.close()
    return answer.status, answer.headers, content


def logged_in(nginx, trust):
    """The cookies of staff who logged in through the proxy."""
    get_user_model().objects.create_superuser("boss", password="right horse battery")
    _, headers, content = ask(nginx, trust, "/login/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', content)
    assert token is not None
    cookie = headers["Set-Cookie"].partition(";")[0]
    form = {"username": "boss", "password": "right horse battery", "csrfmiddlewaretoken": token[1].decode()}
    status, headers, content = ask(
        nginx, trust, "/login/", method="POST", body=urllib.parse.urlencode(form), Cookie=cookie,
        Content_Type="application/x-www-form-urlencoded", Referer=f"https://127.0.0.1:{nginx.port}/login/",
    )  # fmt: skip
    assert status == 302, content
    (session,) = [line for line in headers.get_all("Set-Cookie") if line.startswith("sessionid=")]
    assert "secure" in session.lower()
    return session.partition(";")[0]


async def test_people_log_in_through_the_proxy_and_their_page_hears_the_stream(nginx, trust, serving):
    cookie = await asyncio.to_thread(logged_in, nginx, trust)
    address = f"wss://127.0.0.1:{nginx.port}/v2/stream/krx"

    async with connect(
        address, ssl=trust, origin=Origin(f"https://127.0.0.1:{nginx.port}"), additional_headers={"Cookie": cookie}
    ) as page:
        heard = [json.loads(await asyncio.wait_for(page.recv(), PATIENCE_S)) for _ in range(2)]
    async with connect(
        address, ssl=trust, origin=Origin(f"http://127.0.0.1:{nginx.port}"), additional_headers={"Cookie": cookie}
    ) as other_scheme:
        greeting = json.loads(await asyncio.wait_for(other_scheme.recv(), PATIENCE_S))
        assert greeting == [{"T": "success", "msg": "connected"}]
        await other_scheme.send('{"action":"subscribe","trades":["*"]}')
        (refused,) = json.loads(await asyncio.wait_for(other_scheme.recv(), PATIENCE_S))

    assert heard[1] == [{"T": "success", "msg": "authenticated"}]
    assert refused["code"] == 401


def test_the_address_is_the_one_that_nginx_sees_whatever_the_caller_writes(nginx, trust, serving):
    wrong = {"APCA_API_KEY_ID": serving.reader.key_id, "APCA_API_SECRET_KEY": "wrong"}
    codes = [
        ask(nginx, trust, "/v2/symbols", X_Forwarded_For=f"198.51.100.{number}, 8.8.8.8 reason=ok", **wrong)[0]
        for number in range(login_throttle.MOST_PER_KEY + 3)
    ]

    assert codes == [401] * login_throttle.MOST_PER_KEY + [429] * 3
    assert ask(nginx, trust, "/v2/symbols", source="127.0.0.10", **wrong)[0] == 401


def test_plain_http_is_led_to_tls_and_large_bodies_are_refused(nginx, trust):
    link = http.client.HTTPConnection("127.0.0.1", nginx.plain, timeout=30)
    link.request("GET", "/login/", headers={"Host": "127.0.0.1"})
    answer = link.getresponse()
    link.close()

    assert (answer.status, answer.headers["Location"]) == (301, "https://127.0.0.1/login/")
    assert ask(nginx, trust, "/login/", method="POST", body=b"x" * (1 << 21))[0] == 413


class Backend:
    """A web server that notes what it was asked, and closes the connection of each POST without an answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append(self.command)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def do_POST(self) -> None:
                owner.asked.append(self.command)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: what was asked is noted."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_web_server_that_is_gone_is_left_out_and_nothing_is_done_twice(certificate, trust, tmp_path):
    first, second = Backend(), Backend()
    proxy = Nginx(tmp_path / "nginx", first.address, certificate, second.address)
    assert proxy.tested().returncode == 0
    process = proxy.start()
    try:
        both = [ask(proxy, trust, "/")[0] for _ in range(8)]
        shared = first.asked.count("GET"), second.asked.count("GET")
        posted = ask(proxy, trust, "/", method="POST", body=b"once")[0]
        posts = first.asked.count("POST") + second.asked.count("POST")
        first.close()
        alone = [ask(proxy, trust, "/")[0] for _ in range(8)]
    finally:
        process.terminate()
        process.wait(60)
        second.close()

    assert (both, alone) == ([200] * 8, [200] * 8)
    assert min(shared) > 0
    assert (posted, posts) == (502, 1)
