"""A day that was broken on purpose, in every way there is: each difference is named, and nothing else."""

import datetime
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from analytics.integrity import consistency
from marketdata.ledger import batch_ledger
from marketdata.maintenance import dropped, rollover
from marketdata.models import Client, IngestStream, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import DAILY, HISTORY, MINUTES, TEMP
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from tests import market
from tests.builders import commit
from tests.market import MINUTE_US, NINE_US, price, tick_id
from tests.upkeep import Clock
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("road_database")

DAY = datetime.date(2026, 3, 16)
CODES = ("000660", "005930")
LATER = "2026-03-17 09:00"


@pytest.fixture(autouse=True)
def _symbols(road_database):
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in CODES])


def batch(seq: int, *, rows: int = 12, feed: str = "krx", source_id: int = 4, stream: int = 1) -> Ticks:
    """Trades of two symbols, a new minute every second row, at prices that differ."""
    return market.ticks(
        [
            {
                "symbol": CODES[at % 2],
                "time_us": NINE_US + at // 2 * MINUTE_US + seq * 1_000_000 + at,
                "tick_id": tick_id(seq, at, stream=stream),
                "price": price(str(70_000 + at)),
            }
            for at in range(rows)
        ],
        feed=feed,
        source_id=source_id,
    )


@pytest.fixture
def done() -> None:
    """Three batches in two feeds, rolled over."""
    for one in (batch(1), batch(2), batch(3, feed="nxt")):
        commit(storage(), one)
    rollover.run_due(clock=Clock(LATER))


def sql(text: str, *values: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return int(cursor.rowcount)


def unit() -> str:
    """What to add to a price to change its last digit."""
    return "1" if connection.vendor == "sqlite" else "0.00000001"


def found() -> list[tuple[str, str]]:
    report = consistency.verify_day(DAY)
    assert report.is_consistent == (not report.findings)
    return [(finding.code, finding.subject) for finding in report.findings]


def run(*words: str) -> str:
    out = StringIO()
    call_command("verify_day", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


# --- days that are right ----------------------------------------------------------------------------------------------


def test_a_day_that_is_done_is_consistent(done):
    report = consistency.verify_day(DAY)

    assert report.is_consistent
    assert (report.state, report.ticks, report.series, report.minutes, report.daily) == ("done", 36, 4, 24, 4)
    assert (report.findings, report.counts, report.notes) == ((), {}, ())


def test_a_day_that_is_going_on_is_consistent_too():
    commit(storage(), batch(1))

    report = consistency.verify_day(DAY)

    assert (report.is_consistent, report.state, report.daily) == (True, "", 0)


def test_late_ticks_that_wait_to_be_moved_are_told_and_no_difference(done):
    commit(storage(), batch(7, rows=5))

    report = consistency.verify_day(DAY)

    assert report.is_consistent
    assert [(note.code, note.found) for note in report.notes] == [
        ("waiting_to_be_moved", "5 late ticks in temp_market_data")
    ]
    rollover.run_due(clock=Clock("2026-03-17 10:00"))
    assert consistency.verify_day(DAY).notes == ()
    assert found() == []


def test_a_series_that_two_sources_fed_is_consistent():
    for stream, source_id in ((1, 4), (2, 3)):
        client, _ = Client.objects.create_with_secret(name=f"c{stream}", source_id=source_id)
        IngestStream.objects.create(id=stream, client=client, epoch=f"{stream:016x}")
    commit(storage(), batch(1))
    commit(storage(), batch(1, source_id=3, stream=2))

    assert found() == []
    sql(f"DELETE FROM {TEMP} WHERE tick_id = %s", tick_id(1, 3, stream=2))
    assert ("rows_missing", "batch 2/1") in found()
    assert "source_changed" not in dict(found())


def test_a_day_without_a_single_tick_is_consistent():
    RolloverRun.objects.create(trade_date=DAY, state="done", rows=0, checksum=0)

    assert found() == []


# --- ticks and ledger -------------------------------------------------------------------------------------------------

BATCH = tick_id(1, 0) >> TICK_BITS
AT_0902 = "2026-03-16T09:02:00+09:00"


def test_a_tick_that_is_gone_is_missed_in_its_batch_and_its_candles(done):
    sql(f"DELETE FROM {HISTORY} WHERE tick_id = %s", tick_id(1, 4))

    assert found() == [
        ("ledger_differs", "2026-03-16"),
        ("rows_missing", "batch 1/1"),
        ("recorded_differs", "2026-03-16"),
        *(
            ("candle_differs", f"000660 krx {AT_0902} {name}")
            for name in ("volume", "value", "n", "open_time", "open_id")
        ),
    ]
    report = consistency.verify_day(DAY)
    assert report.findings[1].expected.startswith("12 ticks")
    assert report.findings[1].found.startswith("11 ticks")


def test_a_price_that_is_wrong_in_its_last_digit_is_found(done):
    sql(f"UPDATE {HISTORY} SET price = price + {unit()} WHERE tick_id = %s", tick_id(1, 4))

    codes = found()

    assert codes[:3] == [
        ("ledger_differs", "2026-03-16"),
        ("content_changed", "batch 1/1"),
        ("recorded_differs", "2026-03-16"),
    ]
    report = consistency.verify_day(DAY)
    high = next(one for one in report.findings if one.subject.endswith(" high"))
    assert (high.code, high.expected, high.found) == ("candle_differs", "70004.00000001", "70004")


@pytest.mark.parametrize(
    "change",
    ["size = NULL", "side = 1", "seq = 5", "bid = 7", "ask_size = 3", "cum_volume = 1", "kind = 2", "source = 3"],
)
def test_any_other_value_that_changed_is_found(done, change):
    if connection.vendor == "postgresql":  # which keeps words
        change = change.replace("kind = 2", "kind = 'quote'").replace("side = 1", "side = 'buy'")

    sql(f"UPDATE {HISTORY} SET {change} WHERE tick_id = %s", tick_id(2, 7))

    codes = found()

    assert ("ledger_differs", "2026-03-16") in codes
    assert (
        ("source_changed", "005930 krx") in codes if "source" in change else ("content_changed", "batch 1/2") in codes
    )


def test_a_tick_that_nobody_acknowledged_is_found(done):
    stray = batch(9, rows=1)
    with storage().transaction():
        storage().load(HISTORY, stray)

    assert found()[:3] == [
        ("ledger_differs", "2026-03-16"),
        ("batch_unknown", "batch 1/9"),
        ("recorded_differs", "2026-03-16"),
    ]


def test_a_tick_too_many_in_a_batch_is_found(done):
    extra = batch(1, rows=13).take(slice(12, 13))  # type: ignore[arg-type]  # a slice keeps the order as well
    with storage().transaction():
        storage().load(HISTORY, extra)

    assert found()[1] == ("rows_too_many", "batch 1/1")


def test_a_batch_without_its_ticks_is_found(done):
    assert sql(f"DELETE FROM {HISTORY} WHERE tick_id >= %s AND tick_id < %s", tick_id(2, 0), tick_id(3, 0)) == 12

    assert found()[:2] == [("ledger_differs", "2026-03-16"), ("batch_missing", "batch 1/2")]


def test_a_ledger_entry_that_is_gone_is_found(done):
    sql("DELETE FROM ingest_batch_day WHERE batch = %s", BATCH)

    assert found() == [("ledger_differs", "2026-03-16"), ("batch_unknown", "batch 1/1")]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ("checksum = checksum + 1", [("ledger_differs", "2026-03-16"), ("content_changed", "batch 1/1")]),
        (
            "{rows} = {rows} - 1",
            [("ledger_differs", "2026-03-16"), ("rows_too_many", "batch 1/1"), ("claim_differs", "batch 1/1")],
        ),
    ],
)
def test_a_ledger_entry_that_was_changed_is_found(done, change, codes):
    quoted = connection.ops.quote_name("rows")
    sql(f"UPDATE ingest_batch_day SET {change.format(rows=quoted)} WHERE batch = %s", BATCH)

    assert found() == codes


def test_the_ledger_must_agree_with_itself(done):
    sql("UPDATE ingest_batch SET stored = 11 WHERE batch = %s", BATCH)
    sql("DELETE FROM ingest_batch WHERE batch = %s", BATCH + 1)

    assert found() == [("claim_differs", "batch 1/1"), ("claim_missing", "batch 1/2")]


def test_what_the_rollover_wrote_down_is_compared(done):
    RolloverRun.objects.filter(trade_date=DAY).update(checksum=5)

    assert found() == [("recorded_differs", "2026-03-16")]


def test_ticks_that_came_between_counting_and_moving_are_no_difference():
    commit(storage(), batch(1))
    total = batch_ledger.day_figure(DAY)
    RolloverRun.objects.create(trade_date=DAY, state="verified", rows=total.rows, checksum=total.checksum)
    commit(storage(), batch(2))

    assert found() == []


def test_a_difference_that_was_accepted_is_told_with_its_reason(done):
    sql("DELETE FROM ingest_batch_day WHERE batch = %s", BATCH)
    RolloverRun.objects.filter(trade_date=DAY).update(accepted="+12 rows, +1: disk replaced")

    report = consistency.verify_day(DAY)

    assert not report.is_consistent
    assert [(note.code, note.found) for note in report.notes] == [
        ("accepted_difference", "+12 rows, +1: disk replaced")
    ]


# --- candles ----------------------------------------------------------------------------------------------------------

ONE = "WHERE symbol = '005930' AND feed = 'krx' AND open_id = %s"
SUBJECT = f"005930 krx {AT_0902}"


def test_a_candle_that_is_gone_is_found(done):
    sql(f"DELETE FROM {MINUTES} {ONE}", tick_id(1, 5))

    codes = found()

    assert codes[0] == ("candle_missing", SUBJECT)
    assert {code for code, _ in codes[1:]} == {"daily_differs"}


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
def test_a_candle_that_is_wrong_in_its_last_digit_is_found(done, name):
    quoted = connection.ops.quote_name(name)
    sql(f"UPDATE {MINUTES} SET {quoted} = {quoted} + {unit()} {ONE}", tick_id(1, 5))

    assert found() == [("candle_differs", f"{SUBJECT} {name}")]


@pytest.mark.parametrize(("name", "by"), [("volume", "1"), ("value", "1"), ("n", "1"), ("close_id", "1")])
def test_any_other_field_of_a_candle_is_compared(done, name, by):
    sql(f"UPDATE {MINUTES} SET {name} = {name} + {by} {ONE}", tick_id(1, 5))

    assert ("candle_differs", f"{SUBJECT} {name}") in found()


def test_the_revision_of_a_candle_is_history_and_not_compared(done):
    sql(f"UPDATE {MINUTES} SET rev = rev + 9 {ONE}", tick_id(1, 5))

    assert found() == []


def test_a_candle_without_ticks_is_found_even_of_a_symbol_that_has_none(done):
    from analytics.series import candles

    with storage().transaction():
        storage().merge_minutes(candles.build(market.ticks([{"symbol": "035720"}])))
        storage().merge_minutes(
            candles.build(market.ticks([{"symbol": "005930", "time_us": NINE_US + 90 * MINUTE_US}]))
        )

    codes = found()

    assert codes[:2] == [
        ("candle_superfluous", "005930 krx 2026-03-16T10:30:00+09:00"),
        ("candle_superfluous", "035720 krx 2026-03-16T09:00:00+09:00"),
    ]
    assert ("daily_missing", "035720 krx 2026-03-16") in codes


def test_a_daily_candle_that_is_gone_is_found(done):
    sql(f"DELETE FROM {DAILY} WHERE symbol = '005930' AND feed = 'nxt'")

    assert found() == [("daily_missing", "005930 nxt 2026-03-16")]


@pytest.mark.parametrize(
    "name",
    ["open", "high", "low", "close", "last", "volume", "value", "n", "regular_open", "regular_high", "regular_volume"],
)
def test_every_field_of_a_daily_candle_is_compared(done, name):
    quoted = connection.ops.quote_name(name)
    sql(f"UPDATE {DAILY} SET {quoted} = {quoted} + 1 WHERE symbol = '005930' AND feed = 'krx'")

    assert found() == [("daily_differs", f"005930 krx 2026-03-16 {name}")]


def test_a_daily_candle_of_a_symbol_that_never_traded_is_found(done):
    Symbol.objects.create(code="035720", market_id="KRX")
    sql(f"UPDATE {DAILY} SET symbol = '035720' WHERE symbol = '005930' AND feed = 'nxt'")

    assert found() == [("daily_missing", "005930 nxt 2026-03-16"), ("daily_superfluous", "035720 nxt 2026-03-16")]


def test_a_day_whose_ticks_were_dropped_in_time_says_so(done):
    dropped.note_ticks([DAY], datetime.datetime(2027, 3, 17, tzinfo=datetime.UTC))
    storage().drop_days(HISTORY, [DAY])

    report = consistency.verify_day(DAY)

    assert report.is_consistent
    assert [note.code for note in report.notes] == ["dropped"]


# --- while workers go on ----------------------------------------------------------------------------------------------


def test_a_day_that_is_being_written_is_consistent_at_every_moment():
    commit(storage(), batch(1))
    ended, written = threading.Event(), [0]
    findings: list[object] = []

    def work() -> None:
        try:
            while not ended.is_set():
                commit(storage(), batch(100 + written[0]))
                written[0] += 1
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        try:
            until(lambda: written[0], seconds=60, what="a worker that writes")
            before = written[0]
            while len(findings) < 12 or written[0] == before:
                findings.append(consistency.verify_day(DAY).findings)
        finally:
            ended.set()
        worker.result(timeout=300)

    assert findings == [()] * len(findings)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_ends_well_when_all_is_well(done):
    assert "2026-03-16 done: consistent. 36 ticks" in run("2026-03-16")
    assert "consistent" in run("--from", "2026-03-01", "--to", "2026-03-16")


def test_the_command_names_each_difference_and_fails(done):
    sql(f"DELETE FROM {HISTORY} WHERE tick_id = %s", tick_id(1, 4))
    out = StringIO()

    with pytest.raises(CommandError, match=r"2026-03-16: 8\. .*docs/consistency\.md"):
        call_command("verify_day", "2026-03-16", stdout=out)

    assert "  rows_missing  batch 1/1  expected 12 ticks, checksum" in out.getvalue()


def test_the_command_speaks_to_machines(done):
    sql(f"DELETE FROM {MINUTES} WHERE feed = 'krx'")
    out, err = StringIO(), StringIO()

    with pytest.raises(CommandError):
        call_command("verify_day", "2026-03-16", "--json", "--most", "2", stdout=out, stderr=err)

    said = json.loads(out.getvalue())
    assert (said["date"], said["consistent"], said["ticks"]) == ("2026-03-16", False, 36)
    assert said["counts"]["candle_missing"] == 12
    assert [one["code"] for one in said["findings"]].count("candle_missing") == 2
    assert said["findings"][0].keys() == {"code", "subject", "expected", "found"}
    assert "ledger and ticks" in err.getvalue()


def test_what_is_not_named_is_counted(done):
    sql(f"DELETE FROM {MINUTES} WHERE feed = 'krx'")
    out = StringIO()

    with pytest.raises(CommandError):
        call_command("verify_day", "2026-03-16", "--most", "2", stdout=out)

    assert "candle_missing  … 10 more of these" in out.getvalue()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["2026-03-11"], "no tick, ledger entry or rollover of this date. Known: 2026-03-16 to"),
        (["2026-02-30"], "YYYY-MM-DD"),
        (["tomorrow"], "YYYY-MM-DD"),
        ([], "either dates, or --from and --to"),
        (["2026-03-16", "--from", "2026-03-16"], "either dates, or --from and --to"),
        (["--from", "2026-03-20", "--to", "2026-03-16"], "is later than --to"),
        (["--from", "2020-01-01", "--to", "2020-12-31"], "no day is known in that range. Known: 2026-03-16 to"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_so(done, words, says):
    with pytest.raises(CommandError, match=says):
        run(*words)


def test_with_nothing_in_the_database_no_day_is_known():
    with pytest.raises(CommandError, match="No day is known yet"):
        run("2026-03-16")
    with pytest.raises(CommandError, match="No day is known yet"):
        run("--from", "2026-03-16")
