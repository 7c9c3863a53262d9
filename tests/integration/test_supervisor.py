"""The supervisor's few dealings with the machine: ports, processes, programs."""

import os
import socket
import subprocess
import sys

import pytest

from marketdata.launcher import child_process, supervisor
from tests.waiting import until

pytestmark = pytest.mark.once

SLEEPER = [sys.executable, "-c", "input()"]


def test_a_port_that_is_taken_gives_way_to_the_next():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]

        assert supervisor.port_near(wanted) > wanted


def test_a_port_promised_to_another_process_is_not_given_twice():
    first = supervisor.port_near(20_000)

    assert supervisor.port_near(first, taken=[first]) != first


def test_what_a_run_left_is_found_by_its_mark(tmp_path):
    environment = os.environ | {supervisor.MARK: str(tmp_path)}
    with subprocess.Popen(SLEEPER, env=environment, stdin=subprocess.PIPE) as left:
        until(lambda: left.pid in supervisor.processes_of(tmp_path), seconds=5, what="the marked process")

        assert supervisor.processes_of(tmp_path / "other") == []


def test_a_tethered_program_is_the_program_itself():
    done = subprocess.run(child_process.command(["cat", "/proc/self/comm"]), capture_output=True, text=True)

    assert done.stdout == "cat\n"


def test_a_tether_whose_starter_is_gone_starts_nothing():
    done = subprocess.run(child_process.command(["echo", "started"], parent=1), capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout == ""


def test_the_bundled_valkey_starts():
    program = supervisor.bundled_valkey()

    assert program is not None
    assert "Valkey" in subprocess.run([program, "--version"], capture_output=True, text=True).stdout
