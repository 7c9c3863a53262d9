"""How programs are found and run."""

import os
import time
from pathlib import Path

import pytest

from marketdata.storage import programs
from marketdata.storage.backups import ProgramFailed, ProgramMissing, Programs


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_named_folder_comes_before_the_path_and_a_name_before_its_older_one(tmp_path, monkeypatch):
    old = program(tmp_path / "a", "mariabackup")
    monkeypatch.setenv("PATH", str(tmp_path / "b"))
    program(tmp_path / "b", "mariabackup")

    found = Programs([tmp_path / "a"])

    assert found.find("mariadb-backup", "mariabackup", package="p") == old
    new = program(tmp_path / "b", "mariadb-backup")
    assert found.find("mariadb-backup", "mariabackup", package="p") == new


def test_a_program_that_is_nowhere_is_named_with_its_package(tmp_path):
    with pytest.raises(ProgramMissing, match=r"no-such-program is not installed.*Install some-package"):
        Programs([tmp_path]).find("no-such-program", package="some-package")


def test_a_tree_of_its_own_brings_its_libraries_and_the_system_needs_none(tmp_path, monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    library = tmp_path / f"usr/lib/{os.uname().machine}-linux-gnu"
    library.mkdir(parents=True)

    for place in ("usr/sbin/mariadbd", "usr/lib/postgresql/15/bin/postgres"):
        assert str(library) in programs.environment(tmp_path / place)["LD_LIBRARY_PATH"].split(":")
    assert "LD_LIBRARY_PATH" not in programs.environment(Path("/usr/sbin/mariadbd"))


def test_a_program_that_fails_is_told_with_its_last_words(tmp_path):
    failing = program(tmp_path, "failing", "echo begun; echo 'ERROR: no space'; exit 3")

    with pytest.raises(ProgramFailed, match=r"failing.*status 3: ERROR: no space"):
        programs.run([failing], log=tmp_path / "log")


def test_a_program_is_killed_when_whoever_watches_it_gives_up(tmp_path):
    slow = program(tmp_path, "slow", f"echo $$ > {tmp_path}/pid; exec sleep 60")

    def give_up() -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise TimeoutError

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        programs.run([slow], log=tmp_path / "log", look=give_up)

    assert time.monotonic() - began < 30
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
