"""What leaves for Sentry when something fails: a real process with SENTRY_DSN, and the envelope as the other side gets
it."""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef0123456789abcdef"
PROGRAM = """
import logging, os
import django
django.setup()
from marketdata.logs import context, error_reports
error_reports.CLOSE_S = 100.0
from marketdata.types.tick_arrays import batch_number
log = logging.getLogger("ingest.tasks")

def store(price, password):
    raise ValueError(f"70123.5 is no price; tried mysql://naru:{password}@db")

ids = context.Ids("ask-1", "task-1", "ingest.tasks.process_batches", [batch_number(7, 3)], {7: "0123456789abcdef"})
with context.within(ids):
    log.warning("nothing for them")
    try:
        store(70123.5, "hunter2-hunter2")
    except ValueError:
        log.exception("batch cannot be processed batch=%d client=%s", 81234, "desk-of-kim")
if os.fork() == 0:  # as the processes of a worker are
    log.error("storage failing batches=%d", 5)
    logging.shutdown()
    os._exit(0)
os.wait()
"""


@pytest.fixture
def endpoint():
    """(port, the envelopes that came: (path, header X-Sentry-Auth, events))."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            _, *rest = body.decode().splitlines()
            came.append((self.path, self.headers["X-Sentry-Auth"], [json.loads(one) for one in rest[1::2]]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *given):
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], came
    server.shutdown()
    thread.join()
    server.server_close()


def run(program, **variables):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "marketdata.settings", "NARU_LANG": "en", **variables}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_an_error_is_reported_with_its_place_and_ids_and_without_prices_names_and_secrets(endpoint, tmp_path):
    port, came = endpoint
    (tmp_path / "dsn").write_text(f"http://{KEY}@127.0.0.1:{port}/42\n")
    (tmp_path / "dsn").chmod(0o600)

    done = run(PROGRAM, SENTRY_DSN_FILE=str(tmp_path / "dsn"), SENTRY_ENVIRONMENT="desk", VAR_DIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert {path for path, _, _ in came} == {"/api/42/envelope/"}
    assert all(f"sentry_key={KEY}" in said for _, said, _ in came)
    events = {one["logentry"]["message"]: one for _, _, sent in came for one in sent}
    assert set(events) == {"batch cannot be processed batch=%d client=%s", "storage failing batches=%d"}
    first = events["batch cannot be processed batch=%d client=%s"]
    assert (first["level"], first["logger"], first["environment"]) == ("error", "ingest.tasks", "desk")
    assert first["tags"] == {
        "area": "collection", "request_id": "ask-1", "task_id": "task-1", "task": "ingest.tasks.process_batches",
        "trace": "0123456789abcdef0000000000000003",
    }  # fmt: skip
    [error] = first["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "0 is no price; tried mysql://naru:***@db")
    assert [frame["function"] for frame in error["stacktrace"]["frames"]] == ["<module>", "store"]
    assert {"user", "request", "breadcrumbs", "extra"} & {name for name, value in first.items() if value} == set()
    told = json.dumps(list(events.values()))
    assert not [word for word in ("70123", "81234", "desk-of-kim", "hunter2", '"vars"') if word in told]
    assert KEY not in done.stderr


@pytest.mark.parametrize("dsn", ["sentry.example.com", "https://sentry.example.com/42", f"https://{KEY}@host/name"])
def test_a_dsn_that_is_none_is_refused_and_not_shown(dsn):
    done = run("import django; django.setup()", SENTRY_DSN=dsn)

    assert done.returncode != 0
    assert "SENTRY_DSN=(not shown) cannot be used: it must be an address such as https://KEY@HOST/42." in done.stderr
    assert KEY not in done.stderr


def test_without_a_dsn_nothing_of_the_package_is_loaded():
    done = run("import sys, django; django.setup(); print('sentry_sdk' in sys.modules)", SENTRY_DSN="")

    assert done.stdout.strip() == "False", done.stderr
