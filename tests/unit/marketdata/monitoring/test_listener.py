"""What Prometheus is answered, by whom, and what becomes of the port."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from marketdata.monitoring import figures
from marketdata.monitoring.listener import Listener
from marketdata.monitoring.process_tree import ProcessTree
from tests.servers import free_port
from tests.waiting import until


class Answering:
    def collect(self):
        return [figures.QUEUE_LENGTH.family({("raw_market_data",): 3})]


class Failing:
    def collect(self):
        raise RuntimeError("no such thing")


def asked(port, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def listening(*collectors, port=0):
    one = Listener("127.0.0.1", port, collectors)
    one.start()
    until(lambda: one.port, seconds=60, what="it listens")
    return one


def test_it_answers_in_the_words_of_prometheus():
    kind, text = asked(listening(Answering(), ProcessTree()).port)

    assert kind.startswith("text/plain; version=")
    values: dict[str, Any] = {
        sample.name: (sample.labels, sample.value)
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }
    assert values["naru_queue_length"] == ({"queue": "raw_market_data"}, 3)
    assert values["process_resident_memory_bytes"][1] > 1 << 20
    assert values["naru_processes"][1] >= 1


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/metrics/../etc/passwd", 404), ("/metrics", 500)])
def test_what_it_does_not_have_and_what_failed_is_a_plain_error_and_it_goes_on(path, status):
    port = listening(Failing()).port

    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(port, path)
        with refused.value:
            assert refused.value.code == status


def test_a_port_that_is_taken_stops_nobody_and_is_used_when_it_is_free(monkeypatch):
    monkeypatch.setattr("marketdata.monitoring.listener.AGAIN_S", 0.05)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        waiting = Listener("127.0.0.1", port, [Answering()])
        waiting.start()

    until(lambda: waiting.port == port, seconds=60, what="the port is free")

    assert "naru_queue_length" in asked(port)[1]


def test_the_thread_takes_no_signal_from_the_one_that_waits_for_it():
    """`runworkers` blocks SIGTERM and waits for it; a thread that did not block it would end the program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    listening(Answering())

    (thread,) = [one for one in threading.enumerate() if one.name == "metrics" and one.is_alive()][-1:]
    blocked = int(
        next(
            line.split()[1]
            for line in Path(f"/proc/self/task/{thread.native_id}/status").read_text().splitlines()
            if line.startswith("SigBlk")
        ),
        16,
    )

    assert blocked >> (signal.SIGTERM - 1) & 1
    assert blocked >> (signal.SIGINT - 1) & 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_forked_process_does_not_keep_the_port():
    one = listening(Answering())
    pid = os.fork()
    if pid == 0:
        os._exit(0 if one._server is not None and one._server.socket.fileno() == -1 else 1)

    assert os.waitpid(pid, 0)[1] == 0
    assert "naru_queue_length" in asked(one.port)[1]


def test_a_program_that_goes_on_was_started_once():
    tree = ProcessTree()

    told = {one.samples[0].value for _ in range(50) for one in tree.collect() if one.name.startswith("process_start")}

    assert len(told) == 1
    assert 0 <= time.time() - told.pop() < 86_400


def test_processes_that_were_started_count_with_their_starter():
    def figure(name):
        return next(metric for metric in ProcessTree().collect() if metric.name == name).samples[0].value

    alone = figure("naru_processes")
    spent = figure("process_cpu_seconds")
    busy = "print('up', flush=True)\nimport time\nwhile time.process_time() < 0.3: pass\nimport sys; sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert figure("naru_processes") == alone + 1

    until(lambda: figure("process_cpu_seconds") >= spent + 0.3, seconds=60, what="the child's time is seen")
    child.communicate(b"")

    assert figure("naru_processes") == alone
    assert figure("process_cpu_seconds") >= spent + 0.3
