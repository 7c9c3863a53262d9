import os
import subprocess
import sys

from tests.servers.process import is_left_behind, keep, temporary_folder

ENDED = "import sys; from tests.servers.process import temporary_folder; print(temporary_folder(sys.argv[1]))"


def test_what_a_drill_keeps_is_there_when_the_next_one_clears_up(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = temporary_folder("drill")
    (mine / "evidence").write_text("here")
    command = [sys.executable, "-c", ENDED, "ended"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    left = tmp_path / done.stdout.strip()

    kept = keep(mine)
    assert left.exists()
    assert is_left_behind(left)
    temporary_folder("next")

    assert not left.exists()
    assert not mine.exists()
    assert (kept / "evidence").read_text() == "here"
