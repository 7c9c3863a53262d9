"""The supervisor's few dealings with the machine: ports, processes, programs."""

import os
import socket
import subprocess
import sys
import time

import pytest

from marketdata.launcher import child_process, supervisor
from tests.waiting import until

pytestmark = pytest.mark.once

SLEEPER = [sys.executable, "-c", "input()"]


def test_a_port_that_is_taken_gives_way_to_the_next():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]

        assert supervisor.port_near(wanted) > wanted


def test_a_port_is_promised_to_one_run_until_it_ends():
    """Long before a server listens there."""
    program = "from marketdata.launcher import supervisor; print(supervisor.port_near({}), flush=True); input()"

    def asked(wanted: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program.format(wanted)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with asked(20_000) as one:
        assert one.stdout is not None
        first = int(one.stdout.readline())
        mine = supervisor.port_near(first)
        one.communicate("\n")

    assert mine != first
    assert supervisor.port_near(mine) not in (first, mine)
    assert supervisor.port_near(first) == first


def test_what_a_run_left_is_found_by_its_mark(tmp_path):
    environment = os.environ | {supervisor.MARK: str(tmp_path)}
    with subprocess.Popen(SLEEPER, env=environment, stdin=subprocess.PIPE) as left:
        until(lambda: left.pid in supervisor.processes_of(tmp_path), seconds=60, what="the marked process")

        assert supervisor.processes_of(tmp_path / "other") == []


def test_a_tethered_program_is_the_program_itself():
    done = subprocess.run(child_process.command(["cat", "/proc/self/comm"]), capture_output=True, text=True)

    assert done.stdout == "cat\n"


def test_a_program_begins_no_sooner_than_it_was_told():
    moment = time.monotonic() + 0.5
    clock = [sys.executable, "-I", "-S", "-c", "import time; print(time.monotonic())"]

    done = subprocess.run(child_process.command(clock, not_before=moment), capture_output=True, text=True)

    assert float(done.stdout) >= moment


def test_a_tether_whose_starter_is_gone_starts_nothing():
    done = subprocess.run(child_process.command(["echo", "started"], parent=1), capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout == ""


def test_the_bundled_valkey_starts():
    program = supervisor.bundled_valkey()

    assert program is not None
    assert "Valkey" in subprocess.run([program, "--version"], capture_output=True, text=True).stdout
