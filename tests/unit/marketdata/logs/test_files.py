"""One log file of many processes: whole lines, none lost when it is turned, for its owner alone."""

import logging
import multiprocessing
import stat

import pytest

from marketdata.logs.files import SharedFile

WRITERS, LINES = 4, 400


def write(path, writer, max_bytes):
    handler = SharedFile(str(path), max_bytes=max_bytes, kept=500)
    logger = logging.getLogger(f"writer{writer}")
    logger.addHandler(handler)
    for number in range(LINES):
        logger.warning("%d %d %s", writer, number, "x" * (number % 97))
    logger.warning("%d long %s", writer, "y" * 20_000)  # longer than what Python keeps before it writes
    handler.close()


@pytest.mark.parametrize("max_bytes", [0, 4_000])
def test_lines_of_many_processes_are_whole_and_all_there(tmp_path, max_bytes):
    path = tmp_path / "main.log"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(path, number, max_bytes)) for number in range(WRITERS)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()

    files = [one for one in tmp_path.iterdir() if one.suffix != ".lock"]
    lines = sorted(line for one in files for line in one.read_text(encoding="utf-8").splitlines())
    assert lines == sorted(
        [f"{writer} {number} {'x' * (number % 97)}" for writer in range(WRITERS) for number in range(LINES)]
        + [f"{writer} long {'y' * 20_000}" for writer in range(WRITERS)]
    )
    assert (len(files) > 10) == bool(max_bytes)
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}


def test_so_many_older_files_stay(tmp_path):
    handler = SharedFile(str(tmp_path / "main.log"), max_bytes=10, kept=2)
    for number in range(9):
        handler.emit(logging.makeLogRecord({"msg": f"line number {number}"}))
    handler.close()

    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("main.log.[0-9]")} == {
        "main.log.1": "line number 8\n",
        "main.log.2": "line number 7\n",
    }


def test_a_file_that_logrotate_moved_is_begun_anew(tmp_path):
    path = tmp_path / "main.log"
    handler = SharedFile(str(path), max_bytes=0, kept=1)
    handler.emit(logging.makeLogRecord({"msg": "before"}))
    path.rename(tmp_path / "main.log-1")
    handler.emit(logging.makeLogRecord({"msg": "after"}))
    handler.close()

    assert path.read_text(encoding="utf-8") == "after\n"
    assert (tmp_path / "main.log-1").read_text(encoding="utf-8") == "before\n"
