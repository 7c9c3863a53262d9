import http.server
import threading
from contextlib import contextmanager

import pytest

from tests.bench.api import clients


@contextmanager
def server(status, body):
    """A web server that answers everything alike, and the requests it has had."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, self.headers["APCA-API-KEY-ID"], self.client_address))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            """Nothing on the screen."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield made.server_address[1], asked
        finally:
            made.shutdown()
            thread.join()


def plan(port, clients_at_once):
    return clients.Plan([port], "/v2/clock", {"APCA-API-KEY-ID": "key"}, clients_at_once, 0.2)


def test_each_client_asks_again_on_its_own_connection_once_it_has_the_whole_answer():
    with server(200, b"x" * 300_000) as (port, asked):
        found = clients.ask(plan(port, 3))

    assert 0 < found.answers == len(found.waits_ms)
    assert found.answers <= len(asked) <= found.answers + 3
    assert {(path, key) for path, key, _ in asked} == {("/v2/clock", "key")}
    assert len({address for _, _, address in asked}) == 3


def test_an_answer_that_is_not_a_good_one_ends_the_run():
    with server(429, b'{"code":42910000}') as (port, _), pytest.raises(RuntimeError, match="429"):
        clients.ask(plan(port, 1))
