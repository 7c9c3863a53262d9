"""08:00: each trading day goes to history once, whole, in order, whatever beat, runner and latecomers do."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, connection, connections

from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases, retention, rollover
from marketdata.maintenance.rollover import comparison, count_ahead
from marketdata.models import Alarm, CalendarOverride, JobLease, Market, RolloverRun, Symbol
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import EPOCH_DATE, HISTORY, TEMP
from marketdata.types import checksums
from tests import market
from tests.commit import commit as commit_ticks
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("road_database")

MONDAY = datetime.date(2026, 3, 16)
TUESDAY = datetime.date(2026, 3, 17)
WEDNESDAY = datetime.date(2026, 3, 18)
State = RolloverRun.State


@pytest.fixture(autouse=True)
def _symbols(road_database):
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in ("005930", "000660")])
    trading_dates.forget()


def run_at(text: str) -> list[datetime.date]:
    return rollover.run_due(clock=Clock(text))


def noted(run: RolloverRun) -> checksums.Figure:
    """What the run wrote down of its day."""
    return checksums.Figure(run.rows or 0, run.checksum or 0)


def state_of(date: datetime.date) -> str:
    return RolloverRun.objects.get(trade_date=date).state


def ledger_and_history(date: datetime.date) -> tuple[checksums.Figure, checksums.Figure]:
    return batch_ledger.day_figure(date), checksums.total(storage().tick_figures(date, tables=[HISTORY]).values())


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "current"),
    [
        ("2026-03-17 07:59:59", "2026-03-16"),
        ("2026-03-17 08:04:59", "2026-03-16"),  # the grace
        ("2026-03-17 08:05:00", "2026-03-17"),
        ("2026-03-21 12:00:00", "2026-03-20"),  # Saturday: Friday stays current
        ("2026-03-23 08:04:59", "2026-03-20"),
        ("2026-03-23 08:05:00", "2026-03-23"),
        ("2026-07-17 12:00:00", "2026-07-16"),  # Constitution Day
        ("2027-01-01 12:00:00", "2026-12-30"),  # New Year, and the last day of the year
    ],
)
def test_the_current_trading_day_changes_at_eight_and_the_grace_on_trading_days(now, current):
    assert rollover.current_date(seoul(now)).isoformat() == current


def test_a_closure_entered_in_the_admin_moves_the_rollover():
    assert rollover.due_at(MONDAY) == seoul("2026-03-17 08:05")
    CalendarOverride.objects.create(market_id="KRX", date=TUESDAY, is_open=False, note="임시 휴장")
    trading_dates.forget()

    assert rollover.due_at(MONDAY) == seoul("2026-03-18 08:05")


def test_the_time_of_day_is_a_setting(settings):
    settings.ROLLOVER_TIME, settings.ROLLOVER_GRACE_S = datetime.time(6, 30), 0.0

    assert rollover.due_at(MONDAY) == seoul("2026-03-17 06:30")


# --- once, whole, in order --------------------------------------------------------------------------------------------


def test_a_day_is_moved_when_it_is_due_and_not_before():
    commit(MONDAY)

    assert run_at("2026-03-17 08:04") == []
    assert storage().dates(TEMP) == [MONDAY]
    assert run_at("2026-03-17 08:05") == [MONDAY]
    assert run_at("2026-03-17 08:06") == []

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.rows, run.daily, run.late_rows, run.error) == (State.DONE, 4, 2, 0, "")
    assert storage().dates(TEMP) == []
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)


def test_the_daily_candle_closes_with_the_regular_session():
    commit(MONDAY, 2)
    commit(MONDAY, 2, time_us=seoul_us("2026-03-16 18:00"), price=1)

    run_at("2026-03-17 08:05")

    bar = storage().read_daily("005930", "krx", MONDAY, TUESDAY)
    assert (bar.close.tolist(), bar.last.tolist()) == ([7_000_000_000_000], [1])


def seoul_us(text: str) -> int:
    return int(seoul(text).timestamp() * 1e6)


def test_beat_that_was_away_for_days_is_made_up_for_in_order():
    for day in range(4):
        commit(MONDAY + datetime.timedelta(days=day))

    assert run_at("2026-03-20 11:30") == [MONDAY + datetime.timedelta(days=day) for day in (3, 2, 1, 0)]


def test_the_day_that_is_being_written_is_left_alone():
    commit(MONDAY)
    commit(TUESDAY)

    assert run_at("2026-03-17 09:00") == [MONDAY]
    assert storage().dates(TEMP) == [TUESDAY]


def test_a_trading_day_without_a_tick_is_done_and_told():
    commit(MONDAY)
    run_at("2026-03-16 12:00")

    assert run_at("2026-03-18 08:05") == [TUESDAY, MONDAY]
    assert Alarm.objects.get(code="day_empty").subject == "2026-03-17"


def test_two_beats_at_once_roll_a_day_over_once():
    commit(MONDAY, 50)
    start = threading.Barrier(2)

    def beat() -> list[datetime.date]:
        try:
            start.wait(timeout=30)
            return run_at("2026-03-17 08:05")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        done = [one.result(timeout=60) for one in [pool.submit(beat), pool.submit(beat)]]

    assert sorted(done) == [[], [MONDAY]]


@pytest.mark.timeout(400)
def test_250_trading_days_are_rolled_over_once_each():
    """A year of mornings under a clock of our own: beat comes late, is away for days, comes twice; late ticks too."""
    number = 250 if connection.vendor == "sqlite" else 25  # making room costs the others a moment each day
    calendar = trading_dates.calendar("KRX")
    days = [datetime.date(2026, 1, 2)]
    while len(days) < number:
        days.append(calendar.next_session(days[-1]))
    done: list[datetime.date] = []
    late = 0
    for at, day in enumerate(days):
        commit(day, 3)
        morning = calendar.next_session(day)
        done += run_at(f"{day} 20:00")
        if at % 10 in (3, 4):
            continue  # beat is away that morning
        for time in ("08:04:59", "08:05:00", "08:06:00"):
            done += run_at(f"{morning} {time}")
        if at % 25 == 7:
            commit(day, 2)
            late += 2
            assert run_at(f"{morning} 08:07") == [day]  # what came late, and not the day again
    done += run_at(f"{calendar.next_session(days[-1])} 08:05")

    assert sorted(done) == days
    assert set(RolloverRun.objects.filter(trade_date__in=days).values_list("state", flat=True)) == {State.DONE}
    assert sum(RolloverRun.objects.values_list("late_rows", flat=True)) == late
    assert storage().count(HISTORY) == sum(run.rows or 0 for run in RolloverRun.objects.filter(dropped_at=None))
    dropped = RolloverRun.objects.exclude(dropped_at=None).values_list("trade_date", flat=True)
    assert sorted(dropped) == [day for day in days if day in dropped][: len(dropped)]  # the oldest, past their year
    assert not Alarm.objects.filter(cleared_at=None).exclude(code__in=("partitions_short", "calendar_ends")).exists()


# --- old days ---------------------------------------------------------------------------------------------------------

OLD = [datetime.date(2024, 1, 2) + datetime.timedelta(days=7 * week) for week in range(5)]


def test_old_days_of_a_replay_follow_the_newest_a_few_at_a_time(settings, monkeypatch):
    settings.ROLLOVER_OLD_DAYS = 2
    for date in (*OLD, MONDAY):
        commit(date, 1)
    applied: list[object] = []
    monkeypatch.setattr(retention, "apply", lambda *given, **_: applied.append(given))

    assert run_at("2026-03-17 08:05") == [MONDAY, OLD[4], OLD[3]]
    assert len(applied) == 1  # not once for each day
    assert run_at("2026-03-17 08:06") == [OLD[2], OLD[1]]
    commit(MONDAY)
    assert run_at("2026-03-17 08:07") == [MONDAY, OLD[0]]
    assert run_at("2026-03-17 08:08") == []
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_day_that_becomes_due_while_old_ones_are_done_is_next():
    for date in (*OLD, MONDAY):
        commit(date, 1)
    clock = Clock("2026-03-17 08:04:50")

    def progress(words: str) -> None:
        if words == f"{OLD[3]} clean":
            clock.now = seoul("2026-03-17 08:05:10")

    assert rollover.run_due(clock=clock, progress=progress) == [OLD[4], OLD[3]]
    assert rollover.run_due(clock=clock) == [MONDAY, OLD[2], OLD[1], OLD[0]]


def test_old_days_are_not_begun_for_longer_than_half_a_minute():
    for date in OLD:
        commit(date, 1)
    clock = Clock("2026-03-17 12:00")

    def progress(words: str) -> None:
        if words.endswith(" seal"):
            clock.now += datetime.timedelta(seconds=20)

    assert rollover.run_due(clock=clock, progress=progress) == [OLD[4], OLD[3]]


def test_many_old_days_that_wait_are_one_alarm_and_not_one_each(settings):
    settings.ROLLOVER_OLD_DAYS = 1
    RolloverRun.objects.bulk_create(
        [RolloverRun(trade_date=OLD[0] + datetime.timedelta(days=day)) for day in range(32)]
    )

    run_at("2026-03-17 12:00")

    (alarm,) = Alarm.objects.filter(code="rollover_late", cleared_at=None)
    assert (alarm.subject, alarm.message.partition(" ")[0]) == ("old days", "31")
    run_at("2026-03-17 12:01")
    assert not Alarm.objects.filter(code="rollover_late", cleared_at=None).exists()


def test_the_command_does_all_of_them(settings):
    settings.ROLLOVER_OLD_DAYS = 1
    for date in OLD:
        commit(date, 1)

    said = command()

    assert f"완료 / done: {', '.join(str(date) for date in reversed(OLD))}" in said


# --- markets that are open at eight -----------------------------------------------------------------------------------


def trade_of(symbol: str, at: str, seq: int) -> None:
    """A trade of 2026-03-19 in its market, at a time in New York."""
    moment = datetime.datetime.fromisoformat(f"{at}-04:00")
    commit_ticks(
        storage(),
        market.ticks(
            [
                {
                    "symbol": symbol,
                    "time_us": int(moment.timestamp() * 1e6),
                    "tick_id": market.tick_id(seq, 0, stream=7),
                    "trade_date": (datetime.date(2026, 3, 19) - EPOCH_DATE).days,
                }
            ]
        ),
    )


def test_the_evening_of_new_york_is_moved_once_when_its_day_is_over():
    """Its after hours end at 20:00 there, which is 09:00 in Seoul; the date ends at midnight, 13:00 in Seoul."""
    date = datetime.date(2026, 3, 19)
    Market.objects.get_or_create(code="NASDAQ", defaults={"name": "Nasdaq", "timezone": "America/New_York"})
    Symbol.objects.create(code="AAPL", market_id="NASDAQ", primary_feed="krx")
    trading_dates.forget()
    trade_of("AAPL", "2026-03-19 15:00", 1)

    assert run_at("2026-03-20 08:06") == [date]
    for seq, minute in enumerate((11, 12, 40), start=2):
        trade_of("AAPL", f"2026-03-19 19:{minute}", seq)
        trade_of("005930", f"2026-03-19 19:{minute}", seq + 10)
        assert run_at(f"2026-03-20 08:{minute + 1}") == []
    out = StringIO()
    out.writelines(rollover.plan_lines(seoul("2026-03-20 08:50")))
    assert "not before 03-20 13:05 KST" in out.getvalue()
    assert run_at("2026-03-20 13:04") == []
    assert run_at("2026-03-20 13:05") == [date]

    run = RolloverRun.objects.get(trade_date=date)
    assert (run.rows, run.late_rows) == (7, 6)
    Symbol.objects.filter(code="AAPL").delete()
    Market.objects.filter(code="NASDAQ").delete()
    trading_dates.forget()


@pytest.mark.parametrize(
    ("code", "date", "ends"),
    [
        ("KRX", "2026-03-19", "2026-03-20 00:00"),
        ("CME", "2026-03-19", "2026-03-20 07:00"),  # 17:00 in Chicago
        ("US", "2026-01-15", "2026-01-16 14:00"),  # midnight in New York, in winter
        ("CRYPTO", "2026-03-19", "2026-03-20 09:00"),  # midnight in UTC
    ],
)
def test_a_trading_date_is_over_in_each_market_at_its_own_time(code, date, ends):
    calendar = trading_dates.calendar(code)
    end = calendar.ends_us(datetime.date.fromisoformat(date))

    assert end == seoul_us(ends)
    assert calendar.trade_date(end - 1).isoformat() == date
    assert calendar.trade_date(end).isoformat() > date


# --- late -------------------------------------------------------------------------------------------------------------


def test_ticks_that_come_after_their_day_was_done_follow_it_and_mend_the_daily_candle():
    commit(MONDAY)
    run_at("2026-03-17 08:05")
    RolloverRun.objects.update(archived_at=seoul("2026-03-17 08:10"))

    commit(MONDAY, 6)
    assert run_at("2026-03-17 08:06") == [MONDAY]

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.rows, run.late_rows, run.archived_at) == (State.DONE, 10, 6, None)
    assert storage().read_daily("005930", "krx", MONDAY, TUESDAY).n.tolist() == [5]
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)


def test_ticks_that_come_between_counting_and_moving_are_counted_too():
    commit(MONDAY)
    commit(TUESDAY)
    came: list[object] = []

    def progress(words: str) -> None:
        if words == f"{MONDAY} move" and not came:
            came.append(commit(MONDAY, 3))

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    run = RolloverRun.objects.get(trade_date=MONDAY)

    assert run.state == State.DONE
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)
    assert stored.rows == 7


def test_ticks_that_never_stop_coming_for_an_old_day_hold_up_neither_it_nor_the_next():
    commit(MONDAY)
    commit(TUESDAY)
    came: list[object] = []

    def progress(words: str) -> None:
        if "2026-03-16" in words:
            came.append(commit(MONDAY, 3))
            assert len(came) < 30

    done = rollover.run_due(clock=Clock("2026-03-18 08:05"), progress=progress)
    assert done == [TUESDAY, MONDAY]

    for minute in range(6, 9):
        rollover.run_due(clock=Clock(f"2026-03-18 08:0{minute}"), progress=progress)
    assert run_at("2026-03-18 08:09") == [MONDAY]
    told, stored = ledger_and_history(MONDAY)
    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert told == stored == noted(run)
    # What came as the day was sealed, compared and moved for the first time went with the others.
    assert (told.rows, run.late_rows) == (4 + 3 * len(came), 3 * (len(came) - 3))


def test_a_tick_that_changed_while_it_was_moved_with_others_that_came_is_found():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert state_of(MONDAY) == State.VERIFIED
    assert "stored are 7" in Alarm.objects.get(code="rollover_failed").message
    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:11"), accept="known")
    assert (run.state, run.rows) == (State.DONE, 7)


def test_an_accepted_difference_is_not_in_the_way_of_ticks_that_come_meanwhile():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)

    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:05"), progress=progress, accept="known")

    assert (run.state, run.rows, run.accepted.partition(": ")[2]) == (State.DONE, 7, "known")
    told, stored = ledger_and_history(MONDAY)
    assert (stored, told != stored) == (noted(run), True)


def test_what_is_accepted_is_not_accepted_for_what_happens_later():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '005930'")

    with pytest.raises(rollover.Mismatch):
        rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:05"), progress=progress, accept="known")


# --- killed anywhere --------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a SIGKILL is to a test: nothing catches it."""


@pytest.mark.parametrize("step", ["seal", "verify", "move", "aggregate", "clean", "finish"])
def test_a_runner_that_dies_at_any_step_is_followed_by_one_that_finishes(step):
    commit(MONDAY, 9)

    def progress(words: str) -> None:
        if words == f"{MONDAY} {step}":
            raise Killed

    with pytest.raises(Killed):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    JobLease.objects.update(until_us=0)  # it would run out by itself

    assert run_at("2026-03-17 08:06") == [MONDAY]
    told, stored = ledger_and_history(MONDAY)
    assert told == stored
    assert stored.rows == 9


def test_a_runner_that_dies_as_it_moves_is_followed_by_one_that_compares_what_it_finds():
    commit(MONDAY, 9)

    def progress(words: str) -> None:
        if words == f"{MONDAY} aggregate":
            raise Killed

    with pytest.raises(Killed):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    JobLease.objects.update(until_us=0)
    RolloverRun.objects.update(state=State.VERIFIED, moved_at=None)  # as if it had died before it wrote that down
    commit(MONDAY, 2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM market_data_tick WHERE price = (SELECT MIN(price) FROM market_data_tick t)")

    assert run_at("2026-03-17 08:06") == []
    assert "stored are 10" in Alarm.objects.get(code="rollover_failed").message


def test_a_day_that_cannot_be_moved_holds_up_no_other():
    commit(MONDAY)
    commit(TUESDAY)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM temp_market_data WHERE symbol = '000660' AND trade_date = %s", [stored_date(MONDAY)]
        )

    assert run_at("2026-03-18 08:05") == [TUESDAY]

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert run.state == State.SEALED
    assert "the ledger has 4 ticks" in run.error
    assert "stored are 2" in run.error
    assert f"verify_day {MONDAY}" in run.error
    assert Alarm.objects.get(code="rollover_failed").subject == "2026-03-16"
    assert storage().dates(TEMP) == [MONDAY]
    assert run_at("2026-03-18 08:05:30") == []  # not at once again


def test_a_changed_price_is_found_and_may_be_accepted_by_name():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")
    assert run_at("2026-03-17 08:05") == []

    with pytest.raises(rollover.Mismatch):
        rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:10"))
    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:11"), accept="the exchange corrected it")

    assert run.state == State.DONE
    assert "the exchange corrected it" in RolloverRun.objects.get(trade_date=MONDAY).accepted
    assert not Alarm.objects.filter(code="rollover_failed", cleared_at=None).exists()


def test_a_day_that_somebody_else_has_done_is_not_noted_as_failed():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            RolloverRun.objects.update(state=State.DONE)
            raise StorageBusyError("too late")

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert RolloverRun.objects.get(trade_date=MONDAY).error == ""
    assert not Alarm.objects.filter(code="rollover_failed").exists()


# --- counted before it is due -----------------------------------------------------------------------------------------


def counted(text: str) -> tuple[int | None, bool]:
    """Rows noted by what runs at that time, and whether an alarm stands."""
    assert run_at(text) == []
    rows = RolloverRun.objects.get(trade_date=MONDAY).rows
    return rows, Alarm.objects.filter(code="rollover_failed", cleared_at=None).exists()


def test_a_day_is_counted_in_the_hour_before_it_is_due_and_not_again(monkeypatch):
    commit(MONDAY)

    assert counted("2026-03-17 07:04") == (None, False)
    assert counted("2026-03-17 07:05") == (4, False)

    for name in ("compare", "stored"):  # but for what is left in TEMP after the move: nothing
        real = getattr(comparison, name)
        monkeypatch.setattr(
            comparison, name, lambda *given, real=real: real(*given) if TEMP in given else pytest.fail("counted again")
        )
    assert run_at("2026-03-17 08:05") == [MONDAY]
    monkeypatch.undo()
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(RolloverRun.objects.get(trade_date=MONDAY))


def test_what_comes_after_the_day_was_counted_is_counted_within_ten_minutes():
    commit(MONDAY)
    assert counted("2026-03-17 07:10") == (4, False)
    commit(MONDAY)

    assert counted("2026-03-17 07:19") == (4, False)
    assert counted("2026-03-17 07:20") == (8, False)


def test_what_comes_between_counting_and_the_rollover_is_in_history():
    commit(MONDAY)
    counted("2026-03-17 08:00")
    commit(MONDAY, 3)

    assert run_at("2026-03-17 08:05") == [MONDAY]
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(RolloverRun.objects.get(trade_date=MONDAY))
    assert told.rows == 7


def test_a_tick_that_is_lost_after_the_day_was_counted_is_found():
    commit(MONDAY)
    assert counted("2026-03-17 08:00") == (4, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data WHERE price = (SELECT MIN(price) FROM temp_market_data t)")

    assert run_at("2026-03-17 08:05") == []
    assert state_of(MONDAY) == State.SEALED
    assert "stored are 3" in Alarm.objects.get(code="rollover_failed").message


def test_a_difference_is_an_alarm_before_the_day_is_due_until_it_is_mended():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1")
    assert counted("2026-03-17 07:30") == (4, True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price - 1")

    assert counted("2026-03-17 07:39") == (4, True)
    assert counted("2026-03-17 07:40") == (4, False)
    assert run_at("2026-03-17 08:05") == [MONDAY]


def test_a_day_is_counted_though_an_older_one_cannot_be_done():
    commit(MONDAY)
    commit(TUESDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE trade_date = %s", [stored_date(MONDAY)])

    assert run_at("2026-03-18 07:30") == []
    assert RolloverRun.objects.get(trade_date=TUESDAY).rows == 4


def test_a_count_that_fails_does_not_keep_the_alarms_quiet(monkeypatch):
    commit(MONDAY)
    commit(TUESDAY)
    RolloverRun.objects.create(trade_date=MONDAY, retry_at=seoul("2026-03-18 12:00"))

    def broken(*_: object) -> None:
        raise DataError("broken")

    monkeypatch.setattr(count_ahead, "count", broken)
    run_at("2026-03-18 07:30")

    assert Alarm.objects.filter(code="rollover_late", subject="2026-03-16").exists()


def test_a_day_is_not_counted_ahead_where_nobody_wants_it(settings):
    settings.ROLLOVER_COUNT_AHEAD_S = 0.0
    commit(MONDAY)

    assert counted("2026-03-17 08:04") == (None, False)
    assert run_at("2026-03-17 08:05") == [MONDAY]


def stored_date(date: datetime.date):
    return (date - EPOCH_DATE).days if connection.vendor == "sqlite" else date


def test_a_day_that_is_not_done_in_half_an_hour_is_an_alarm():
    commit(MONDAY)
    JobLease.objects.create(job=leases.UPKEEP, owner="somebody", fence=7, until_us=2**62)

    assert run_at("2026-03-17 08:34") == []
    assert not Alarm.objects.filter(code="rollover_late").exists()
    run_at("2026-03-17 08:36")

    assert "somebody" in Alarm.objects.get(code="rollover_late").message
    JobLease.objects.update(until_us=0)
    run_at("2026-03-17 08:37")
    assert Alarm.objects.get(code="rollover_late").cleared_at is not None


def test_a_runner_that_was_paused_while_another_took_over_changes_nothing():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} aggregate":
            JobLease.objects.update(fence=99, owner="another")

    with pytest.raises(leases.LeaseLost):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert state_of(MONDAY) == State.MOVED


def test_a_table_that_stays_in_use_is_tried_again_the_next_minute(monkeypatch):
    commit(MONDAY)
    store = type(storage())
    move_day = store.move_day

    def busy(self, date, *, progress, count):
        raise StorageBusyError("connection 7 holds the table; end it or wait")

    monkeypatch.setattr(store, "move_day", busy)
    assert run_at("2026-03-17 08:05") == []
    assert "connection 7" in Alarm.objects.get(code="rollover_failed").message
    monkeypatch.setattr(store, "move_day", move_day)

    assert run_at("2026-03-17 08:06") == [MONDAY]


def test_a_day_whose_candles_the_database_refuses_holds_up_no_other(monkeypatch):
    commit(MONDAY)
    commit(TUESDAY)
    store = type(storage())
    build_daily = store.build_daily

    def refused(self, date, windows):
        if date == MONDAY:
            raise DataError("out of range for a column")
        return build_daily(self, date, windows)

    monkeypatch.setattr(store, "build_daily", refused)

    assert run_at("2026-03-18 08:05") == [TUESDAY]
    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.retry_at is not None) == (State.MOVED, True)
    assert "out of range" in run.error


def test_a_full_disk_leaves_the_day_whole_and_the_rollover_goes_on_when_there_is_room():
    if connection.vendor != "sqlite":
        pytest.skip("a file can be told how large it may become; a server cannot")
    commit(MONDAY, 4000)
    run = RolloverRun.objects.create(trade_date=MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filler (x BLOB)")
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        for size in (100_000, 4_000, 1_000, 200):  # whatever is left free in the file
            with suppress(DatabaseError):
                for _ in range(10_000):
                    cursor.execute("INSERT INTO filler VALUES (zeroblob(%s))", [size])

    with pytest.raises(DatabaseError, match="full"):
        run_at("2026-03-17 08:05")

    assert checksums.total(storage().tick_figures(MONDAY).values()) == batch_ledger.day_figure(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE filler")
        cursor.execute("PRAGMA max_page_count = 1073741823")
    assert run_at("2026-03-17 08:06") == [MONDAY]
    run.refresh_from_db()
    assert (run.state, run.rows) == (State.DONE, 4000)


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("rollover", *arguments, stdout=out)
    return out.getvalue()


def test_the_plan_says_what_would_be_done_and_does_nothing():
    commit(MONDAY)

    said = command("--plan")

    assert "2026-03-16 open: 4 ticks in temp_market_data; seal → verify → move → aggregate → clean → finish" in said
    assert "KRX regular session 09:00" in said
    assert storage().dates(TEMP) == [MONDAY]
    assert not RolloverRun.objects.exists()


def test_one_date_may_be_rolled_over_by_hand():
    commit(MONDAY)

    said = command("--date", "2026-03-16")

    assert "2026-03-16 done: 4" in said
    assert state_of(MONDAY) == State.DONE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--date", "2026-13-01"], "YYYY-MM-DD"),
        (["--date", "yesterday"], "YYYY-MM-DD"),
        (["--date", "1999-01-04"], "no tick, ledger entry or rollover of this date is known"),
        (["--accept", "because"], "--accept goes with --date"),
    ],
)
def test_a_wrong_date_is_an_error_that_says_what_is_right(arguments, words):
    with pytest.raises(CommandError, match=words):
        command(*arguments)


def test_the_command_says_that_another_is_at_it():
    commit(MONDAY)
    JobLease.objects.create(job=leases.UPKEEP, owner="elsewhere/77", fence=1, until_us=2**62)

    with pytest.raises(CommandError, match="elsewhere/77"):
        command("--date", "2026-03-16")


def test_the_command_fails_when_a_day_could_not_be_moved():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data")
    RolloverRun.objects.create(trade_date=MONDAY)

    with pytest.raises(CommandError, match="stored are 0"):
        command()
