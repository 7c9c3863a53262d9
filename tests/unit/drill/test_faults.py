import random

import pytest

from tests.drill import faults
from tests.drill.faults import AFTER_COMMIT, BEFORE_COMMIT, Faults

CLAIM = "INSERT INTO `ingest_batch` (`batch`) VALUES (%s)"


class Ended(Exception):
    pass


def ended():
    raise Ended


def made(tmp_path, *, seldom):
    return Faults(tmp_path / "struck", seldom, end=ended, chance=random.Random(1))


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (CLAIM, "after the claim"),
        ("LOAD DATA LOCAL INFILE '/proc/self/fd/9' INTO TABLE `temp_market_data`", "after the ticks"),
        ("INSERT INTO market_data_minute (feed, symbol) VALUES (1, 2)", "after the candles"),
        ("SELECT batch FROM ingest_batch", None),
        ("INSERT INTO `symbol` (`code`) VALUES (%s)", None),
    ],
)
def test_points_are_known_by_their_statements(sql, name):
    assert faults.point(sql) == name


def test_a_strike_comes_after_the_statement_and_is_told_before_the_end(tmp_path):
    done = []

    with pytest.raises(Ended):
        made(tmp_path, seldom=1).execute(lambda *_: done.append("claimed"), CLAIM, None, False, {})

    assert done == ["claimed"]
    assert faults.counted(tmp_path / "struck") == {"after the claim": 1}


def test_a_commit_is_struck_before_and_after_but_only_where_something_was_written(tmp_path):
    points: list[str] = []
    struck = made(tmp_path, seldom=1_000_000)
    struck.at = points.append

    struck.commit(lambda: points.append("commit"))
    struck.execute(lambda *_: None, CLAIM, None, False, {})
    struck.commit(lambda: points.append("commit"))

    assert points == ["commit", "after the claim", BEFORE_COMMIT, "commit", AFTER_COMMIT]


def test_it_strikes_about_as_seldom_as_it_is_told(tmp_path):
    count, struck = 0, made(tmp_path, seldom=10)
    for _ in range(1_000):
        try:
            struck.at(AFTER_COMMIT)
        except Ended:
            count += 1

    assert 60 < count < 140
    assert faults.counted(tmp_path / "struck") == {AFTER_COMMIT: count}


class Task:
    name = faults.TASK

    def __init__(self):
        self.sent = []

    def apply_async(self, *, kwargs):
        self.sent.append(kwargs)


def test_now_and_then_a_message_is_delivered_twice_and_told(tmp_path, monkeypatch):
    monkeypatch.setenv(faults.FAULTS, f"{tmp_path / 'struck'}:600")
    task, message = Task(), {"batches": [], "reply_to": "here"}

    for _ in range(2_000):
        faults.deliver_twice(task, message)

    assert 10 < len(task.sent) < 150
    assert task.sent[0] == message
    assert faults.counted(tmp_path / "struck") == {faults.TWICE: len(task.sent)}


def test_other_tasks_are_delivered_once():
    task = Task()
    task.name = "ingest.tasks.announce_missed"

    for _ in range(1_000):
        faults.deliver_twice(task, {})

    assert task.sent == []
