"""Events, gaps, corrections and the quality of a day by REST."""

import datetime
import json
from decimal import Decimal

import pytest

from analytics import voids
from analytics.voids import Selection
from marketdata.models import Gap
from marketdata.storage import storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.units import day_of
from tests.integration.serving import minute, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving"]

DAY = datetime.date(2026, 3, 16)


def event(number: int, **other) -> MarketEvent:
    """A VI of 005930 `number` microseconds after nine."""
    given = {
        "time_us": NINE_US + number, "event_id": number, "trade_date": day_of(DAY), "feed": "krx",
        "source_id": 4, "kind": "vi", "symbol": "005930", "body": {"code": number},
    }  # fmt: skip
    return MarketEvent(**{**given, **other})


def pages(serving, path: str, of: str, **query):
    found, token = [], dict[str, str]()
    while True:
        page = serving.read(path, **query, **token)
        found += page[of]
        if page["next_page_token"] is None:
            return found
        token = {"page_token": page["next_page_token"]}


def test_events_are_told_by_type_symbol_feed_and_time_in_pages(serving):
    serving.commit([minute(0)])
    storage().ensure_partitions([DAY], ("market_events",))
    told = [event(at) for at in range(6)] + [event(3, event_id=9)]
    storage().store_events([*told, event(7, kind="status", symbol=""), event(8, symbol="000660"), event(9, feed="nxt")])

    whole = pages(serving, "/v2/events", "events", type="vi", symbols="005930", feed="krx")

    assert [one["i"] for one in whole] == [0, 1, 2, 3, 9, 4, 5]
    assert whole[1] == {
        "t": "2026-03-16T00:00:00.000001Z", "i": 1, "type": "vi", "x": "krx", "S": "005930", "body": {"code": 1},
    }  # fmt: skip
    for limit in (1, 3, 4):
        asked = {"type": "vi", "symbols": "005930", "feed": "krx", "limit": limit}
        assert pages(serving, "/v2/events", "events", **asked) == whole
        assert pages(serving, "/v2/events", "events", sort="desc", **asked) == whole[::-1]
    assert len(serving.read("/v2/events")["events"]) == 10
    assert [one["type"] for one in serving.read("/v2/events", type="status")["events"]] == ["status"]
    token = serving.read("/v2/events", limit=1)["next_page_token"]
    assert serving.get("/v2/events", limit=1, type="vi", page_token=token).status_code == 400
    assert serving.read("/v2/events", start="2026-03-17")["events"] == []


@pytest.mark.parametrize("word", ["\N{SLIGHTLY SMILING FACE}", "\uc9c0\uc218"])
def test_a_type_of_events_beyond_ascii_is_refused_and_an_index_of_that_name_has_none(serving, word):
    refused = serving.get("/v2/events", type=word)

    assert (refused.status_code, set(refused.json()["errors"])) == (400, {"type"})
    assert serving.read("/v2/events", index=word, start=DAY.isoformat())["events"] == []


def test_the_day_of_one_index_is_told_whole_whatever_the_others_tell_in_between(serving):
    serving.commit([minute(0)])
    storage().ensure_partitions([DAY], ("market_events",))
    told = [
        event(at, kind="index", symbol="", body={"index": ["0001", "1001", "2001"][at % 3], "prpr_nmix": f"{at}.5"})
        for at in range(30)
    ]
    others = [
        event(41, kind="vi", body={"index": "0001"}), event(42, kind="index", symbol="", body={"names": None}),
        event(43, kind="index", symbol="", body={"index": "1001", "note": "a\0b"}),
        event(44, kind="index", body={"index": 1}),
        event(45, kind="index", symbol="", body={"index": {"index": "0001"}}),
        event(46, kind="index", symbol="", feed="nxt", body={"index": "0001", "prpr_nmix": "7"}),
    ]  # fmt: skip
    storage().store_events([*told, *others])

    asked = {"index": "0001", "start": "2026-03-16"}
    whole = pages(serving, "/v2/events", "events", feed="krx", **asked)

    assert [(one["i"], one["body"]["prpr_nmix"]) for one in whole] == [(at, f"{at}.5") for at in range(0, 30, 3)]
    for limit in (1, 4, 10):
        there = {"feed": "krx", "limit": limit, **asked}
        assert pages(serving, "/v2/events", "events", **there) == whole
        assert pages(serving, "/v2/events", "events", sort="desc", **there) == whole[::-1]
    assert [one["i"] for one in serving.read("/v2/events", sort="desc", **asked)["events"]][:2] == [46, 27]
    assert serving.read("/v2/events", index="000", start="2026-03-16")["events"] == []
    assert serving.read("/v2/events", index="0001", start="2026-03-09")["events"] == []  # a week, and no longer
    assert len(serving.read("/v2/events", index="0001", start="2026-03-10")["events"]) == 11
    for wrong, where in (
        ({"index": "0001"}, "start"), ({**asked, "type": "vi"}, "type"), ({**asked, "end": "2026-03-23"}, "end"),
        ({"index": "0001", "start": "2026-03-16", "end": "2026-03-15"}, "start"),
    ):  # fmt: skip
        refused = serving.get("/v2/events", **wrong)
        assert (refused.status_code, where in refused.content.decode()) == (422, True), wrong
    token = serving.read("/v2/events", limit=1, **asked)["next_page_token"]
    assert serving.get("/v2/events", limit=1, page_token=token, **{**asked, "index": "1001"}).status_code == 400


def test_gaps_of_a_symbol_are_its_own_and_those_of_its_feeds(serving):
    serving.commit([minute(0)])
    for number, symbol in enumerate(["005930", "", "000660", "005930"]):
        Gap.objects.create(
            batch=number, feed="krx", symbol=symbol, from_us=NINE_US + number, to_us=NINE_US + MINUTE_US, rows=number,
            missing=2_500_000 if number else None, reason="volume_hole of 9" if number == 3 else "disk full",
        )  # fmt: skip

    whole = pages(serving, "/v2/gaps", "gaps", symbols="005930")

    assert [(one["S"], one["rows"], one["missing"]) for one in whole] == [
        ("005930", 0, None), ("", 1, Decimal("2.5")), ("005930", 3, Decimal("2.5")),
    ]  # fmt: skip
    assert (whole[0]["from"], whole[0]["to"]) == ("2026-03-16T00:00:00.000000Z", "2026-03-16T00:01:00.000000Z")
    assert pages(serving, "/v2/gaps", "gaps", symbols="005930", limit=1) == whole
    assert pages(serving, "/v2/gaps", "gaps", symbols="005930", limit=2, sort="desc") == whole[::-1]
    assert pages(serving, "/v2/gaps", "gaps", symbols="005930", reason="disk", limit=1) == whole[:2]
    assert pages(serving, "/v2/gaps", "gaps", reason="volume_hole") == whole[2:]
    assert serving.read("/v2/gaps", reason="Disk")["gaps"] == []
    assert serving.read("/v2/gaps", start="2026-03-16T00:01:00.000001Z")["gaps"] == []
    assert serving.get("/v2/gaps", start="2026-03-17", end="2026-03-16").status_code == 422


def test_corrections_tell_trades_taken_back_and_candles_that_changed(serving):
    serving.commit([minute(0), minute(1, price="99999")])
    voids.void(Selection(symbols=("005930",), start_us=NINE_US + MINUTE_US), reason="a typing error", by="kim")

    (void,) = serving.read("/v2/corrections")["corrections"]

    assert (void["type"], void["t"], void["S"], void["x"], void["reason"]) == (
        "void", "2026-03-16T00:01:00.000000Z", "005930", "krx", "a typing error",
    )  # fmt: skip
    assert (void["tick"]["price"], void["tick"]["size"]) == ("99999", "1")
    late = serving.read("/v2/corrections", type="late", symbols="005930")["corrections"]
    bars = serving.read("/v2/stocks/005930/bars")["bars"]
    assert [one["bar"]["t"] for one in late] == [bar["t"] for bar in bars if bar["rev"]]
    assert serving.read("/v2/corrections", type="vendor")["corrections"] == []
    assert serving.get("/v2/corrections", type="late").status_code == 422


def test_the_quality_of_a_day_counts_what_was_stored_refused_and_lost(serving):
    serving.commit([minute(0), minute(1), minute(1, symbol="000660"), minute(2, price="-1")])

    good = serving.read("/v2/quality/2026-03-16/000660")
    assert (good["stored"], good["rejected"], good["grade"], good["because"]) == (1, 0, "A", [])
    whole = serving.read("/v2/quality/2026-03-16")
    assert [whole[name] for name in ("received", "stored", "repeated", "rejected", "reasons", "gaps")] == [
        4, 3, 0, 1, {"price_not_positive": 1}, 0,
    ]  # fmt: skip
    assert (whole["grade"], whole["because"]) == ("C", ["refused rows: 1, more than 1 in 1,000"])
    mine = serving.read("/v2/quality/2026-03-16/005930")
    assert (mine["stored"], mine["rejected"], mine["reasons"]) == (2, 1, {"price_not_positive": 1})

    Gap.objects.create(batch=1, feed="krx", from_us=NINE_US, to_us=NINE_US, rows=7, reason="disk full")
    lost = serving.read("/v2/quality/2026-03-16/000660")
    assert (lost["gaps"], lost["missing"], lost["grade"]) == (1, 7, "C")


@pytest.mark.once
def test_a_day_of_which_nothing_is_known_is_no_bad_day(serving):
    for path, code in (("2026-03-15", 40410004), ("yesterday", 40410000), ("2026-03-15/005930", 40410004)):
        answer = serving.get(f"/v2/quality/{path}")
        assert (answer.status_code, json.loads(answer.content)["code"]) == (404, code)
