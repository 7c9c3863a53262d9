"""A stop is heard whoever owns the wakeup descriptor."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, signal, sys, threading
from terminals.signals import StopSignals
heard = threading.Event()
StopSignals(heard.set)
if sys.argv[1] == "taken":
    signal.set_wakeup_fd(-1)
os.kill(os.getpid(), signal.SIGTERM)
print(heard.wait(60), flush=True)
"""


def run(word):
    command = [sys.executable, "-c", PROGRAM, word]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_signal_is_heard():
    assert run("ours") == "True\n"


def test_a_signal_is_heard_when_an_event_loop_has_taken_the_wakeup_descriptor():
    assert run("taken") == "True\n"
