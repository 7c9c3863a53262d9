"""The nginx file that we hand out, in front of the real web server: logins, WebSockets and addresses go through it."""

import asyncio
import http.client
import http.server
import json
import os
import re
import ssl
import threading
import urllib.parse

import pytest
from django.contrib.auth import get_user_model
from websockets.typing import Origin

from api.throttling import login_throttle
from tests.integration.serving import PATIENCE_S, connect, serving
from tests.integration.test_ingest import certificate
from tests.integration.test_stream_served import _web
from tests.servers import ServerMissing, free_port, packages
from tests.servers.nginx import Nginx

__all__ = ["certificate", "serving"]
pytestmark = pytest.mark.once


@pytest.fixture
def nginx(serving, road, certificate, tmp_path):
    try:
        packages.need("nginx")
    except ServerMissing as error:
        if os.environ.get("NARU_REQUIRE_SERVERS") or os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    for web in _web(road, BEHIND_TLS="1", ALLOWED_HOSTS="127.0.0.1", PAGE_PUBLIC="0"):
        made = Nginx(tmp_path / "nginx", [web], certificate)
        done = made.tested()
        assert (done.returncode, "warn" in done.stderr) == (0, False), done.stderr
        with made:
            yield made


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
    proxy = Nginx(tmp_path / "nginx", [first.address, second.address], certificate)
    assert proxy.tested().returncode == 0
    with proxy:
        both = [ask(proxy, trust, "/")[0] for _ in range(8)]
        shared = first.asked.count("GET"), second.asked.count("GET")
        posted = ask(proxy, trust, "/", method="POST", body=b"once")[0]
        posts = first.asked.count("POST") + second.asked.count("POST")
        first.close()
        alone = [ask(proxy, trust, "/")[0] for _ in range(8)]
    second.close()

    assert (both, alone) == ([200] * 8, [200] * 8)
    assert min(shared) > 0
    assert (posted, posts) == (502, 1)
