"""What Naru makes is for its own user alone, and what an older version left open is closed."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from marketdata import private

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder):
    """What group or others may do anything with, of the folder itself and all below."""
    everything = [folder, *folder.rglob("*")]
    return [path for path in everything if not path.is_symlink() and path.lstat().st_mode & 0o077]


def test_a_folder_of_an_older_version_is_closed_with_all_that_is_in_it(tmp_path):
    folder = tmp_path / "var"
    (folder / "log/deep").mkdir(parents=True)
    (folder / "log/deep/web.log").write_text("secret")
    (folder / "naru.sqlite3").write_text("secret")
    (folder / "naru.sqlite3").chmod(0o666)
    outside = tmp_path / "elsewhere"
    outside.write_text("not ours")
    (folder / "link").symlink_to(outside)

    private.begin(folder)

    assert open_to_others(folder) == []
    assert outside.stat().st_mode & 0o777 == 0o644
    assert os.access(folder / "log/deep/web.log", os.R_OK | os.W_OK)


def test_a_folder_that_is_closed_already_is_not_walked_through_again(tmp_path):
    private.make(tmp_path / "var")
    shared = tmp_path / "var/shared"
    shared.write_text("opened on purpose, inside a closed folder")
    shared.chmod(0o644)

    private.begin(tmp_path / "var")

    assert shared.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_no_reason_to_fail(tmp_path):
    private.begin(tmp_path / "nowhere")

    (tmp_path / "made").mkdir()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what is another user's")
def test_a_folder_of_somebody_else_is_left_alone():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        script = (
            "import os, pathlib; from marketdata import private; os.setuid(65534);"
            f" private.begin(pathlib.Path({folder!r})); print(os.listdir({folder!r}))"
        )

        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)

        assert (done.stdout, done.stderr) == ("[]\n", "")
        assert Path(folder).stat().st_mode & 0o777 == 0o755


ENTRIES = {
    "manage.py": "import sys, manage; sys.argv = ['manage.py', 'diffsettings']; manage.main()",
    "celery -A celery_app": "import celery_app",
    "api.asgi": "import api.asgi",
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_of_the_server_side_makes_private_files(tmp_path, entry):
    done = subprocess.run(
        [sys.executable, "-c", f"{ENTRIES[entry]}; import os; print(os.umask(0))"],
        cwd=ROOT, env=os.environ | {"VAR_DIR": str(tmp_path / "var"), "DATABASE_URL": ""},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1:] == [str(0o077)], done.stderr
    assert open_to_others(tmp_path / "var") == []


FORKED_INSIDE = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[2])
from marketdata import private
path = pathlib.Path(sys.argv[1])
read, write = os.pipe()
with private.alone(path):
    if os.fork() == 0:  # as the pool of a worker is, while another thread is inside
        os.close(write)
        os.read(read, 1)  # as long as its starter lives
        os._exit(0)
with private.alone(path):
    print("inside again", flush=True)
"""


def test_a_process_that_was_forked_while_a_file_was_locked_does_not_keep_the_lock(tmp_path):
    command = [sys.executable, "-c", FORKED_INSIDE, str(tmp_path / "lock"), str(ROOT)]

    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout

    assert told == "inside again\n"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_one_at_a_time_is_inside(tmp_path):
    order: list[str] = []
    second = threading.Thread(target=lambda: _enter(tmp_path / "lock", order))

    with private.alone(tmp_path / "lock"):
        second.start()
        second.join(0.2)
        order.append("first")
    second.join(300)

    assert order == ["first", "second"]


def _enter(path, order):
    with private.alone(path):
        order.append("second")
