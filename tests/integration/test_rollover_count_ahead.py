"""A day is compared with the ledger in the hour before it is due."""

import pytest
from django.db import DataError, connection

from marketdata.maintenance.rollover import comparison, count_ahead
from marketdata.models import Alarm, RolloverRun
from marketdata.storage.base import TEMP
from tests.integration.rolling import MONDAY, TUESDAY, ledger_and_history, noted, run_at, state_of, stored_date
from tests.upkeep import commit, seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")

State = RolloverRun.State


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
