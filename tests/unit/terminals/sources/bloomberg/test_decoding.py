"""What Bloomberg's messages become: trades only what is one, pictures apart, and everything that is missing told."""

import datetime
import itertools
import json

import pytest

from terminals.batcher import Batchers
from terminals.recording import Note
from terminals.sources.bloomberg.decoding import NOTICED_US, Decoder
from terminals.sources.bloomberg.sdk import Record
from terminals.sources.bloomberg.settings import Settings
from terminals.sources.contract import WrongInput
from terminals.wire import Kind
from tests.unit.terminals.sources.bloomberg.receiving import Got

SAMSUNG, KOSPI = "005930 KS Equity", "KOSPI Index"
SECURITIES = {SAMSUNG: "005930", KOSPI: "KOSPI"}
NOW_US = int(datetime.datetime(2026, 3, 16, 0, 30, tzinfo=datetime.UTC).timestamp()) * 1_000_000
SECOND_US = 1_000_000
PAINT = {
    "LAST_PRICE": 70000.0, "BID": 69900.0, "ASK": 70000.0, "BID_SIZE": 500, "ASK_SIZE": 700, "VOLUME": 1234567,
    "OPEN": 69500.0, "HIGH": 70500.0, "LOW": 69400.0, "PREV_CLOSE_VALUE_REALTIME": 69000.0,
    "RT_PX_CHG_PCT_1D": 1.4492753623188406, "TRADE_UPDATE_STAMP_RT": "2026-03-16T00:29:59+00:00",
    "IS_DELAYED_STREAM": False,
}  # fmt: skip
TRADE_AT = {"TRADE_UPDATE_STAMP_RT": "2026-03-16T00:30:00.125000+00:00"}


class Desk:
    """A decoder, what it sent, and a clock that goes a second a message."""

    def __init__(self, **options):
        self.got = Got()
        self.decoder = Decoder(Settings(SECURITIES, **options))
        self._clock = itertools.count(NOW_US, SECOND_US)
        self.notes = []

    def hear(self, kind, security=None, content=None, recap=False, begins=True, ends=True):
        record = Record(kind, security, content or {}, recap, begins, ends)
        at_us = next(self._clock)
        self.notes.append(Note("blpapi", record.text(), 0, at_us))
        self.decoder.handle(record, at_us, self.got)
        return at_us

    def paint(self, security=SAMSUNG, **fields):
        said = {"MKTDATA_EVENT_TYPE": "SUMMARY", "MKTDATA_EVENT_SUBTYPE": "INITPAINT", **PAINT, **fields}
        return self.hear("MarketDataEvents", security, said, recap=True)

    def say(self, kind, subtype, security=SAMSUNG, **fields):
        said = {"MKTDATA_EVENT_TYPE": kind, "MKTDATA_EVENT_SUBTYPE": subtype, **fields}
        return self.hear("MarketDataEvents", security, said)


@pytest.fixture
def desk():
    """Bloomberg has said of both securities that they come in real time."""
    made = Desk()
    for security in SECURITIES:
        made.decoder.handle(Record("MarketDataEvents", security, {"IS_DELAYED_STREAM": False}), NOW_US, made.got)
    made.decoder.counts.clear()
    return made


def test_a_picture_is_a_snapshot_with_what_it_says_of_the_day_and_never_a_trade(desk):
    desk.paint()

    assert desk.got.of(Kind.TRADE) == []
    assert desk.got.of(Kind.SNAPSHOT) == [{
        "symbol": "005930", "kind": Kind.SNAPSHOT, "time_us": NOW_US - SECOND_US,
        "price": 70000 * 10**8, "cum_volume": 1234567 * 10**6, "change_rate": 144927536,
        "open": 69500 * 10**8, "high": 70500 * 10**8, "low": 69400 * 10**8, "prev_close": 69000 * 10**8,
        "bid": 69900 * 10**8, "ask": 70000 * 10**8, "bid_size": 500 * 10**6, "ask_size": 700 * 10**6,
    }]  # fmt: skip


def test_a_trade_has_its_own_price_size_and_time(desk):
    desk.paint()
    desk.say("TRADE", "NEW", EVT_TRADE_PRICE_RT=70100.0, EVT_TRADE_SIZE_RT=10, VOLUME=1234577, **TRADE_AT)

    assert desk.got.of(Kind.TRADE) == [{
        "symbol": "005930", "kind": Kind.TRADE, "time_us": NOW_US + 125_000, "price": 70100 * 10**8,
        "size": 10 * 10**6, "cum_volume": 1234577 * 10**6,
    }]  # fmt: skip


def test_two_equal_trades_are_two_and_what_they_leave_out_is_unchanged(desk):
    desk.paint()
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=10, **TRADE_AT)
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=10, **TRADE_AT)
    desk.say("TRADE", "NEW", **TRADE_AT)

    assert [(row["price"], row["size"]) for row in desk.got.of(Kind.TRADE)] == [(70100 * 10**8, 10 * 10**6)] * 3


@pytest.mark.parametrize("subtype", ["INTRADAY", "NEWDAY", "DATALOSS"])
def test_a_summary_with_a_price_is_no_trade(desk, subtype):
    desk.paint()
    desk.say("SUMMARY", subtype, LAST_PRICE=70200.0, VOLUME=5)

    assert desk.got.of(Kind.TRADE) == []
    assert desk.got.of(Kind.SNAPSHOT)[-1]["price"] == 70200 * 10**8


def test_what_does_not_say_what_it_is_is_no_trade(desk):
    desk.hear("MarketDataEvents", SAMSUNG, {"LAST_PRICE": 70200.0, "SIZE_LAST_TRADE": 3})

    assert [row["kind"] for row in desk.got.rows] == [Kind.SNAPSHOT]


def test_a_new_day_forgets_the_figures_of_the_old_one(desk):
    desk.paint()
    desk.say("SUMMARY", "NEWDAY", PREV_CLOSE_VALUE_REALTIME=70000.0)

    snapshot = desk.got.of(Kind.SNAPSHOT)[-1]
    assert (snapshot["open"], snapshot["high"], snapshot["low"], snapshot["cum_volume"]) == (None,) * 4
    assert snapshot["prev_close"] == 70000 * 10**8


def test_a_quote_changes_one_side_and_a_null_withdraws_one(desk):
    desk.paint()
    desk.say("QUOTE", "BID", BID=69800.0, BID_UPDATE_STAMP_RT="2026-03-16T09:30:02+09:00")
    desk.say("QUOTE", "ASK", ASK=None, ASK_SIZE=None)

    first, second = desk.got.of(Kind.QUOTE)
    assert (first["bid"], first["ask"], first["bid_size"]) == (69800 * 10**8, 70000 * 10**8, 500 * 10**6)
    assert first["time_us"] == NOW_US + 2 * SECOND_US
    assert (second["bid"], second["ask"], second["ask_size"]) == (69800 * 10**8, None, None)


def test_a_quote_withdrawn_on_both_sides_is_counted(desk):
    desk.say("QUOTE", "BID", BID=None, ASK=None)

    assert desk.got.rows == []
    assert desk.decoder.counts["quotes_withdrawn"] == 1


def test_a_new_picture_forgets_what_it_does_not_say_though_it_comes_in_pieces(desk):
    desk.paint()
    said = {"MKTDATA_EVENT_TYPE": "SUMMARY", "MKTDATA_EVENT_SUBTYPE": "INITPAINT"}
    desk.hear("MarketDataEvents", SAMSUNG, {**said, "LAST_PRICE": 71000.0}, recap=True, ends=False)
    desk.hear("MarketDataEvents", SAMSUNG, {**said, "BID": 70900.0, "IS_DELAYED_STREAM": False},
              recap=True, begins=False)  # fmt: skip

    _before, snapshot = desk.got.of(Kind.SNAPSHOT)
    assert (snapshot["price"], snapshot["bid"], snapshot["ask"]) == (71000 * 10**8, 70900 * 10**8, None)


def test_an_index_has_neither_quotes_nor_volume(desk):
    desk.hear("MarketDataEvents", KOSPI, {
        "MKTDATA_EVENT_TYPE": "SUMMARY", "LAST_PRICE": 2612.43, "VOLUME": None, "IS_DELAYED_STREAM": False
    }, recap=True)  # fmt: skip

    (snapshot,) = desk.got.of(Kind.SNAPSHOT)
    assert (snapshot["price"], snapshot["cum_volume"], snapshot["bid"]) == (261243000000, None, None)


def test_news_of_what_has_no_size_are_snapshots_at_the_time_they_came(desk):
    desk.paint(KOSPI, LAST_PRICE=2612.43, VOLUME=None)
    at_us = desk.say("TRADE", "NEW", security=KOSPI, LAST_PRICE=2613.01)

    assert desk.got.of(Kind.TRADE) == []
    assert [(row["price"], row["time_us"]) for row in desk.got.of(Kind.SNAPSHOT)] == [
        (261243000000, NOW_US - SECOND_US), (261301000000, at_us)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("price", "exact"),
    [
        (1993.3000000000002, 199330000000),
        (0.00012345, 12345),
        (1e-05, 1000),
        (-37.63, -3763000000),
        ("70000", 7 * 10**12),
    ],
)
def test_a_price_is_exact(desk, price, exact):
    desk.say("TRADE", "NEW", LAST_PRICE=price, SIZE_LAST_TRADE=1)

    assert desk.got.of(Kind.TRADE)[0]["price"] == exact


@pytest.mark.parametrize("price", [None, "soon", float("nan"), float("inf"), True, 1e30])
def test_a_trade_without_a_readable_price_is_counted_and_told(desk, price, caplog):
    desk.say("TRADE", "NEW", LAST_PRICE=price, SIZE_LAST_TRADE=1)

    assert desk.got.of(Kind.TRADE) == []
    assert desk.decoder.counts["unreadable"] == 1
    assert SAMSUNG in caplog.text


def test_a_correction_is_kept_as_what_was_said_and_is_no_trade(desk):
    desk.paint()
    desk.say("TRADE", "CANCEL", EVT_TRADE_PRICE_RT=70100.0, EVT_TRADE_SIZE_RT=10, **TRADE_AT)

    assert desk.got.of(Kind.TRADE) == []
    (event,) = desk.got.events("vendor_correction")
    assert event["symbol"] == "005930"
    assert event["body"] == {
        "security": SAMSUNG, "subtype": "CANCEL", "time_us": NOW_US + 125_000, "EVT_TRADE_PRICE_RT": 70100.0,
        "EVT_TRADE_SIZE_RT": 10,
    }  # fmt: skip


def test_a_delayed_stream_is_refused_and_told_once_and_taken_when_it_is_real_time(desk, caplog):
    desk.paint(IS_DELAYED_STREAM=True)
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=1)
    desk.say("SUMMARY", "INTRADAY", IS_DELAYED_STREAM=True)

    assert [row["kind"] for row in desk.got.rows] == [Kind.STATUS]
    assert desk.got.events("vendor_delayed")[0]["body"] == {"security": SAMSUNG, "delayed": True}
    assert desk.decoder.counts["refused_delayed"] == 3
    assert caplog.text.count("delayed security") == 1

    desk.hear("SessionConnectionDown")
    desk.hear("DataLoss", SAMSUNG, {"numMessagesDropped": 1})
    desk.paint(IS_DELAYED_STREAM=True)
    assert desk.got.gaps == []  # nothing of it is sent, so nothing is missing

    desk.paint(IS_DELAYED_STREAM=False)
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=1)

    assert len(desk.got.of(Kind.TRADE)) == 1
    assert desk.got.events("vendor_delayed")[-1]["body"]["delayed"] is False


@pytest.mark.parametrize("said", [{}, {"IS_DELAYED_STREAM": None}])
def test_a_stream_that_does_not_say_whether_it_is_delayed_is_told_once_and_makes_no_candle(said, caplog):
    desk = Desk()
    picture = {name: value for name, value in PAINT.items() if name != "IS_DELAYED_STREAM"} | said

    desk.hear("MarketDataEvents", SAMSUNG, {"MKTDATA_EVENT_SUBTYPE": "INITPAINT", **picture}, recap=True)
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=1)
    desk.say("TRADE", "NEW", security=KOSPI, LAST_PRICE=2600.0)  # before any picture

    assert [row["kind"] for row in desk.got.rows] == [Kind.STATUS] * 2
    told = [(event["symbol"], event["body"]["delayed"]) for event in desk.got.events("vendor_delayed")]
    assert told == [("005930", None), ("KOSPI", None)]
    assert caplog.text.count("delay unknown") == 2
    assert desk.decoder.counts["refused_unknown"] == 3

    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=1, IS_DELAYED_STREAM=False)

    assert len(desk.got.of(Kind.TRADE)) == 1
    assert desk.got.events("vendor_delayed")[-1]["body"]["delayed"] is False


def test_a_picture_after_a_broken_connection_has_to_say_again_that_it_is_in_real_time(desk):
    picture = {name: value for name, value in PAINT.items() if name != "IS_DELAYED_STREAM"}
    desk.paint()
    desk.hear("SessionConnectionDown")

    desk.hear("MarketDataEvents", SAMSUNG, {"MKTDATA_EVENT_SUBTYPE": "INITPAINT", **picture}, recap=True)
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=1)

    assert desk.got.of(Kind.TRADE) == []
    assert [gap.symbol for gap in desk.got.gaps] == ["005930"], "what was missing was of a real-time stream"


def test_conflated_news_are_pictures_whatever_they_say_they_are():
    desk = Desk(interval_s=5)
    desk.paint()
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=10)
    desk.say("QUOTE", "BID", BID=70000.0)

    assert {row["kind"] for row in desk.got.rows} == {Kind.SNAPSHOT}


# --- what is missing ------------------------------------------------------------------------------------------------


def test_lost_messages_are_a_gap_of_their_security_since_it_was_last_heard_of(desk):
    heard_us = desk.paint()
    at_us = desk.hear("DataLoss", SAMSUNG, {"id": "x", "source": "Test", "numMessagesDropped": 123})

    (gap,) = desk.got.gaps
    assert (gap.symbol, gap.from_us, gap.to_us, gap.rows, gap.reason) == (
        "005930", heard_us, at_us, 123, "bloomberg_data_loss"
    )  # fmt: skip


def test_lost_messages_of_nobody_in_particular_are_a_gap_of_the_feed(desk):
    desk.hear("DataLoss", None, {"numMessagesDropped": 5})

    assert [(gap.symbol, gap.rows) for gap in desk.got.gaps] == [(None, 5)]


def test_a_picture_after_a_loss_says_that_there_was_one(desk):
    heard_us = desk.paint()
    at_us = desk.say("SUMMARY", "DATALOSS", LAST_PRICE=70200.0)

    assert [(gap.symbol, gap.from_us, gap.to_us) for gap in desk.got.gaps] == [("005930", heard_us, at_us)]
    assert desk.got.order[-2:] == ["gap", "SNAPSHOT"]


def test_what_a_full_queue_dropped_is_a_gap_of_the_feed_once(desk):
    slow_us = desk.hear("SlowConsumerWarning")
    desk.hear("DataLoss", SAMSUNG, {"numMessagesDropped": 2})
    at_us = desk.hear("SlowConsumerWarningCleared", None, {"eventsDropped": 7})

    assert [(gap.symbol, gap.rows) for gap in desk.got.gaps] == [("005930", 2), (None, 5)]
    assert (desk.got.gaps[1].from_us, desk.got.gaps[1].to_us) == (slow_us, at_us)
    assert [event["body"]["state"] for event in desk.got.events("vendor_slow")] == ["slow", "cleared"]


def test_a_warning_without_a_loss_is_no_gap(desk):
    desk.hear("SlowConsumerWarning")
    desk.hear("SlowConsumerWarningCleared", None, {"eventsDropped": 0})

    assert desk.got.gaps == []


@pytest.mark.parametrize("down", [("SessionConnectionDown", None), ("SubscriptionStreamsDeactivated", SAMSUNG)])
@pytest.mark.parametrize("back", ["activated", "painted"])
def test_the_time_without_a_stream_is_a_gap_when_it_is_back(desk, down, back):
    heard_us = desk.paint()
    desk.hear(*down)
    at_us = desk.paint() if back == "painted" else desk.hear("SubscriptionStreamsActivated", SAMSUNG)
    desk.paint()

    (gap,) = desk.got.gaps
    assert (gap.symbol, gap.from_us, gap.to_us, gap.reason) == ("005930", heard_us, at_us, "bloomberg_disconnected")


def test_a_quiet_security_is_missed_only_since_the_break_can_have_been(desk):
    desk.paint()
    for _ in range(60):
        desk.hear("SubscriptionStarted", KOSPI)
    down_us = desk.hear("SessionTerminated", None, {"reason": {"category": "", "description": "x"}})
    desk.paint()

    assert desk.got.gaps[0].from_us == down_us - NOTICED_US


def test_what_was_never_there_is_not_missing_and_what_did_not_come_back_is_told_at_the_end():
    desk = Desk()
    desk.paint()
    desk.hear("SessionConnectionDown")
    desk.decoder.finish(NOW_US + 100 * SECOND_US, desk.got)

    assert [(gap.symbol, gap.to_us) for gap in desk.got.gaps] == [("005930", NOW_US + 100 * SECOND_US)]


# --- what is refused ------------------------------------------------------------------------------------------------


def because(category, description="for testing"):
    return {"source": "Test", "errorCode": -1, "category": category, "subcategory": "X", "description": description}


@pytest.mark.parametrize("category", ["NO_AUTH", "BAD_SEC", "LIMIT", "TIMEOUT", ""])
def test_a_refused_subscription_is_told_with_its_security(desk, caplog, category):
    desk.hear("SubscriptionFailure", SAMSUNG, {"reason": because(category), "failureDetails": []})

    (event,) = desk.got.events("vendor_subscription")
    assert (event["symbol"], event["body"]["security"], event["body"]["category"]) == ("005930", SAMSUNG, category)
    assert "for testing" in event["body"]["reason"]
    assert SAMSUNG in caplog.text


def test_a_refused_field_is_told_though_the_subscription_runs(desk):
    exceptions = [{"fieldId": "VOLUME", "reason": because("BAD_FLD")}]
    desk.hear("SubscriptionStarted", KOSPI, {"exceptions": exceptions, "resubscriptionId": 1})

    (event,) = desk.got.events("vendor_field")
    assert (event["symbol"], event["body"]["field"]) == ("KOSPI", "VOLUME")
    assert "BAD_FLD" in event["body"]["reason"]


def test_an_unknown_message_is_counted(desk):
    desk.hear("SomethingNew", None, {"a": 1})

    assert desk.decoder.counts["SomethingNew"] == 1
    assert desk.got.rows == []


# --- the same again -------------------------------------------------------------------------------------------------


def busy(desk):
    desk.paint()
    desk.say("TRADE", "NEW", LAST_PRICE=70100.0, SIZE_LAST_TRADE=10, VOLUME=None, **TRADE_AT)
    desk.say("QUOTE", "BID", BID=None)
    desk.hear("DataLoss", SAMSUNG, {"numMessagesDropped": 1})
    desk.hear("SessionConnectionDown", None, {"server": "x"})
    desk.paint()
    desk.hear("SubscriptionFailure", KOSPI, {"reason": because("NO_AUTH", "권한 없음")})


def test_a_recording_gives_what_it_gave_live(desk):
    busy(desk)
    again, got = Decoder(Settings(SECURITIES)), Got()

    for note in desk.notes:
        again.take(note, got)

    assert (got.rows, got.gaps, got.order) == (desk.got.rows, desk.got.gaps, desk.got.order)


def test_every_row_fits_the_wire(desk):
    busy(desk)
    batchers = Batchers(1000, 1.0)

    for row in desk.got.rows:
        batchers.of("bloomberg", row).add(row, now=0.0, now_us=NOW_US)

    assert sum(len(one) for one in batchers) == len(desk.got.rows)


@pytest.mark.parametrize("text", ["", "{}", "[1]", json.dumps(["a", None, [], False, True, True])])
def test_a_note_of_somebody_else_is_refused(desk, text):
    with pytest.raises(WrongInput):
        desk.decoder.take(Note("ws", text, 0, NOW_US), desk.got)
