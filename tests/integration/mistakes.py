"""Whatever a terminal can get wrong, by what it is called, with the code or the reason that it is answered with."""

import struct
import zlib
from typing import Any

from terminals import wire
from tests.market import NINE_US

GOOD = {"symbol": "005930", "time": "2026-03-16T09:00:00+09:00", "price": "70000", "size": 1}


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
