"""Features are what could have been known: a market is played forward, what REST said at each moment is noted, and the
table that is made long afterwards must say the same, though trades came late and others were taken back."""

import csv
import datetime
import io
import stat
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from analytics import voids
from analytics.features import derived
from analytics.voids import Selection
from marketdata.archive.parquet import arrow
from marketdata.ledger import batch_ledger
from marketdata.models import IngestBatch, VoidedTick, VoidOrder
from tests.integration.serving import SIMULATOR, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving"]

PATH = "/v2/export/features"
LAST = 12
# Minute of the trade, its price, and the minute in which it was committed.
ON_TIME = [(minute, 70_000 + 100 * (minute * 7 % 5), minute) for minute in range(LAST) if minute != 7]
LATE = [(2, 71_500, 5), (7, 70_700, 9), (8, 69_000, 8)]
WRONG, TAKEN_BACK = (4, 99_000, 4), 10
WANTED = {"name": "sma", "sma.period": 3}


def at(minute, second=0):
    return NINE_US + minute * MINUTE_US + second * 1_000_000


def time_of(text):
    return datetime.datetime.fromisoformat(text)


def moment(time_us):
    return datetime.datetime.fromtimestamp(time_us / 1e6, datetime.UTC)


@pytest.fixture
def played(serving):
    """(what reads, what REST told of the newest candle when it was a second old, by minute)."""
    told = {}
    for now in range(LAST):
        for minute, paid, came in sorted([*ON_TIME, *LATE, WRONG]):
            if came == now:
                clock = at(now, 30 if minute == now else 40)
                with mock.patch.object(batch_ledger, "now_us", return_value=clock):
                    serving.commit([{"time": at(minute, 5), "price": str(paid), "size": "2"}], source=SIMULATOR)
        if now == TAKEN_BACK:
            voids.void(Selection(symbols=("005930",), start_us=at(4), end_us=at(5)), reason="wrong", by="boss")
            VoidedTick.objects.update(gone_us=at(now, 45))
            kept = next(one for one in ON_TIME if one[0] == WRONG[0])
            with mock.patch.object(batch_ledger, "now_us", return_value=at(now, 50)):
                serving.commit([{"time": at(4, 5), "price": str(kept[1]), "size": "2"}], source=SIMULATOR)
        path = "/v2/{}/005930{}"
        newest = {"sort": "desc", "limit": 1}
        bars = serving.read(path.format("stocks", "/bars"), **newest)["bars"]
        values = serving.read(path.format("indicators", ""), **newest, **WANTED)["indicators"]
        told[time_of(bars[0]["t"])] = (*(bars[0][name] for name in "ohlcvn"), values[0]["sma"])
    return serving, told


def rows(serving, **query):
    response = serving.get(PATH, symbols="005930", format="csv", **query)
    assert response.status_code == 200, response.content
    text = b"".join(response.streaming_content).decode()
    found = list(csv.DictReader(io.StringIO(text[: text.index("# ")])))
    assert text.endswith(f"# {len(found)} rows\r\n")
    return found


def test_every_row_is_what_was_known_at_its_time_and_nothing_else(played):
    serving, told = played

    found = rows(serving, **WANTED)

    assert {time_of(row["time"]) for row in found} == set(told)
    for row in found:
        *candle, average = told[time_of(row["time"])]
        names = ("open", "high", "low", "close", "volume", "trades")
        assert [Decimal(row[name]) for name in names] == [Decimal(str(value)) for value in candle]
        assert (float(row["sma"]) if row["sma"] else None) == (
            None if average is None else pytest.approx(float(average))
        )
        known = time_of(row["known_at"]) - time_of(row["time"])
        assert known == datetime.timedelta(seconds=61)
    today = serving.read("/v2/stocks/005930/bars")["bars"]
    by_time = {time_of(bar["t"]): bar for bar in today}
    changed = [row["time"] for row in found if Decimal(row["close"]) != by_time[time_of(row["time"])]["c"]]
    assert len(changed) == 2  # minutes 2 and 4; what REST says today is not what it said then


def test_a_table_has_the_same_rows_however_it_is_asked_for(played, tmp_path):
    serving, _ = played
    whole = rows(serving, **WANTED)
    some = rows(serving, start=whole[4]["time"], end=whole[7]["time"], **WANTED)
    assert some == whole[4:8]

    content = b"".join(serving.get(PATH, symbols="005930", format="parquet", **WANTED).streaming_content)
    table = arrow(".parquet").read_table(io.BytesIO(content)).to_pylist()
    path = tmp_path / "features.arrow"
    call_command("export_features", path, symbol=["005930"], indicator=[{"name": "sma", "sma.period": "3"}])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert arrow(".ipc").open_stream(path.read_bytes()).read_all().to_pylist() == table
    assert [row["close"] for row in table] == [Decimal(row["close"]) for row in whole]
    assert [row["sma"] for row in table] == [float(row["sma"]) if row["sma"] else None for row in whole]


def test_a_value_does_not_depend_on_where_the_table_begins(played, monkeypatch):
    serving, _ = played
    monkeypatch.setattr(derived, "LOOKBACK", 1)  # no more is read than the average rests on
    whole = rows(serving, **WANTED)

    for place, row in enumerate(whole):
        found = rows(serving, start=row["time"], **WANTED)
        assert [one["sma"] for one in found] == [one["sma"] for one in whole[place:]]


def test_a_candle_of_which_nothing_can_be_told_any_more_has_only_its_time(played):
    serving, _ = played
    before = rows(serving, **WANTED)
    late = [batch for batch, came in IngestBatch.objects.values_list("batch", "committed_us") if came == at(5, 40)]
    IngestBatch.objects.filter(batch__in=late).delete()

    found = rows(serving, **WANTED)

    assert [row["time"] for row in found] == [row["time"] for row in before]
    assert [row["close"] == "" for row in found] == [place == 2 for place in range(len(found))]
    assert found[2]["log_return_1"] == found[2]["sma"] == found[4]["sma"] == ""


def test_symbols_are_told_of_at_the_same_times(played):
    serving, _ = played
    serving.commit([{"time": at(3, 10), "price": "50000", "symbol": "000660"}])

    response = serving.get(PATH, symbols="005930,000660", timeframe="5Min", format="csv", name="sma")
    text = b"".join(response.streaming_content).decode()
    found = list(csv.DictReader(io.StringIO(text[: text.index("# ")])))

    of = {code: [row for row in found if row["symbol"] == code] for code in ("000660", "005930")}
    assert [row["time"] for row in of["000660"]] == [row["time"] for row in of["005930"]]
    assert [row["close"] != "" for row in of["000660"]] == [True, False, False]
    assert all(row["close"] for row in of["005930"])


def test_an_order_that_is_not_through_counts_from_when_it_took_its_ticks_and_not_from_when_it_was_given(played):
    serving, _ = played
    before = rows(serving, **WANTED)
    given = moment(at(0))  # long before the tick of minute 4 went

    VoidOrder.objects.update(created_at=given, done_at=None)
    assert rows(serving, **WANTED) == before

    VoidedTick.objects.update(gone_us=None)  # taken by a version that did not note when
    VoidOrder.objects.update(done_at=moment(at(TAKEN_BACK, 45)))
    assert rows(serving, **WANTED) == before
    VoidOrder.objects.update(done_at=None)
    found = rows(serving, **WANTED)
    assert [row["close"] == "" for row in found] == [place == WRONG[0] for place in range(len(found))]


@pytest.mark.once
def test_a_voided_tick_has_the_moment_at_which_it_went(serving):
    serving.commit([{"time": at(0, 5), "price": "70000", "size": "2"}])
    began = batch_ledger.now_us()

    voids.void(Selection(symbols=("005930",)), reason="wrong", by="boss")

    gone_us = VoidedTick.objects.get().gone_us
    assert gone_us is not None
    assert began <= gone_us <= batch_ledger.now_us()


@pytest.mark.once
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"timeframe": "1Day"}, "minutes or hours"),
        ({"timeframe": "23Hour", "name": "macd"}, "ask for a narrower one"),
        ({"name": "magic"}, "unknown indicator"),
        ({"name": "sma", "sma.period": "0"}, "whole number from"),
        ({"symbols": ""}, "blank"),
    ],
)
def test_what_cannot_be_made_is_told(serving, query, told):
    response = serving.get(PATH, **{"symbols": "005930", **query})

    assert response.status_code in (400, 422)
    assert told in response.content.decode()


@pytest.mark.once
def test_the_command_names_what_is_wrong_and_leaves_no_half_file(serving, tmp_path):
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("a.xlsx", {"symbol": ["005930"]}, ".parquet"),
        ("a.csv", {"symbol": ["005931"]}, "005931"),
        ("a.csv", {"market": "KRX", "timeframe": "1Week"}, "minutes or hours"),
        ("a.csv", {"market": "NYSE"}, "NYSE"),
        ("away/a.csv", {"symbol": ["005930"]}, "cannot be written"),
    ]
    for path, options, told in wrong:
        with pytest.raises(CommandError, match=told):
            call_command("export_features", tmp_path / path, **options)

    assert list(tmp_path.iterdir()) == []
