"""Commands beside `make run` find what it chose, and nothing of one that is gone."""

from marketdata.launcher import instance


def test_what_a_run_chose_is_found_while_it_runs_and_by_its_own_user_alone(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    file, chosen = run / "instance.json", {"REDIS_URL": "redis://:secret@127.0.0.1:6391/0"}

    assert instance.variables(tmp_path) == {}
    with instance.told(run, chosen):
        assert instance.variables(tmp_path) == chosen
        assert file.stat().st_mode & 0o777 == 0o600
        kept = file.read_text()
    assert not file.exists()
    file.write_text(kept)  # as after a kill
    assert instance.variables(tmp_path) == {}
    with instance.told(run, {}):
        assert instance.variables(tmp_path) == {}
