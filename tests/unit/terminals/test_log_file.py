"""A terminal's log in a file: private, bounded, turned without losing a line, also where the file cannot be renamed."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from terminals import command
from terminals.log_file import LogFile

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def line(number: int, created: float = 0.0) -> logging.LogRecord:
    record = logging.makeLogRecord({"msg": f"line {number:06d} " + "x" * 87})
    record.created = created or record.created
    return record


@pytest.fixture
def log(tmp_path):
    handler = LogFile(tmp_path / "logs" / "kis.log", max_bytes=1_000, kept=3)
    yield handler
    handler.close()


def lines(folder: Path) -> list[int]:
    files = sorted(folder.iterdir(), key=lambda file: -int(file.suffix[1:]) if file.suffix[1:].isdigit() else 0)
    return [int(text.split()[1]) for file in files for text in file.read_text(encoding="utf-8").splitlines()]


def test_the_newest_lines_are_there_in_files_of_a_bounded_size_for_their_user_alone(log, tmp_path):
    for number in range(60):
        log.emit(line(number))

    kept = lines(tmp_path / "logs")
    assert kept == list(range(kept[0], 60))
    assert len(kept) >= 27
    files = list((tmp_path / "logs").iterdir())
    assert {file.name for file in files} == {"kis.log", "kis.log.1", "kis.log.2", "kis.log.3"}
    assert max(file.stat().st_size for file in files) <= 1_000
    if os.name == "posix":
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_renamed_is_written_on_for_a_while_and_turned_later(log, tmp_path, monkeypatch):
    held, replace = threading.Event(), Path.replace

    def rename(self, target):
        if held.is_set() and self.name == "kis.log":
            raise PermissionError(13, "used by another process")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", rename)
    for number in range(15):
        log.emit(line(number))
    held.set()
    for number in range(15, 60):
        log.emit(line(number))
    largest = (tmp_path / "logs" / "kis.log").stat().st_size
    held.clear()
    log.emit(line(60, created=log._again_s + 1))

    kept = lines(tmp_path / "logs")
    assert 1_900 <= largest <= 2_100
    assert kept[:-1] == list(range(len(kept) - 1))  # what came later had no room
    assert kept[-1] == 60
    assert (tmp_path / "logs" / "kis.log.1").stat().st_size == largest


def test_a_terminal_writes_its_log_there_without_its_key(tmp_path, monkeypatch):
    rows = tmp_path / "bad.csv"
    rows.write_text("symbol,ts,price,size,side,seq\nESH4,1,abc,1,B,1\n")
    file = tmp_path / "logs" / "replay.log"
    options = ["--server", "127.0.0.1:1", "--client", "t1", "--spool", str(tmp_path / "spool"), "--log-file", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "terminals", "replay", str(rows), "--strict", *options],
        env=os.environ | {"NARU_KEY": SECRET, "NARU_LANG": "en"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    told = file.read_text(encoding="utf-8")
    assert done.returncode == command.WRONG_INPUT
    assert "bad.csv line 2" in told
    assert told == done.stderr
    assert SECRET not in told


def test_what_nobody_caught_is_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    command._log_crashes()

    def fail() -> None:
        raise RuntimeError("a library of a vendor")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    assert [record.levelname for record in caplog.records] == ["CRITICAL"] * 2
    assert caplog.text.count("a library of a vendor") >= 2


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NARU_KEY", SECRET)
    (tmp_path / "file").touch()
    options = ["--server", "127.0.0.1:1", "--client", "t1", "--spool", str(tmp_path / "spool")]

    code = command.main(["simulate", *options, "--log-file", str(tmp_path / "file" / "kis.log")])

    assert code == command.WRONG_INPUT
    assert "--log-file" in capsys.readouterr().err
