import os

from marketdata.launcher import liveness


def test_a_loop_that_turns_renews_its_file_now_and_then(tmp_path, monkeypatch):
    file = tmp_path / "alive"
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)

    liveness.renew(str(file))
    os.utime(file, (0, 0))
    now += liveness.EVERY_S / 2
    liveness.renew(str(file))
    assert file.stat().st_mtime == 0
    now += liveness.EVERY_S
    liveness.renew(str(file))

    assert file.stat().st_mtime > 0


def test_without_a_file_or_without_its_folder_the_loop_goes_on(tmp_path, caplog):
    liveness.renew("")
    liveness.renew(str(tmp_path / "nowhere" / "alive"))

    assert "cannot say that it lives" in caplog.text
