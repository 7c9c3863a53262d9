import random

import pytest

from terminals.sources.kis.reconnects import Reconnects


def reconnects(tmp_path, **options):
    return Reconnects(tmp_path / "one.reconnects", rng=random.Random(1), **options)


def test_the_first_connection_waits_for_nothing(tmp_path):
    assert reconnects(tmp_path).wait_s(1_000.0) == 0.0


def test_there_is_a_floor_and_each_failure_doubles_it_up_to_a_limit(tmp_path):
    waits, now, one = [], 1_000.0, reconnects(tmp_path)
    for _ in range(8):
        one.begin(now)
        waits.append(one.wait_s(now))

    assert all(
        floor <= wait <= floor * 1.25 for floor, wait in zip((10, 20, 40, 80, 160, 300, 300, 300), waits, strict=True)
    )


def test_time_that_has_passed_counts(tmp_path):
    one = reconnects(tmp_path)
    one.begin(1_000.0)

    assert one.wait_s(1_004.0) == pytest.approx(one.wait_s(1_000.0) - 4.0)
    assert one.wait_s(2_000.0) == 0.0
    assert one.wait_s(1_000.0, at_least_s=45.0) == 45.0


def test_a_restart_of_the_program_forgets_nothing(tmp_path):
    one = reconnects(tmp_path)
    for _ in range(3):
        one.begin(1_000.0)

    again = reconnects(tmp_path)

    assert again.attempts == 3
    assert 40.0 <= again.wait_s(1_000.0) <= 50.0


def test_a_connection_that_held_leaves_the_floor_only(tmp_path):
    one = reconnects(tmp_path)
    for _ in range(5):
        one.begin(1_000.0)

    one.held()

    assert 10.0 <= one.wait_s(1_000.0) <= 12.5
    assert one.wait_s(1_100.0) == 0.0
    assert reconnects(tmp_path).attempts == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"attempts": "x", "last_at": 1}', '{"attempts": -5, "last_at": 0}']
)
def test_a_file_that_cannot_be_read_is_no_attempt(tmp_path, content):
    (tmp_path / "one.reconnects").write_text(content)

    assert reconnects(tmp_path).wait_s(1_000.0) == 0.0


def test_a_clock_that_was_set_back_does_not_lengthen_the_wait(tmp_path):
    one = reconnects(tmp_path)
    one.begin(1_000_000.0)

    assert one.wait_s(10.0) <= 12.5


def test_a_disk_without_room_costs_no_connection_and_the_attempts_still_count(tmp_path, caplog):
    one = Reconnects(tmp_path / "gone/one.reconnects", rng=random.Random(1))

    one.begin(1_000.0)
    one.begin(1_010.0)

    assert one.attempts == 2
    assert one.wait_s(1_010.0) >= 20.0
    assert "kis_attempts_not_kept" in caplog.text
    one.held()
    assert one.attempts == 1
