"""`manage.py` and `python -m terminals` end quietly or with one sentence where no traceback would help anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value", "right"), [("INGEST_PORT", "99999", "from 1 to 65535"), ("SECRET_KEY", "x", "at least 50")]
)
def test_a_setting_that_cannot_be_used_is_told_in_one_line(name, value, right):
    ended = subprocess.run(
        [sys.executable, "manage.py", "feeds"], cwd=ROOT, env=os.environ | {name: value},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert name in line
    assert right in line


@pytest.mark.parametrize("command", [["manage.py", "--help"], ["-m", "terminals", "symbols"]])
def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(command):
    reader, writer = os.pipe()
    os.close(reader)

    ended = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (ended.returncode, ended.stderr) == (141, b"")
