"""What a terminal keeps is for its own user alone, whatever the umask of the program it is part of."""

import contextlib
import os

import pytest

from terminals import command, wire
from terminals.journal import Journal
from terminals.spool import Spool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes mean little on Windows")


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_spool_is_private_and_so_is_one_that_an_older_version_left_open(tmp_path):
    older = tmp_path / "older"
    older.mkdir(mode=0o755)

    for folder in (tmp_path / "in/here", older):
        with contextlib.closing(Spool(folder)) as spool:
            spool.append(wire.encode_rows(1, "sim", 0, [{"symbol": "A"}]))
            Journal(tmp_path / f"{folder.name}.journal", spool).close()

        assert folder.stat().st_mode & 0o077 == 0
        assert (tmp_path / f"{folder.name}.journal").stat().st_mode & 0o077 == 0


def test_the_command_makes_files_for_its_own_user_only(tmp_path):
    link = ["--server", "127.0.0.1:1", "--client", "t1", "--spool", str(tmp_path / "spool")]

    assert command.main(["replay", str(tmp_path / "nowhere.csv"), *link]) == command.WRONG_INPUT

    assert os.umask(0o077) == 0o077
