"""What a server of an earlier version would refuse for good is known before it is sent."""

import pytest

from terminals import wire
from terminals.wire import limits

FIRST = {"batch_rows": 5000}
GAP = wire.Gap(1, 2, 3, "volume_hole", "005930", 5)


def ticks(**fields):
    columns = wire.Columns()
    columns.append(symbol="A", time_us=1, kind=wire.Kind.SNAPSHOT, price=1, **fields)
    return columns.encode(1, "krx", 0)


def books():
    content = wire.Books()
    content.append(symbol="A", bids=((1, 2),))
    return content.encode(1, "krx", 0)


def events():
    content = wire.Events()
    content.append(event="vi")
    return content.encode(1, "krx", 0)


@pytest.mark.parametrize(
    ("payload", "code"),
    [(ticks(), None), (ticks(size=10**6), None), (ticks(size=1), "size_scale_refused"),
     (ticks(open=1), "encoding_refused"), (books(), "encoding_refused"), (events(), "encoding_refused"),
     (wire.encode_rows(1, "krx", 0, [{}]), None), (wire.encode_gaps(1, "krx", 0, [GAP]), None),
     (wire.encode_gaps(1, "krx", 0, [GAP, GAP]), "encoding_refused")],
)  # fmt: skip
def test_a_server_that_says_nothing_reads_what_the_first_version_did(payload, code):
    refusal = wire.Readable.of(FIRST).refusal(payload)

    assert (refusal[0] if refusal else None) == code
    assert wire.Readable().refusal(payload) is None


def test_a_server_that_says_what_it_reads_is_believed():
    said = {**FIRST, "size_scale": limits.SIZE_SCALE, "encoding": 5, "column": 13}

    assert wire.Readable.of(said).refusal(books()) is None
    assert wire.Readable.of(said).refusal(ticks(open=1)) == (
        "encoding_refused", "has the column open, which this server does not read"
    )  # fmt: skip


def test_a_server_of_a_later_version_reads_all_that_this_one_writes():
    later = wire.Readable.of({"size_scale": 7, "encoding": 9, "column": 40})

    assert later.refusal(books()) is later.refusal(ticks(size=1, open=1)) is None
