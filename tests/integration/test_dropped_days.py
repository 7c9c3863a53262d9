"""What comes for a day that retention has been at: it is kept and told, and replaces nothing that knows more."""

import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.integrity import consistency, repair
from ingest import notifications, tasks
from marketdata.archive import exports, manifests, verification
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.maintenance import dropped, retention, rollover
from marketdata.models import Alarm, DroppedDay, IngestBatch, IngestBatchDay, Market, RolloverRun, Symbol
from marketdata.realtime import live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import DAILY, HISTORY, MINUTES, TEMP
from marketdata.types.tick_arrays import SIZE_UNIT, batch_number
from terminals import wire
from tests.market import MINUTE_US, NINE_US
from tests.upkeep import Clock, seoul

DAY = datetime.date(2026, 3, 16)
NEXT = DAY + datetime.timedelta(days=1)
DONE = "2026-03-17 09:00"
EVER = (-(2**62), 2**62)
REPLAY = 4
TICKS, MINUTE_CANDLES, LEDGER = dropped.Kind.TICKS, dropped.Kind.MINUTES, dropped.Kind.LEDGER


@pytest.fixture(autouse=True)
def _worker(road_database, redis, redis_server, settings, monkeypatch):
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    for code in ("005930", "000660"):
        Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"), primary_feed="krx")
    trading_dates.forget()
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


def trade(at: int, symbol: str = "005930", **other: object) -> dict[str, object]:
    """A trade `at` minutes after nine."""
    return {"symbol": symbol, "time": NINE_US + at * MINUTE_US, "price": "70000", "size": "1", **other}


def process(seq: int, *given: dict[str, object]) -> None:
    payload = wire.encode_rows(seq, "krx", 1, given)
    number = batch_number(1, wire.parse_header(payload).seq)
    tasks.process_batches(
        batches=[notifications.batch_message(number, payload, batch_ledger.now_us(), REPLAY, None, None)]
    )


def whole_day() -> None:
    """A day of two symbols, done."""
    process(1, trade(0), trade(2, price="71000", size="5"), trade(1, "000660"))
    rollover.run_due(clock=Clock(DONE))
    long_ago()


def long_ago() -> None:
    """It was done in time, and nobody was there to expect the days since."""
    RolloverRun.objects.exclude(trade_date=DAY).delete()
    RolloverRun.objects.update(done_at=seoul(DONE), expected=False)


def expire(at: str) -> None:
    retention.apply(seoul(at), progress=lambda _: None)


def daily(symbol: str) -> list[tuple[int, int]]:
    """Trades and whole shares of each daily candle."""
    bars = storage().read_daily(symbol, "krx", DAY, NEXT)
    return list(zip(bars.n.tolist(), (bars.volume // SIZE_UNIT).tolist(), strict=True))


def minutes(symbol: str = "005930") -> list[int]:
    return [int(n) for n in storage().read_minutes(symbol, "krx", *EVER).n]


def roll_over(at: str) -> list[datetime.date]:
    done = rollover.run_due(clock=Clock(at))
    RolloverRun.objects.filter(rows=None).delete()
    RolloverRun.objects.update(expected=False)
    return done


def run_of(date: datetime.date = DAY) -> RolloverRun:
    return RolloverRun.objects.get(trade_date=date)


# --- daily candles ----------------------------------------------------------------------------------------------------


def test_a_late_tick_of_a_day_past_its_time_leaves_every_daily_candle_as_it_was():
    whole_day()
    before = storage().table_figures(DAILY)
    expire("2027-06-02 10:00")
    assert (storage().count(HISTORY), storage().count(MINUTES)) == (0, 0)

    process(2, trade(7))
    assert roll_over("2027-06-02 10:00") == [DAY]

    assert (daily("005930"), daily("000660")) == ([(2, 6)], [(1, 1)])
    assert storage().table_figures(DAILY) == before
    assert storage().count(MINUTES) == 0  # no part of a minute comes back
    run = run_of()
    assert (run.state, run.rows, run.daily, run.late_rows, run.error) == ("done", 1, 2, 1, "")
    assert storage().read_ticks("005930", "krx", *EVER, table=HISTORY).time_us.tolist() == [NINE_US + 7 * MINUTE_US]
    assert "2026-03-16: 1" in Alarm.objects.get(code="late_after_drop", cleared_at=None).message


def test_it_is_remembered_however_often_the_rollover_runs_and_ticks_come():
    whole_day()
    expire("2027-06-02 10:00")

    for seq in (2, 3):
        process(seq, trade(seq))
        roll_over("2027-06-02 10:00")
    rollover.run_one(DAY, clock=Clock("2027-06-02 10:01"), accept="by hand")
    rollover.run_one(DAY, clock=Clock("2027-06-02 10:02"))

    assert daily("000660") == [(1, 1)]
    assert dropped.kinds(DAY) == {TICKS, MINUTE_CANDLES}
    assert (run_of().rows, run_of().accepted) == (2, "")


def test_late_ticks_of_a_dropped_day_go_once_more_when_their_own_time_is_over():
    whole_day()
    expire("2027-06-02 10:00")
    process(2, trade(7))
    roll_over("2027-06-02 10:00")

    expire("2028-05-01 10:00")
    assert storage().count(HISTORY) == 1
    expire("2028-06-10 10:00")
    assert storage().count(HISTORY) == 0
    roll_over("2028-06-10 10:00")
    assert not Alarm.objects.filter(code="late_after_drop", cleared_at=None).exists()

    process(3, trade(8))
    assert roll_over("2028-06-10 10:00") == [DAY]
    assert (run_of().rows, daily("000660")) == (1, [(1, 1)])
    mark = DroppedDay.objects.get(trade_date=DAY, kind=TICKS)
    assert (mark.rows, mark.times) == (4, 2)


def test_a_late_tick_follows_into_the_candles_as_long_as_these_are_whole(settings):
    settings.RETENTION_MINUTES_DAYS, settings.RETENTION_LEDGER_DAYS = 3650, 3650
    whole_day()
    expire("2027-06-02 10:00")
    assert (storage().count(HISTORY), storage().count(MINUTES)) == (0, 3)

    process(2, trade(2), trade(7))
    roll_over("2027-06-02 10:00")

    assert minutes() == [1, 2, 1]
    assert (daily("005930"), daily("000660")) == ([(4, 8)], [(1, 1)])
    assert consistency.verify_day(DAY).is_consistent


def test_daily_candles_are_not_made_from_minute_candles_that_somebody_deleted():
    whole_day()
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {MINUTES} WHERE symbol = '000660'")

    process(2, trade(7))
    assert roll_over("2026-03-17 09:05") == [DAY]

    assert daily("000660") == [(1, 1)]
    assert "first 000660 krx: 1, not 0" in Alarm.objects.get(code="daily_not_whole", cleared_at=None).message
    repair.rebuild_candles(DAY)
    assert (daily("005930"), daily("000660")) == ([(3, 7)], [(1, 1)])
    assert not Alarm.objects.filter(code="daily_not_whole", cleared_at=None).exists()


# --- minute candles ---------------------------------------------------------------------------------------------------


def test_candles_are_not_rebuilt_from_the_late_ticks_of_a_dropped_day(settings):
    settings.RETENTION_MINUTES_DAYS, settings.RETENTION_LEDGER_DAYS = 3650, 3650
    whole_day()
    expire("2027-06-02 10:00")
    process(2, trade(7))
    roll_over("2027-06-02 10:00")
    before = storage().table_figures(MINUTES), storage().table_figures(DAILY)

    for words in ([], ["--symbol", "005930"], ["--dry-run"]):
        with pytest.raises(CommandError, match="dropped when their time was over"):
            call_command("rebuild_candles", "2026-03-16", *words, stdout=StringIO(), stderr=StringIO())

    assert (storage().table_figures(MINUTES), storage().table_figures(DAILY)) == before
    assert (minutes(), minutes("000660")) == ([1, 1, 1], [1])


def test_candles_are_not_rebuilt_from_ticks_of_which_some_are_missing():
    whole_day()
    before = storage().table_figures(MINUTES)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {HISTORY} WHERE symbol = '000660'")

    with pytest.raises(repair.NothingToBuildFrom, match="the ledger has 3 ticks"):
        repair.rebuild_candles(DAY)
    rollover.run_one(DAY, clock=Clock(DONE), accept="lost with the disk")
    with pytest.raises(repair.NothingToBuildFrom, match="the ledger has 3 ticks"):
        repair.rebuild_candles(DAY)

    assert storage().table_figures(MINUTES) == before
    assert daily("000660") == [(1, 1)]


def test_candles_follow_ticks_that_somebody_corrected_and_another_accepted():
    whole_day()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {HISTORY} SET price = price + 1 WHERE symbol = '000660'")
    with pytest.raises(repair.NothingToBuildFrom):
        repair.rebuild_candles(DAY)
    RolloverRun.objects.update(rows=None)  # counted anew
    rollover.run_one(DAY, clock=Clock(DONE), accept="the exchange corrected it")

    assert repair.rebuild_candles(DAY).changed == 1


def test_minute_candles_that_were_dropped_come_back_only_as_a_whole_day(settings):
    settings.RETENTION_TICKS_DAYS = 3650
    whole_day()
    expire("2027-06-02 10:00")
    assert (storage().count(HISTORY), storage().count(MINUTES)) == (3, 0)
    process(2, trade(2), trade(7))
    roll_over("2027-06-02 10:00")
    assert (minutes(), daily("005930")) == ([], [(2, 6)])
    assert consistency.verify_day(DAY).is_consistent

    with pytest.raises(repair.NothingToBuildFrom, match="without --symbol"):
        repair.rebuild_candles(DAY, symbols=["005930"])
    repair.rebuild_candles(DAY)

    assert (minutes(), minutes("000660")) == ([1, 2, 1], [1])
    assert (daily("005930"), daily("000660")) == ([(4, 8)], [(1, 1)])


def test_why_a_day_is_built_only_as_a_whole_says_what_is_gone_of_it():
    whole_day()
    with storage().transaction():
        dropped.note_ledger({DAY: batch_ledger.day_figure(DAY)}, seoul(DONE))
        IngestBatchDay.objects.all().delete()
        IngestBatch.objects.all().delete()
    process(2, trade(7))
    assert roll_over("2026-03-17 09:05") == [DAY]
    assert minutes() == [1, 1]  # what comes since makes none

    for one in ({"symbols": ["005930"]}, {"feed": "krx"}):
        with pytest.raises(repair.NothingToBuildFrom) as caught:
            repair.rebuild_candles(DAY, **one)
        assert "its ledger rows were forgotten" in str(caught.value)
        assert "RETENTION_MINUTES_DAYS" not in str(caught.value)
    repair.rebuild_candles(DAY)

    assert (minutes(), daily("005930"), daily("000660")) == ([1, 1, 1], [(3, 7)], [(1, 1)])


def test_candles_without_ticks_are_told_why_there_are_none():
    whole_day()
    dropped.note_ticks([DAY], seoul(DONE))
    storage().drop_days(HISTORY, [DAY])
    with pytest.raises(repair.NothingToBuildFrom, match="RETENTION_TICKS_DAYS"):
        repair.rebuild_candles(DAY)

    DroppedDay.objects.all().delete()
    with pytest.raises(repair.NothingToBuildFrom, match="none came, or all were voided"):
        repair.rebuild_candles(DAY)


def test_a_worker_that_is_about_to_write_a_candle_of_a_month_that_goes_does_without(monkeypatch):
    whole_day()
    real = tasks._load_and_merge
    came: list[object] = []

    def merge(*given: Any) -> Any:
        bars = real(*given)
        if not came:
            came.append(DAY)
            dropped.note_minutes([DAY], seoul("2027-06-02 10:00"))  # as retention does before it drops
        return bars

    monkeypatch.setattr(tasks, "_load_and_merge", merge)
    process(2, trade(0), trade(7))

    assert minutes() == [1, 1]
    assert storage().count(TEMP) == 2
    assert IngestBatch.objects.count() == 2


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_what_is_sent_again_after_the_ledger_forgot_it_counts_no_second_time(settings):
    """The ledger goes with the last it protects; what is sent again later makes no candles."""
    for seq in range(1, 6):
        process(seq, trade(seq))
    rollover.run_one(DAY, clock=Clock(DONE))
    long_ago()
    IngestBatch.objects.update(committed_us=int(seoul(DONE).timestamp() * 1e6))
    expire("2027-06-02 10:00")
    assert list(IngestBatch.objects.values_list("batch", flat=True)) == [batch_number(1, 5)]
    assert dropped.kinds(DAY) == {TICKS, MINUTE_CANDLES, LEDGER}

    for seq in range(1, 6):
        process(seq, trade(seq))
    assert roll_over("2027-06-02 10:00") == [DAY]

    assert (minutes(), daily("005930")) == ([], [(5, 5)])
    assert run_of().rows == 4
    assert "2026-03-16: 4" in Alarm.objects.get(code="late_after_drop").message
    assert consistency.verify_day(DAY).is_consistent


def test_minute_candles_keep_their_ledger_whatever_the_settings_say(settings):
    settings.RETENTION_MINUTES_DAYS = 3650
    for seq in range(1, 6):
        process(seq, trade(seq))
    rollover.run_one(DAY, clock=Clock(DONE))
    long_ago()
    IngestBatch.objects.update(committed_us=int(seoul(DONE).timestamp() * 1e6))
    expire("2027-07-01 10:00")

    for seq in range(1, 6):
        process(seq, trade(seq))

    assert minutes() == [1] * 5
    assert storage().count(TEMP) == 0


def test_candles_take_no_tick_whose_ledger_was_forgotten_before_them(settings):
    """As after a change of the settings: the candles are there, and what is in them is not known any more."""
    for seq in range(1, 6):
        process(seq, trade(seq))
    rollover.run_one(DAY, clock=Clock(DONE))
    with storage().transaction():
        dropped.note_ledger({DAY: batch_ledger.day_figure(DAY)}, seoul(DONE))
        IngestBatchDay.objects.all().delete()
        IngestBatch.objects.all().delete()
    dropped.note_ticks([DAY], seoul(DONE))
    storage().drop_days(HISTORY, [DAY])

    for seq in range(1, 6):
        process(seq, trade(seq))
    roll_over("2026-03-17 09:05")

    assert (minutes(), daily("005930")) == ([1] * 5, [(5, 5)])
    assert run_of().state == "done"
    assert Alarm.objects.filter(code="late_after_drop", cleared_at=None).exists()


# --- noting -----------------------------------------------------------------------------------------------------------


def test_what_could_not_be_dropped_after_all_is_whole(monkeypatch):
    whole_day()

    def busy(*_: object, **_more: object) -> int:
        raise StorageBusyError("in use")

    with monkeypatch.context() as patched:
        patched.setattr(type(storage()), "drop_days", busy)
        expire("2027-06-02 10:00")

    assert dropped.kinds(DAY) == frozenset()
    assert run_of().dropped_at is None
    expire("2027-06-02 10:00")
    assert dropped.kinds(DAY) == {TICKS, MINUTE_CANDLES}


def test_a_runner_that_dies_between_noting_and_dropping_is_followed_by_one_that_drops(monkeypatch):
    whole_day()

    def killed(*_: object, **_more: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(storage()), "drop_days", killed)
        with pytest.raises(KeyboardInterrupt):
            expire("2027-06-02 10:00")
    expire("2027-06-02 10:00")
    process(2, trade(7))
    roll_over("2027-06-02 10:00")

    assert (run_of().state, run_of().rows) == ("done", 1)
    assert daily("000660") == [(1, 1)]


def test_days_that_share_a_month_with_a_dropped_one_and_had_nothing_are_whole():
    whole_day()
    expire("2027-06-02 10:00")
    other = DAY + datetime.timedelta(days=3)

    process(2, trade(0, time=NINE_US + 3 * 1440 * MINUTE_US))
    roll_over("2027-06-02 10:00")

    assert dropped.kinds(other) == frozenset()
    assert storage().read_daily("005930", "krx", other, other + datetime.timedelta(days=1)).n.tolist() == [1]


def test_late_ticks_lie_where_no_other_day_takes_them_along():
    """The room of a dropped day is left empty: its late ticks do not lie with the next day, and go with it."""
    whole_day()
    process(2, trade(0, time=NINE_US + 1440 * MINUTE_US))
    roll_over("2026-03-18 09:00")
    RolloverRun.objects.update(done_at=seoul(DONE))
    storage().ensure_partitions([NEXT + datetime.timedelta(days=1)], (HISTORY, MINUTES))
    dropped.note_ticks([DAY], seoul(DONE))
    storage().drop_days(HISTORY, [DAY])

    process(3, trade(7))
    roll_over("2026-03-18 09:05")
    assert storage().dates(HISTORY) == [DAY, NEXT]
    storage().drop_days(HISTORY, [NEXT])

    assert storage().dates(HISTORY) == [DAY]
    assert storage().count(HISTORY) == 1


# --- told -------------------------------------------------------------------------------------------------------------


def test_verify_day_names_what_is_gone_and_what_came_later():
    whole_day()
    expire("2027-06-02 10:00")
    assert [note.code for note in consistency.verify_day(DAY).notes] == ["dropped", "dropped"]
    process(2, trade(7))
    roll_over("2027-06-02 10:00")

    report = consistency.verify_day(DAY)

    assert report.is_consistent
    assert [note.code for note in report.notes] == ["dropped", "dropped", "late_after_drop"]
    assert report.notes[0].found.startswith("3 ticks are past their time")
    assert report.notes[-1].found.startswith("1 ticks came after")


def test_a_late_tick_that_is_lost_is_found_though_the_day_was_dropped():
    whole_day()
    expire("2027-06-02 10:00")
    process(2, trade(7), trade(8))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TEMP} WHERE price = (SELECT MIN(price) FROM {TEMP} t) AND tick_id % 2 = 1")

    assert roll_over("2027-06-02 10:00") == []
    assert "the ledger has 2 ticks" in Alarm.objects.get(code="rollover_failed").message
    assert [finding.code for finding in consistency.verify_day(DAY).findings] == ["ledger_differs"]


# --- the archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def _archived(settings, tmp_path):
    pytest.importorskip("pyarrow")
    settings.ARCHIVE, settings.ARCHIVE_DIR = True, str(tmp_path / "archive")
    process(1, *[trade(0, time=NINE_US + at, seq=at) for at in range(1000)])
    rollover.run_due(clock=Clock(DONE))
    assert exports.run_due() == [DAY]
    long_ago()


@pytest.mark.usefixtures("_archived")
def test_late_ticks_of_an_archived_and_dropped_day_are_a_further_part_of_its_archive():
    first = manifests.manifest_of(DAY)
    expire("2028-06-01 10:00")
    process(2, trade(7))
    roll_over("2028-06-01 10:00")
    assert Alarm.objects.filter(code="late_after_drop", cleared_at=None).exists()

    assert exports.run_due() == [DAY]

    assert verification.verify(DAY) == first
    assert (first.rows, manifests.parts_of(DAY)) == (1000, [1, 2])
    assert verification.verify(DAY, part=2).rows == 1
    paths = sorted(path.name for path in manifests.folder_of(DAY).glob("*.parquet"))
    assert paths == ["ticks-2.parquet", "ticks.parquet"]
    roll_over("2028-06-01 10:01")
    assert not Alarm.objects.filter(code="late_after_drop", cleared_at=None).exists()

    process(3, trade(8))
    roll_over("2028-06-01 10:02")
    assert (exports.run_due(), manifests.manifest_of(DAY, part=2).rows) == ([DAY], 2)
    expire("2029-08-01 10:00")
    assert storage().count(HISTORY) == 0
    process(4, trade(9))
    roll_over("2029-08-01 10:02")
    exports.run_due()
    assert [verification.verify(DAY, part=part).rows for part in manifests.parts_of(DAY)] == [1000, 2, 1]
    assert manifests.archived() == [DAY]
    out = StringIO()
    call_command("archive", "--all", "--verify", stdout=out)
    assert out.getvalue().count("2026-03-16: ") == 3


@pytest.mark.usefixtures("_archived")
def test_an_archive_is_never_replaced_by_one_with_fewer_ticks():
    """As after an older database was restored, whose ledger agrees with its ticks."""
    before = manifests.manifest_of(DAY)
    for table in ("ingest_batch", "ingest_batch_day", HISTORY):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
    RolloverRun.objects.all().delete()
    process(2, trade(7))
    rollover.run_due(clock=Clock(DONE))

    assert exports.run_due() == []
    assert "has 1,000 ticks, and 1,000 of them are not" in Alarm.objects.get(code="archive_failed").message
    (manifests.folder_of(DAY) / "_ticks.json").rename(manifests.folder_of(DAY) / "lost")
    assert exports.run_due() == []
    assert "has 1,000 ticks, the database only 1" in Alarm.objects.get(code="archive_failed").message
    (manifests.folder_of(DAY) / "lost").rename(manifests.folder_of(DAY) / "_ticks.json")

    assert manifests.manifest_of(DAY) == before
    assert sum(len(part) for part in verification.read(manifests.path_of(DAY))) == 1000
    assert run_of().archived_at is None
