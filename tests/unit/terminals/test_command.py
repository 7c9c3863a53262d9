"""The command line: clear words and exit codes for whoever typed it, and no secret in any of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from terminals import command, wire
from terminals import spool as spools

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
ROW = "symbol,ts,price,size,side,seq\nESH4,1703545200000000000,4800.25,1,B,1\n"


@pytest.fixture
def link(tmp_path, monkeypatch):
    monkeypatch.setenv("NARU_KEY", SECRET)
    return ["--server", "127.0.0.1:1", "--client", "t1", "--spool", str(tmp_path / "spool")]


def test_a_missing_file_is_wrong_input(link, caplog):
    assert command.main(["replay", "nowhere.csv", *link]) == command.WRONG_INPUT
    assert "nowhere.csv cannot be read" in caplog.text


def test_a_malformed_row_is_named_by_its_line(link, caplog, tmp_path):
    file = tmp_path / "bad.csv"
    file.write_text(ROW + "ESH4,1,abc,1,B,1\n")

    assert command.main(["replay", str(file), *link, "--strict"]) == command.WRONG_INPUT
    assert "bad.csv line 3" in caplog.text
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("key", ["", "too short", SECRET[:-1] + "*"])
def test_a_key_that_is_none_is_told_but_not_shown(link, caplog, monkeypatch, key):
    monkeypatch.setenv("NARU_KEY", key)

    assert command.main(["simulate", *link]) == command.WRONG_INPUT
    assert "key" in caplog.text
    assert not key or key not in caplog.text


def test_a_key_may_come_from_a_file(link, caplog, tmp_path, monkeypatch):
    monkeypatch.delenv("NARU_KEY")
    (tmp_path / "key").write_text(SECRET + "\n")

    assert command.main(["replay", "nowhere.csv", *link, "--key-file", str(tmp_path / "key")]) == command.WRONG_INPUT
    assert "nowhere.csv" in caplog.text


def test_a_key_file_that_is_not_there_is_told_in_words(link, caplog):
    assert command.main(["simulate", *link, "--key-file", "desk1.key"]) == command.WRONG_INPUT
    assert "the key file desk1.key cannot be read: there is no such file" in caplog.text
    assert "Errno" not in caplog.text


def test_a_wrong_address_is_told(link, caplog):
    assert command.main(["simulate", *link, "--server", "nowhere"]) == command.WRONG_INPUT
    assert "host:port" in caplog.text


def test_there_is_no_option_for_the_key_itself(link):
    with pytest.raises(SystemExit) as caught:
        command.main(["simulate", *link, "--key", SECRET])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "options",
    [["--speed", "-1"], ["--speed", "nan"], ["--batch-rows", "5001"], ["--flush-ms", "0"], ["--spool-mib", "x"]],
)
def test_an_option_out_of_range_is_told(link, options):
    with pytest.raises(SystemExit) as caught:
        command.main(["replay", "a.csv", *link, *options])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("option", "name"),
    [("--feed", "Replay-1"), ("--feed", ""), ("--client", ""), ("--client", "c" * 65), ("--register-market", "krx")],
)
def test_a_name_that_no_server_takes_is_told_before_anything_starts(link, tmp_path, capsys, option, name):
    file = tmp_path / "a.csv"
    file.write_text("symbol,ts,price,size,side,seq\n")

    with pytest.raises(SystemExit) as caught:
        command.main(["replay", str(file), *link, option, name])

    assert caught.value.code == 2
    assert repr(name) in capsys.readouterr().err


def test_the_simulated_symbols_can_be_listed(capsys):
    assert command.main(["symbols", "--symbols", "2"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "S00001,가람전자(모의),Garam Electronics (simulated)",
        "S00002,나래전자(모의),Narae Electronics (simulated)",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_and_what_was_made_is_in_the_spool(tmp_path, number):
    words = [
        "simulate",
        "--rate",
        "100",
        "--client",
        "t1",
        "--server",
        "127.0.0.1:1",
        "--spool",
        str(tmp_path / "spool"),
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "terminals", *words],
        env={**os.environ, "NARU_KEY": SECRET},
        cwd=Path(__file__).resolve().parents[3],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    # The first try to connect comes after everything is set up.
    before = next(line for line in child.stderr if "code=cannot_connect" in line)

    child.send_signal(number)
    after = child.stderr.read()
    child.stderr.close()

    assert child.wait(300) == 0
    assert "done sent=" in after
    assert SECRET not in before + after
    kept = sum(wire.parse_header(payload).rows for _seq, payload in spools.read(tmp_path / "spool"))
    assert f"done sent={kept} " in after


HANGING = """
import os, signal, sys, time
from terminals import command
from terminals.sources import replay
class Hanging:
    def describe(self): return "hanging"
    def run(self, terminal, pace):
        os.kill(os.getpid(), signal.SIGTERM)
        while True: time.sleep(1)
command.STOP_S = 0.2
replay.open_source = lambda given: Hanging()
sys.exit(command.main(sys.argv[1:]))
"""


def test_a_source_that_does_not_end_by_itself_is_ended(link):
    found = subprocess.run(
        [sys.executable, "-c", HANGING, "replay", "a.csv", *link],
        cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert found.returncode == command.FAILED, found.stderr
    assert "ended although" in found.stderr


def test_a_journal_that_is_another_file_is_told_and_left_alone(link, caplog, tmp_path):
    file = tmp_path / "trades.csv"
    file.write_text(ROW)

    assert command.main(["replay", str(file), *link, "--journal", str(file)]) == command.WRONG_INPUT

    assert "--journal" in caplog.text
    assert file.read_text() == ROW
