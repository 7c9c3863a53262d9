"""Whatever a terminal gets wrong has a name on the wire or in the reject table, and a metric; its neighbours go on."""

import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from redis import Redis

from marketdata.models import Client, DeadLetter, IngestBatch, IngestReject, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests import database
from tests.fakes import FakeTerminal
from tests.market import NINE_US
from tests.road import Road, secret_of

GOOD = {"symbol": "005930", "time": "2026-03-16T09:00:00+09:00", "price": "70000", "size": 1}
WIRE_ERRORS = "naru_wire_errors_total"
LOGINS = "naru_auth_failures_total"


@pytest.fixture(scope="module")
def road(
    django_db_modify_db_settings, django_db_blocker, redis_server, private_folder, tmp_path_factory
) -> Iterator[Road]:
    """One ingest server and one worker for all of these tests."""
    redis_server.start()
    with Redis.from_url(redis_server.url) as client:
        client.flushall()  # messages that another test left would be taken into this database
    folder = tmp_path_factory.mktemp("bad_input")
    with django_db_blocker.unblock(), database.road(private_folder):
        Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
        Symbol.objects.create(code="000660", market=Market.objects.get(code="KRX"), is_active=False)
        with Road(folder, redis_server.url, MAX_FUTURE_S="5") as made:
            made.ingest()
            made.worker()
            yield made


@pytest.fixture(scope="module")
def neighbour(road: Road) -> Iterator[FakeTerminal]:
    with road.terminal("neighbour") as terminal:
        terminal.login()
        yield terminal


@pytest.fixture(autouse=True)
def _the_neighbour_notices_nothing(neighbour: FakeTerminal) -> Iterator[None]:
    neighbour.rows([GOOD])
    yield
    neighbour.rows([GOOD])
    neighbour.until_committed()
    assert neighbour.rejects == []


@pytest.fixture
def terminal(road: Road, request) -> Iterator[FakeTerminal]:
    """A terminal that was let in; it may not register symbols."""
    secret = secret_of("clumsy", may_register=False)
    with road.terminal("clumsy", secret=secret, epoch=None) as connected:
        connected.login()
        yield connected


@contextmanager
def counted(road: Road, metric: str, **labels: str) -> Iterator[None]:
    """The metric goes up by one (or more) while the block runs."""
    before = road.metric(metric, **labels)
    yield
    road.until(lambda: road.metric(metric, **labels) > before, seconds=60, what=f"{metric} {labels}")


def frame(
    kind: int, payload: bytes, *, version: int = 1, flags: int = 0, length: int | None = None, crc: int = 0
) -> bytes:
    """A frame with any mistake one likes."""
    head = struct.pack("<IBBH", len(payload) if length is None else length, version, kind, flags)
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head)) ^ crc) + payload


def batch_frame(payload: bytes, **mistake: int) -> bytes:
    return frame(wire.FrameType.BATCH, payload, **mistake)


ONE_ROW = wire.encode_rows(1, "krx", 1, [GOOD])
HELLO, BATCH, ACK, BYE = wire.FrameType.HELLO, wire.FrameType.BATCH, wire.FrameType.ACK, wire.FrameType.BYE


# --- who is it ---------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_an_unknown_client_is_not_let_in(road):
    with (
        counted(road, LOGINS, reason="unknown_client"),
        counted(road, WIRE_ERRORS, code="not_authorised"),
        FakeTerminal(road.port, client="stranger") as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_wrong_proof_is_refused_in_the_same_words_as_an_unknown_client(road):
    secret_of("known")
    with (
        counted(road, LOGINS, reason="wrong_proof"),
        FakeTerminal(road.port, client="known") as wrong,
        FakeTerminal(road.port, client="stranger") as unknown,
    ):
        wrong.say(wrong.hello())
        unknown.say(unknown.hello())

        assert wrong.last_words() == unknown.last_words()


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "rights", "reason"),
    [("gone", {"is_active": False}, "disabled"), ("reader", {"may_send": False}, "may_not_send")],
)
def test_a_client_that_may_not_send_is_not_let_in(road, name, rights, reason):
    secret = secret_of(name, **rights)
    with counted(road, LOGINS, reason=reason), road.terminal(name, secret=secret) as terminal:
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_proof_of_one_connection_is_worth_nothing_in_another(road):
    with road.terminal("thrifty") as first:
        proof = first.hello().proof
        first.close()
    with road.terminal("thrifty") as second:
        second.say(second.hello(proof=proof))

        assert second.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_field_that_was_signed_cannot_be_changed_on_the_way(road):
    with road.terminal("honest") as terminal:
        terminal.say(terminal.hello(register_market="CME"))

        assert terminal.last_words()[0] == "not_authorised"


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ({"source": "KIS"}, "source_mismatch", "source_mismatch"),
        ({"register_market": "NYSE"}, "register_refused", "unknown_market"),
    ],
)
def test_a_client_may_only_be_what_it_was_registered_as(road, options, code, reason):
    secret = secret_of("replayer")
    with (
        counted(road, LOGINS, reason=reason),
        counted(road, WIRE_ERRORS, code=code),
        FakeTerminal(road.port, client="replayer", secret=secret, **options) as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == code


@pytest.mark.once
def test_symbols_are_registered_only_by_those_who_may(road):
    secret = secret_of("modest", may_register=False)
    with (
        counted(road, WIRE_ERRORS, code="register_refused"),
        road.terminal("modest", secret=secret, register_market="CME") as terminal,
    ):
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "register_refused"


def test_an_old_epoch_is_refused_once_a_newer_spool_has_sent(road):
    for epoch in ("00" * 8, "11" * 8):
        with road.terminal("moved", epoch=epoch) as one:
            one.login()
            one.rows([GOOD])
            one.until_committed()

    with counted(road, WIRE_ERRORS, code="old_epoch"), road.terminal("moved", epoch="00" * 8) as again:
        again.say(again.hello())

        assert again.last_words()[0] == "old_epoch"


def test_a_spool_that_lost_its_end_is_refused_before_it_uses_a_number_again(road):
    with road.terminal("behind", epoch="33" * 8) as before:
        before.login()
        before.rows([GOOD])
        before.until_committed()

    with counted(road, WIRE_ERRORS, code="spool_behind"), road.terminal("behind", epoch="33" * 8) as again:
        again.say(again.hello(last=0))

        assert again.last_words()[0] == "spool_behind"


def test_a_second_login_takes_over_and_the_first_is_told_to_go_away(road):
    with road.terminal("twice", epoch="22" * 8) as first:
        first.login()
        first.rows([GOOD])
        first.until_committed()
        with (
            counted(road, "naru_sessions_superseded_total"),
            road.terminal("twice", epoch="22" * 8) as second,
        ):
            welcome = second.login(last=1)

            code, _ = first.last_words()
            second.rows([GOOD])
            second.until_committed()

    assert code == "superseded"
    assert welcome.commit == 1


# --- bytes that are no frame -------------------------------------------------------------------------------------

LONG = wire.FRAME_BYTES + 1

BEFORE_LOGIN: dict[str, tuple[bytes, str]] = {
    "a long hello": (struct.pack("<IBBHI", wire.HELLO_BYTES + 1, 1, HELLO, 0, 0), "frame_too_long"),
    "the longest length": (b"\xff\xff\xff\xff", "frame_too_long"),
    "a web browser": (b"GET / HTTP/1.1\r\nHost: naru\r\n\r\n", "frame_too_long"),
    "garbage": (bytes(range(3, 64)), "frame_too_long"),
    "zeros": (bytes(64), "unknown_version"),
    "a wrong checksum": (frame(HELLO, b"{}", crc=1), "bad_crc"),
    "another version": (frame(HELLO, b"{}", version=2), "unknown_version"),
    "an unknown type": (frame(13, b"{}"), "unknown_type"),
    "flags": (frame(HELLO, b"{}", flags=1), "unknown_flags"),
    "no JSON": (frame(HELLO, b"{"), "bad_json"),
    "NaN": (frame(HELLO, b'{"first": NaN}'), "bad_json"),
    "deep JSON": (frame(HELLO, b"[" * 4000), "bad_json"),
    "no text": (frame(HELLO, b"\xff\xfe"), "bad_json"),
    "an empty hello": (frame(HELLO, b"{}"), "bad_message"),
    "a batch": (batch_frame(ONE_ROW), "unexpected_frame"),
    "a heartbeat": (wire.Heartbeat(time_us=1, last=0).encode(), "unexpected_frame"),
    "an audit": (wire.Audit(ranges=(), rows=0).encode(), "unexpected_frame"),
    "a welcome": (frame(wire.FrameType.WELCOME, b"{}"), "bad_message"),
}


@pytest.mark.once
@pytest.mark.parametrize("mistake", BEFORE_LOGIN)
def test_a_stranger_that_speaks_wrongly_is_told_what_was_wrong(road, mistake):
    data, expected = BEFORE_LOGIN[mistake]
    with counted(road, WIRE_ERRORS, code=expected), FakeTerminal(road.port) as terminal:
        terminal.send(data)

        code, message = terminal.last_words()

    assert code == expected
    assert message


AFTER_LOGIN: dict[str, tuple[bytes, str]] = {
    "a long batch": (struct.pack("<IBBHI", LONG, 1, BATCH, 0, 0), "frame_too_long"),
    "a wrong checksum": (batch_frame(ONE_ROW, crc=0x80000000), "bad_crc"),
    "a flipped bit": (batch_frame(ONE_ROW)[:-1] + b"\x00", "bad_crc"),
    "another version": (batch_frame(ONE_ROW, version=0), "unknown_version"),
    "an unknown type": (frame(0, b""), "unknown_type"),
    "flags": (batch_frame(ONE_ROW, flags=0x8000), "unknown_flags"),
    "garbage behind a good batch": (batch_frame(ONE_ROW) + b"\x00" * 40, "unknown_version"),
    "a second hello": (frame(HELLO, b"{}"), "bad_message"),
    "an acknowledgement": (wire.Ack(recv=1, commit=1, ranges=(), credit=1).encode(), "unexpected_frame"),
    "no batch header": (batch_frame(b"\x01"), "bad_batch_header"),
    "batch number 0": (batch_frame(wire.reseq(ONE_ROW, 0)), "bad_batch_header"),
    "a number beyond all": (batch_frame(wire.reseq(ONE_ROW, 2**32)), "bad_batch_header"),
    "an unknown encoding": (batch_frame(ONE_ROW[:8] + b"\x09" + ONE_ROW[9:]), "bad_batch_header"),
    "a number left out": (batch_frame(wire.reseq(ONE_ROW, 3)), "bad_seq"),
    "an audit of nonsense": (frame(wire.FrameType.AUDIT, b'{"ranges":[[5,1]],"rows":1}'), "bad_message"),
}


@pytest.mark.once
@pytest.mark.parametrize("mistake", AFTER_LOGIN)
def test_a_client_that_speaks_wrongly_is_told_what_was_wrong(road, terminal, mistake):
    data, expected = AFTER_LOGIN[mistake]
    with counted(road, WIRE_ERRORS, code=expected):
        terminal.send(data)

        code, _ = terminal.last_words()

    assert code == expected


@pytest.mark.once
@pytest.mark.parametrize("at", [0, 1, 3, 4, 7, 8, 11, 12, 13, 60, -1])
def test_a_connection_cut_anywhere_leaves_nothing_behind(road, at):
    connections = road.metric("naru_connections")
    with road.terminal("cut") as terminal:
        terminal.send(terminal.hello().encode()[:at])

        terminal.close()

    road.until(lambda: road.metric("naru_connections") <= connections, seconds=60, what="the connection is forgotten")
    assert not IngestBatch.objects.filter(feed="cut").exists()


@pytest.mark.once
@pytest.mark.parametrize("at", [5, 12, 30, 60, -1])
def test_a_batch_cut_anywhere_is_no_batch(road, terminal, at):
    whole = batch_frame(wire.encode_rows(1, "cut", 1, [GOOD]))

    terminal.send(whole[:at])
    terminal.close()

    with road.terminal("clumsy", secret=terminal.secret, epoch=terminal.epoch) as again:
        assert again.login().commit == 0
    assert not IngestBatch.objects.filter(feed="cut").exists()


# --- batches that are none ---------------------------------------------------------------------------------------


def columns(rows: int) -> bytes:
    made = wire.Columns()
    for _ in range(rows):
        made.append(symbol="005930", time_us=NINE_US, price=7 * 10**12, size=10_000)
    return made.encode(1, "krx", 1)


REFUSED: dict[str, tuple[bytes, str]] = {
    "5,001 rows in columns": (columns(5001), "too_many_rows"),
    "5,001 JSON rows": (wire.encode_rows(1, "krx", 1, [{}] * 5001), "too_many_rows"),
    "columns cut short": (columns(3)[:-8], "bad_batch"),
    "bytes behind the last column": (columns(3) + bytes(8), "bad_batch"),
    "rows that are no JSON": (wire.encode_rows(1, "krx", 1, [GOOD])[:-1], "bad_batch"),
    "rows that are no list": (wire.encode_rows(1, "krx", 1, [])[:-2] + b"{}", "bad_batch"),
    "more rows than announced": (wire.encode_rows(1, "krx", 1, [GOOD])[:-1] + b",{}]", "bad_batch"),
    "a gap that ends before it begins": (
        wire.encode_gap(1, "krx", 1, 5, 5, 1, "disk full").replace(b'"from_us":5', b'"from_us":6'),
        "bad_batch",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole_and_kept(road, terminal, mistake):
    payload, expected = REFUSED[mistake]
    with counted(road, "naru_refused_batches_total", code=expected):
        terminal.batch(payload)
        terminal.until_committed()

    assert [(reject.seq, reject.code) for reject in terminal.rejects] == [(1, expected)]
    letter = DeadLetter.objects.latest("id")
    assert (letter.code, bytes(letter.payload)) == (expected, payload)
    assert IngestBatch.objects.get(batch=letter.batch).state == "refused"


@pytest.mark.once
def test_after_a_refused_batch_the_same_session_goes_on(road, terminal):
    terminal.batch(columns(5001))
    terminal.rows([GOOD])

    terminal.until_committed()

    assert [reject.code for reject in terminal.rejects] == ["too_many_rows"]


def test_a_batch_of_5000_rows_is_no_mistake(road, terminal):
    terminal.batch(columns(5000))

    terminal.until_committed()

    assert terminal.rejects == []


# --- rows that cannot be believed --------------------------------------------------------------------------------


def but(**other: Any) -> dict[str, Any]:
    """A good row with something else; None leaves a field out."""
    return {name: value for name, value in {**GOOD, **other}.items() if value is not None}


ROWS: dict[str, tuple[Any, str]] = {
    "unknown symbol": (but(symbol="999999"), "symbol_unknown"),
    "a symbol nobody could have": (but(symbol="삼성전자"), "symbol_unknown"),
    "a symbol of 25 characters": (but(symbol="x" * 25), "symbol_unknown"),
    "inactive symbol": (but(symbol="000660"), "symbol_inactive"),
    "no symbol": (but(symbol=None), "symbol_missing"),
    "a price that is NaN": (but(price="NaN"), "price_not_finite"),
    "a price that is the token NaN": (but(price=float("nan")), "price_not_finite"),
    "an infinite price": (but(price=float("inf")), "price_not_finite"),
    "a price of minus infinity": (but(price="-Infinity"), "price_not_finite"),
    "a negative price": (but(price="-70000"), "price_not_positive"),
    "a price of zero": (but(price=0), "price_not_positive"),
    "no price": (but(price=None), "price_missing"),
    "an empty price": (but(price=""), "price_missing"),
    "a price in words": (but(price="seventy"), "price_not_a_number"),
    "a price that is true": (but(price=True), "price_not_a_number"),
    "a price that is a list": (but(price=[70000]), "price_not_a_number"),
    "a price of nine decimals": (but(price="70000.123456789"), "price_too_precise"),
    "a price with thousands separated": (but(price="70,000"), "price_not_a_number"),
    "a price in full-width digits": (but(price="７００００"), "price_not_a_number"),
    "a price with its unit": (but(price="70,100원"), "price_not_a_number"),
    "a price that is a spreadsheet's error": (but(price="#N/A"), "price_not_a_number"),
    "a price that is a spreadsheet's error code": (but(price=-2146826246), "price_not_positive"),
    "a size that is a spreadsheet's error code": (but(size=-2146826246), "size_negative"),
    "a size with an underscore": (but(size="1_200"), "size_not_a_number"),
    "a price beyond DECIMAL(18,8)": (but(price="1e11"), "price_out_of_range"),
    "a price beyond belief": (but(price="1000000001"), "price_out_of_range"),
    "an exponent beyond reason": (but(price="1e999"), "price_out_of_range"),
    "a size that is no number": (but(size="ten"), "size_not_a_number"),
    "a size that is an object": (but(size={}), "size_not_a_number"),
    "a size that is NaN": (but(size=float("nan")), "size_not_finite"),
    "a negative size": (but(size=-1), "size_negative"),
    "no size": (but(size=None), "size_missing"),
    "a size of seven decimals": (but(size="0.0000001"), "size_too_precise"),
    "a size beyond belief": (but(size="1e15"), "size_out_of_range"),
    "a trade worth more than all money": (but(price="1e9", size="1e10"), "size_out_of_range"),
    "no time": (but(time=None), "time_missing"),
    "a time in words": (but(time="nine"), "time_malformed"),
    "a time without its offset": (but(time="2026-03-16T09:00:00"), "time_malformed"),
    "a time that is true": (but(time=True), "time_malformed"),
    "a time in the far future": (but(time="2999-01-01T00:00:00Z"), "time_future"),
    "a time beyond the calendar": (but(time=2**62), "time_future"),
    "a time before there were computers": (but(time="1969-12-31T23:59:59Z"), "time_past"),
    "a kind nobody knows": (but(kind="rumour"), "kind_unknown"),
    "a side nobody knows": (but(side="left"), "side_unknown"),
    "a sequence in words": (but(seq="first"), "seq_malformed"),
    "a sequence of 65 bits": (but(seq=2**64), "seq_malformed"),
    "a sequence with an underscore": (but(seq="1_000"), "seq_malformed"),
    "a sequence in full-width digits": (but(seq="１２３"), "seq_malformed"),
    "a sequence with spaces": (but(seq=" 7 "), "seq_malformed"),
    "a sequence with a plus": (but(seq="+5"), "seq_malformed"),
    "a sequence with a fraction": (but(seq=12.5), "seq_malformed"),
    "a time without separators": (but(time="20260316T090000+0900"), "time_malformed"),
    "a time by week": (but(time="2026-W12-1T09:00:00+09:00"), "time_malformed"),
    "a time with a decimal comma": (but(time="2026-03-16T09:00:00,5+09:00"), "time_malformed"),
    "a time with an offset in seconds": (but(time="2026-03-16T09:00:00+09:00:30"), "time_malformed"),
    "a time in full-width digits": (but(time="２０２６-03-16T09:00:00+09:00"), "time_malformed"),
    "a time at twenty-four o'clock": (but(time="2026-03-16T24:00:00+09:00"), "time_malformed"),
    "a leap second": (but(time="2026-03-16T08:59:60+09:00"), "time_malformed"),
    "a time followed by a line break": (but(time="2026-03-16T09:00:00+09:00\n"), "time_malformed"),
    "a trading date without dashes": (but(trade_date="20260316"), "trade_date_malformed"),
    "a trading date by week": (but(trade_date="2026-W12-1"), "trade_date_malformed"),
    "a trading date with a time": (but(trade_date="2026-03-16T00:00:00"), "trade_date_malformed"),
    "a trading date in words": (but(trade_date="Monday"), "trade_date_malformed"),
    "a trading date a month away": (but(trade_date="2026-04-16"), "trade_date_malformed"),
    "an empty quote": (but(kind="quote", price=None, size=None), "quote_empty"),
    "a row that is no object": ([1, 2, 3], "not_an_object"),
    "a row that is nothing": (None, "not_an_object"),
}


@pytest.mark.once
@pytest.mark.parametrize("mistake", ROWS)
def test_a_row_that_cannot_be_believed_is_kept_aside_with_its_reason(road, terminal, mistake):
    row, reason = ROWS[mistake]
    with counted(road, "naru_rejected_rows_total", reason=reason):
        terminal.rows([GOOD, row, GOOD])
        terminal.until_committed()

    assert [(one.seq, one.code, one.rows, dict(one.reasons)) for one in terminal.rejects] == [
        (1, "rows", 1, {reason: 1})
    ]
    kept = IngestReject.objects.latest("id")
    assert (kept.idx, kept.reasons) == (1, reason)
    ledger = IngestBatch.objects.get(batch=kept.batch)
    assert (ledger.rows, ledger.stored, ledger.rejected) == (3, 2, 1)


def test_all_of_them_in_one_batch_are_kept_aside_each_with_its_own_reason(terminal):
    terminal.rows([row for row, _ in ROWS.values()])
    terminal.until_committed()

    kept = IngestReject.objects.filter(batch=IngestReject.objects.latest("id").batch).order_by("idx")
    assert [one.reasons for one in kept] == [reason for _, reason in ROWS.values()]
    assert json.loads(kept[1].record) == but(symbol="삼성전자")
    assert [one.rows for one in terminal.rejects] == [len(ROWS)]


def test_a_refused_row_is_kept_as_the_terminal_wrote_it(road, terminal):
    terminal.rows([but(price="-70000", size="ten", note="from cell B7")])
    terminal.until_committed()

    kept = IngestReject.objects.latest("id")

    assert json.loads(kept.record) == but(price="-70000", size="ten", note="from cell B7")
    assert set(kept.reasons.split()) == {"price_not_positive", "size_not_a_number"}


def test_what_a_spreadsheet_calculated_is_stored_as_it_was_meant_and_counted(road, terminal):
    at = NINE_US + 3_600_000_000
    rows = [
        but(time=at, price=1993.3000000000002, size=12.0, seq=12.0),
        but(time=at + 1, price="70000.00000000001", size=0.30000000000000004),
        but(time=at + 2, price="70000.5", size="0.000001", seq=13),
        but(time="2026-03-16t01:00:00.000003999z"),
    ]
    with counted(road, "naru_float_noise_rows_total", source="REPLAY"):
        before = road.metric("naru_float_noise_rows_total", source="REPLAY")
        terminal.rows(rows)
        terminal.until_committed()

    assert terminal.rejects == []
    stored = storage().read_ticks("005930", "krx", at, at + 4)
    assert stored.price.tolist() == [199_330_000_000, 7_000_000_000_000, 7_000_050_000_000, 7_000_000_000_000]
    assert stored.size.tolist() == [12_000_000, 300_000, 1, 1_000_000]
    assert stored.seq.tolist()[0] == 12
    assert road.metric("naru_float_noise_rows_total", source="REPLAY") == before + 2


@pytest.mark.once
def test_a_live_source_is_not_believed_about_last_year_and_a_replay_is(road):
    old = but(time="2024-03-18T09:00:00+09:00")
    with road.terminal("live", source="KIS") as live, road.terminal("archive") as replay:
        live.login()
        replay.login()
        live.rows([old])
        replay.rows([old])

        live.until_committed()
        replay.until_committed()

    assert [dict(one.reasons) for one in live.rejects] == [{"time_past": 1}]
    assert replay.rejects == []


def test_a_wrong_row_in_columns_is_refused_like_one_in_json(road, terminal):
    made = wire.Columns()
    made.append(symbol="005930", time_us=NINE_US, price=7 * 10**12, size=10_000)
    made.append(symbol=None, time_us=None, price=-1, size=-1, kind=5, side=9)
    terminal.batch(made.encode(1, "krx", 1))
    terminal.until_committed()

    reasons = set(IngestReject.objects.latest("id").reasons.split())

    assert {"symbol_missing", "time_missing", "kind_unknown", "side_unknown", "price_not_positive"} <= reasons
    assert terminal.rejects[0].rows == 1


def test_nothing_of_all_this_has_touched_the_neighbours_trades(road, neighbour):
    neighbour.until_committed()
    client = Client.objects.get(name="neighbour")

    stream = client.streams.get()
    batches = IngestBatch.objects.filter(batch__gte=stream.pk << 32, batch__lt=(stream.pk + 1) << 32)

    assert batches.count() == neighbour.seq
    assert sum(batch.stored for batch in batches) == neighbour.seq
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM temp_market_data WHERE tick_id >> 45 = %s", [stream.pk])
        assert cursor.fetchone() == (neighbour.seq,)
    assert storage().count("market_data_minute") > 0
