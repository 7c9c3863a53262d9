"""`python -m terminals check` against a real server: what it says is so, and it leaves no trace."""

import subprocess
import sys
from pathlib import Path

import pytest

from marketdata.models import IngestStream
from tests.road import Road, secret_of

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def check(road: Road, tmp_path):
    road.ingest()

    def run(client: str, secret: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "key").write_text(secret)
        link = ["--server", f"127.0.0.1:{road.port}", "--client", client, "--key-file", str(tmp_path / "key")]
        return subprocess.run(
            [sys.executable, "-m", "terminals", "check", "simulate", *link, "--spool", str(tmp_path / "spool")],
            cwd=ROOT, capture_output=True, text=True, timeout=300, env={"NARU_LANG": "en", "PATH": ""},
        )  # fmt: skip

    return run


def test_a_terminal_that_may_send_is_told_so_with_its_clock_and_the_server_keeps_nothing_of_it(check):
    done = check("checked", secret_of("checked", "SIMULATOR"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[good] the server knows client checked and its key, and proved its own" in done.stdout
    assert "[good] this clock and the server's are" in done.stdout
    assert not IngestStream.objects.filter(client__name="checked").exists()


def test_what_the_server_refuses_is_told_with_what_to_do(check):
    wrong_key = check("checked", "A" * 43)
    wrong_source = check("replayer", secret_of("replayer", "REPLAY"))

    assert (wrong_key.returncode, wrong_source.returncode) == (1, 1)
    assert "not_authorised" in wrong_key.stdout
    assert "source_mismatch" in wrong_source.stdout
    assert wrong_source.stdout.count("    → ") == 1
