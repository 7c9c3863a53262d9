import json
from collections.abc import Iterable

import msgpack

from ingest import batch_decoding, notifications
from ingest.batch_decoding import Batch
from ingest.clocks import Trust
from ingest.validation import Recency
from marketdata.reference.symbols import Rules
from terminals import wire
from tests import order_books
from tests.market import NINE_US

TRUST = Trust(longest_us=30 * 86_400_000_000, tolerance_us=0)
KOREA = Rules(is_active=True, timezone="Asia/Seoul", trade_date_shift_s=0)


def row(**other: object) -> dict[str, object]:
    return {"symbol": "005930", "time": NINE_US, "price": 1, "size": 1, **other}


def batch(
    seq: int, *rows: dict[str, object], feed: str = "krx", source: int = 3, payload: bytes | None = None
) -> Batch:
    return Batch(
        number=1 << 32 | seq,
        payload=wire.encode_rows(seq, feed, 1, rows) if payload is None else payload,
        received_us=NINE_US,
        source_id=source,
    )


def find(codes: Iterable[str]) -> dict[str, Rules]:
    return {code: KOREA for code in codes if code.isdigit()}


def grouped(*batches: Batch) -> list[batch_decoding.TickGroup]:
    batch_decoding.decode(batches)
    return batch_decoding.group(
        batches, find=find, recency=lambda _: Recency(max_future_us=0, max_age_us=None), trust=TRUST
    )


def test_batches_of_one_feed_and_source_are_stored_together_and_others_apart():
    groups = grouped(
        batch(1, row()), batch(2, row(), feed="nxt"), batch(3, row()), batch(4, row(), source=5), batch(5, row())
    )

    shown = [
        ([one.number & 0xFF for one in group.batches], group.ticks.feed, group.ticks.source_id) for group in groups
    ]
    assert shown == [([1, 3, 5], "krx", 3), ([2], "nxt", 3), ([4], "krx", 5)]
    assert [len(group.ticks) for group in groups] == [3, 1, 1]


def test_only_good_rows_go_on_and_each_batch_knows_its_own_refused_ones():
    batches = [batch(1, row(), row(price=-1)), batch(2, row()), batch(3, row(symbol="X"), row(symbol="X", size=-1))]

    (group,) = grouped(*batches)

    assert group.ticks.tick_id.tolist() == [(1 << 32 | 1) << 13, (1 << 32 | 2) << 13]
    assert [(one.stored, one.rejected) for one in batches] == [(1, 1), (1, 0), (0, 2)]
    assert dict(batches[2].reasons) == {"symbol_unknown": 2, "size_negative": 1}
    number, index, reasons, record = batches[0].rejects[0]
    assert (number, index, reasons) == (1 << 32 | 1, 1, "price_not_positive")
    assert json.loads(record) == row(price=-1)


def test_a_batch_that_cannot_be_read_is_refused_and_no_other():
    broken = batch(1, payload=wire.encode_rows(1, "krx", 1, [row()])[:-1])
    good = batch(2, row())

    groups = grouped(broken, good)

    assert broken.refusal is not None
    assert broken.refusal.code == "bad_batch"
    assert [one.number for group in groups for one in group.batches] == [good.number]


def test_a_dead_batch_is_not_even_read():
    dead = batch(1, row())
    dead.dead = "failed 10 times"

    assert grouped(dead) == []
    assert dead.decoded is None


def test_a_gap_has_no_ticks():
    gap = batch(1, payload=wire.encode_gap(1, "krx", 1, 5, 6, 7, "disk full"))

    assert grouped(gap) == []
    assert gap.decoded is not None
    assert gap.decoded.gaps == [wire.Gap(5, 6, 7, "disk full")]


def test_a_checksum_tells_other_bytes_apart_and_other_lengths_too():
    one, same, other, longer = batch(1, row()), batch(1, row()), batch(1, row(price=2)), batch(1, row(), row())

    assert one.checksum == same.checksum
    assert len({one.checksum, other.checksum, longer.checksum}) == 3
    assert longer.checksum >> 32 == len(longer.payload)
    assert longer.checksum < 2**63


# --- order books and events ----------------------------------------------------------------------------------------


def books(seq: int, *rows: dict[str, object], feed: str = "krx", source: int = 3) -> Batch:
    content = wire.Books()
    for one in rows:
        content.append(**{"symbol": "005930", "time_us": NINE_US, **one})  # type: ignore[arg-type]  # what a test says
    return batch(seq, payload=content.encode(seq, feed, 1), source=source)


def events(seq: int, *rows: dict[str, object]) -> Batch:
    return batch(
        seq, payload=wire.encode_events(seq, "krx", 1, [{"event": "vi", "time": NINE_US, **one} for one in rows])
    )


def record_groups(*batches: Batch) -> list[batch_decoding.RecordGroup]:
    batch_decoding.decode(batches)
    return batch_decoding.group_records(
        batches,
        find=find,
        recency=lambda _: Recency(max_future_us=0, max_age_us=None),
        trust=TRUST,
        rights=lambda batches, ticks, faults: None,
    )


def test_order_books_of_one_feed_and_source_are_judged_and_stored_together_whatever_their_depth():
    deep = [(3, 1), (2, 1), (1, 1)]
    batches = [
        books(1, {"bids": deep}, {"bids": [(1, 1), (2, 1)]}),
        events(2, {}, {"event": "VI"}),
        books(3, {"symbol": "000660", "asks": [(5, 7)], "mid_price": 4, "seq": 9}),
        books(4, {"bids": deep}, feed="nxt"),
        events(5, {"symbol": "005930"}),
        books(6, {"bids": deep, "bid_total": 8, "trade_date": 20_528}),
    ]

    for _ in range(2):  # a message may be judged again
        groups = record_groups(*batches)

        shown = [([one.number & 0xFF for one in group.batches], len(group.ticks)) for group in groups]
        assert shown == [([1, 3, 6], 3), ([2, 5], 2), ([4], 1)]
        assert [(one.stored, one.rejected) for one in batches] == [(1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 0)]
    together = order_books.one_by_one(groups[0].ticks, groups[0].content)
    alone = [
        order_books.one_by_one(group.ticks, group.content)[0]
        for one in (0, 2, 5)
        for group in record_groups(batches[one])
    ]
    assert together == alone
    assert [one.tick_id >> 13 & 0xFF for one in together] == [1, 3, 6]
    assert [reject[1:3] for one in batches for reject in one.rejects] == [(1, "book_unordered"), (1, "event_malformed")]
    assert json.loads(batches[0].rejects[0][3])["bids"] == [["0.00000001", "0.000001"], ["0.00000002", "0.000001"]]


# --- how it travels ------------------------------------------------------------------------------------------------


def test_a_batch_travels_to_the_worker_whole_and_one_of_a_later_version_is_understood():
    message = notifications.batch_message(5, b"payload", 6, 7, "CME", None)

    today, tomorrow = (
        Batch(**notifications.batch_fields(message)),
        Batch(**notifications.batch_fields([*message, "new", "newer"])),
    )

    assert today == tomorrow
    assert (today.number, today.payload, today.received_us, today.source_id) == (5, b"payload", 6, 7)
    assert (today.register_market, today.dead) == ("CME", None)


def test_what_became_of_a_batch_is_told_by_code():
    stored, partly, refused, dead = (
        batch(1, row()),
        batch(2, row(), row(price=0)),
        batch(3, payload=b""),
        batch(4, row()),
    )
    dead.dead = "failed 10 times"
    grouped(stored, partly, refused, dead)

    told = [notifications.outcome(one, {}) for one in (stored, partly, refused, dead)]
    again = [notifications.outcome(stored, {stored.number: checksum}) for checksum in (stored.checksum, 1)]

    assert [one.code for one in told] == ["", "rows", "bad_batch_header", "dead_letter"]
    assert (told[1].rejected, told[1].reasons) == (1, {"price_not_positive": 1})
    assert [one.code for one in again] == ["", "checksum_mismatch"]


def test_what_a_later_worker_tells_besides_is_let_pass():
    told = msgpack.packb([[5, "rows", 2, {"symbol_unknown": 2}, "why", "", "later", 7]])

    last, (heard,) = notifications.read([(b"1-0", {b"o": told})])

    assert (last, heard.batch, heard.code, heard.rejected, heard.message) == (b"1-0", 5, "rows", 2, "why")
