"""Candles made anew from the ticks: what was wrong is put right and told, what was right is left, and nothing that
workers store meanwhile is lost or counted twice."""

import datetime
import functools
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from analytics.integrity import consistency, repair
from analytics.quality import due
from analytics.series import candles
from marketdata.maintenance import leases, rollover
from marketdata.models import RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import DAILY, HISTORY, MINUTES
from tests import market
from tests.builders import commit
from tests.integration.test_verify_day import CODES, DAY, batch, done, sql, unit
from tests.market import MINUTE_US, NINE_US, tick_id
from tests.upkeep import Clock

__all__ = ["done"]

pytestmark = pytest.mark.usefixtures("road_database")
EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _symbols(road_database, monkeypatch):
    monkeypatch.setattr("marketdata.connections.TRIES", 9)  # MariaDB may end the same one as a deadlock again and again
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in CODES])


def stored(symbol: str = "005930", feed: str = "krx"):
    return storage().read_minutes(symbol, feed, *EVER)


def codes(rebuilt: repair.Rebuilt) -> list[tuple[str, str]]:
    return [(finding.code, finding.subject) for finding in rebuilt.findings]


def run(*words: str) -> str:
    out = StringIO()
    call_command("rebuild_candles", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


# --- what is put right ------------------------------------------------------------------------------------------------


def test_candles_that_are_right_are_left_alone(done):
    before = storage().table_figures(MINUTES)

    rebuilt = repair.rebuild_candles(DAY)

    assert (rebuilt.changed, rebuilt.findings, rebuilt.series, rebuilt.daily) == (0, (), 4, 4)
    assert storage().table_figures(MINUTES) == before


@pytest.mark.parametrize(
    "harm",
    [
        f"DELETE FROM {MINUTES} WHERE open_id = {tick_id(1, 5)}",
        f"DELETE FROM {MINUTES}",
        f"UPDATE {MINUTES} SET n = n + 1 WHERE symbol = '005930'",
        f"UPDATE {MINUTES} SET high = high + {{unit}} WHERE open_id = {tick_id(1, 5)}",
        f"UPDATE {MINUTES} SET close_id = close_id + 1",
        f"DELETE FROM {DAILY} WHERE symbol = '005930'",
        f"UPDATE {DAILY} SET volume = volume + 1",
    ],
)
def test_whatever_was_wrong_is_right_afterwards(done, harm):
    sql(harm.format(unit=unit()))
    assert not consistency.verify_day(DAY).is_consistent

    rebuilt = repair.rebuild_candles(DAY)

    assert rebuilt.counts
    assert consistency.verify_day(DAY).is_consistent
    assert repair.rebuild_candles(DAY).counts == {}


def test_each_candle_that_changed_is_named_and_its_revision_raised(done):
    sql(f"UPDATE {MINUTES} SET n = 9 WHERE symbol = '005930' AND open_id = %s", tick_id(1, 5))
    sql(f"DELETE FROM {MINUTES} WHERE symbol = '005930' AND open_id = %s", tick_id(1, 7))

    rebuilt = repair.rebuild_candles(DAY)

    assert codes(rebuilt)[:2] == [
        ("candle_differs", "005930 krx 2026-03-16T09:02:00+09:00 n"),
        ("candle_missing", "005930 krx 2026-03-16T09:03:00+09:00"),
    ]
    assert rebuilt.changed == 2
    assert stored().rev.tolist() == [0, 0, 1, 0, 0, 0]


def test_a_day_whose_candles_were_put_right_is_graded_anew_and_one_that_was_right_is_not(done):
    now = rollover.utc_now()
    due.finish(now)
    assert due.due_days(now) == []

    repair.rebuild_candles(DAY)
    assert due.due_days(now) == []
    sql(f"UPDATE {MINUTES} SET high = high + {unit()} WHERE open_id = {tick_id(1, 5)}")
    assert repair.rebuild_candles(DAY).changed

    assert [date for date, _ in due.due_days(now)] == [DAY]
    assert due.finish(now) == [DAY]
    assert due.due_days(now) == []


def test_a_candle_without_ticks_is_taken_away(done):
    with storage().transaction():
        storage().merge_minutes(candles.build(market.ticks([{"symbol": "035720"}])))
        storage().merge_minutes(
            candles.build(market.ticks([{"symbol": "005930", "time_us": NINE_US + 90 * MINUTE_US}]))
        )

    rebuilt = repair.rebuild_candles(DAY)

    assert rebuilt.counts["candle_superfluous"] == 2
    assert rebuilt.changed == 2
    assert len(stored("035720")) == 0
    assert consistency.verify_day(DAY).is_consistent


def test_only_the_symbols_and_the_feed_that_were_named_are_touched(done):
    sql(f"UPDATE {MINUTES} SET n = n + 1")

    one = repair.rebuild_candles(DAY, symbols=["005930"], feed="nxt")

    assert {subject.split(" 2026")[0] for code, subject in codes(one) if code == "candle_differs"} == {"005930 nxt"}
    two = repair.rebuild_candles(DAY, feed="krx")
    assert two.counts["candle_differs"] == 12
    assert repair.rebuild_candles(DAY, symbols=["000660"]).counts["candle_differs"] == 6
    assert consistency.verify_day(DAY).is_consistent


def test_a_dry_run_says_the_same_and_writes_nothing(done):
    sql(f"UPDATE {MINUTES} SET n = n + 1 WHERE symbol = '005930' AND feed = 'krx'")
    before = storage().table_figures(MINUTES)

    dry = repair.rebuild_candles(DAY, dry_run=True)

    assert storage().table_figures(MINUTES) == before
    assert (dry.changed, dry.daily, dry.counts["candle_differs"]) == (0, None, 6)
    assert [one for one in codes(dry) if one[0].startswith("candle")] == [
        one for one in codes(repair.rebuild_candles(DAY)) if one[0].startswith("candle")
    ]


def test_a_day_that_is_going_on_gets_no_daily_candles():
    commit(storage(), batch(1))
    sql(f"DELETE FROM {MINUTES}")

    rebuilt = repair.rebuild_candles(DAY)

    assert (rebuilt.changed, rebuilt.daily) == (12, None)
    assert storage().count(DAILY) == 0
    assert consistency.verify_day(DAY).is_consistent


def test_many_symbols_are_owned_in_groups(monkeypatch, done):
    monkeypatch.setattr(repair, "GROUP_TICKS", 1)
    sql(f"DELETE FROM {MINUTES}")
    told: list[str] = []

    rebuilt = repair.rebuild_candles(DAY, progress=told.append)

    assert rebuilt.changed == 24
    assert sum("differences" in words for words in told) == 4
    assert consistency.verify_day(DAY).is_consistent


# --- while workers go on ----------------------------------------------------------------------------------------------


def test_what_workers_store_meanwhile_is_neither_lost_nor_counted_twice():
    commit(storage(), batch(1))
    ended = threading.Event()

    def work(stream: int) -> int:
        seq = 1
        try:
            while not ended.is_set():
                repair.again(functools.partial(commit, storage(), batch(seq, stream=stream)))
                seq += 1
        finally:
            connections.close_all()
        return seq - 1

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work, stream) for stream in (2, 3)]
        try:
            for _ in range(8):
                sql_patiently(f"UPDATE {MINUTES} SET n = n + 1, volume = volume + 1")
                repair.rebuild_candles(DAY)
        finally:
            ended.set()
        written = sum(worker.result(timeout=300) for worker in workers)

    assert written > 0
    report = consistency.verify_day(DAY)
    assert (report.findings, report.ticks) == ((), 12 * (written + 1))


def sql_patiently(text: str) -> None:
    """SQL that may meet a worker's lock."""
    repair.again(lambda: sql(text))


def test_late_ticks_that_arrive_between_reading_and_writing_are_merged_after(done):
    sql(f"DELETE FROM {MINUTES}")
    with ThreadPoolExecutor(1) as pool:
        began = threading.Event()

        def late() -> None:
            try:
                began.set()
                repair.again(lambda: commit(storage(), batch(50)))
            finally:
                connections.close_all()

        jobs: list[Future[None]] = []

        def rebuilt() -> None:
            with storage().own_minutes(DAY, "krx", list(CODES)):
                if not jobs:
                    jobs.append(pool.submit(late))
                began.wait(timeout=5)
                for symbol in CODES:
                    storage().replace_minutes(DAY, consistency.from_ticks(DAY, symbol, "krx"))

        repair.again(rebuilt)  # MariaDB may end one of the two; whoever rebuilds begins anew then
        jobs[0].result(timeout=300)

    repair.rebuild_candles(DAY)
    assert consistency.verify_day(DAY).is_consistent
    assert sum(stored().n.tolist()) == 18


def test_nobody_moves_the_day_meanwhile(done):
    with leases.hold(leases.UPKEEP), pytest.raises(CommandError, match="the rollover or a backup is at it"):
        run("2026-03-16")
    with leases.hold(leases.UPKEEP):
        run("2026-03-16", "--dry-run")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["2026-03-11"], "no tick, ledger entry or rollover of this date"),
        (["16/03/2026"], "YYYY-MM-DD"),
        (["2026-03-16", "--symbol", "999999"], "999999: .*neither ticks nor candles on 2026-03-16"),
        (["2026-03-16", "--feed", "infomax"], "no such feed on 2026-03-16. There: krx, nxt"),
        ([], "either dates, or --from and --to"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_so(done, words, says):
    with pytest.raises(CommandError, match=says):
        run(*words)


@pytest.mark.parametrize("dropped", [True, False])
def test_candles_that_are_all_that_is_left_are_never_taken_away(done, dropped):
    sql(f"DELETE FROM {HISTORY}")
    if dropped:
        RolloverRun.objects.update(dropped_at=datetime.datetime(2027, 3, 17, tzinfo=datetime.UTC))
    before = storage().count(MINUTES)

    with pytest.raises(CommandError, match="no ticks to build from"):
        run("2026-03-16")
    assert storage().count(MINUTES) == before > 0


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_tells_how_many_and_which(done):
    sql(f"UPDATE {MINUTES} SET n = 9 WHERE symbol = '005930' AND open_id = %s", tick_id(1, 5))

    with pytest.raises(CommandError, match="would change"):
        run("2026-03-16", "--dry-run")
    text = run("--from", "2026-03-16", "--to", "2026-03-16")

    assert "candle_differs  005930 krx 2026-03-16T09:02:00+09:00 n  expected 2, found 9" in text
    assert "2026-03-16: 4 series, 1 minute candles put right, 4 daily candles made anew" in text


def test_the_command_speaks_to_machines(done):
    sql(f"DELETE FROM {MINUTES} WHERE feed = 'nxt'")

    said = json.loads(run("2026-03-16", "--json", "--most", "1"))

    assert (said["date"], said["dry_run"], said["changed"], said["counts"]["candle_missing"]) == (
        "2026-03-16",
        False,
        12,
        12,
    )
    assert len([one for one in said["findings"] if one["code"] == "candle_missing"]) == 1


def test_daily_candles_follow_late_ticks_only_after_the_rollover(done):
    commit(storage(), batch(60))

    rebuilt = repair.rebuild_candles(DAY)

    assert rebuilt.counts == {}
    assert storage().read_daily("005930", "krx", DAY, DAY + datetime.timedelta(days=1)).n.tolist() == [18]
    rollover.run_due(clock=Clock("2026-03-17 10:00"))
    assert consistency.verify_day(DAY).is_consistent
