"""What is read from spools: taken from a real spool in a temporary folder, by the same reader the drill uses."""

import datetime
import json
import shutil
import zlib
from decimal import Decimal

import pytest

pytest.importorskip("MySQLdb")

from terminals.spool import Spool
from terminals.wire import Books, Columns, Events, Kind, Side, encode_gap, reseq
from tests.drill import accounting, recorded_state
from tests.drill.accounting import Event, OrderBook

AT = 1_795_315_920_000_000


def payload(rows, *, price_scale=8, size_scale=6):
    columns = Columns(price_scale=price_scale, size_scale=size_scale)
    for number in range(rows):
        columns.append(
            symbol="S00001", time_us=AT + number, kind=Kind.TRADE, price=700, size=3, side=Side.BUY, seq=number
        )
    return columns.encode(1, "sim", AT)


@pytest.fixture
def folder(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.append(payload(2))
    spool.append(payload(3, price_scale=2, size_scale=0))
    spool.close()
    return tmp_path / "spool"


def test_every_row_of_a_spool_is_there_in_the_units_of_the_accounts(folder):
    sent = recorded_state.sent_by(folder)

    assert sorted(sent.rows) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    told = [(tick.price, tick.size) for tick in recorded_state.sources_words(sent)]
    assert told == [(700, 3)] * 2 + [(700 * 10**6, 3 * 10**6)] * 3
    assert sent.gaps == 0


def test_books_events_and_days_of_snapshots_are_rows_too_each_to_the_digit(folder):
    books, events, ticks = Books(price_scale=2, size_scale=0), Events(), Columns()
    books.append(symbol="S00001", time_us=AT, bids=((700, 3), (600, 4)), asks=(), bid_total=9, mid_price=5)
    events.append(event="vi", time_us=AT, symbol="S00001", body={"b": 1, "a": "가"})
    events.append(event="market_status", time_us=AT)
    ticks.append(symbol="S00001", time_us=AT, kind=Kind.SNAPSHOT, price=5, open=4, cum_value=77)
    spool = Spool(folder)
    for content in (books, events, ticks):
        spool.append(content.encode(1, "sim", AT))
    spool.close()

    sent = recorded_state.sent_by(folder)

    assert sent.rows[3, 0] == OrderBook(
        "sim", "S00001", AT, ((700 * 10**6, 3 * 10**6), (600 * 10**6, 4 * 10**6)), (),
        (9 * 10**6, None, None, None, None, 5 * 10**6),
    )  # fmt: skip
    assert sent.rows[4, 0] == Event("sim", "S00001", AT, "vi", '{"a": "가", "b": 1}')
    assert sent.rows[4, 1] == Event("sim", "", AT, "market_status", "{}")
    (snapshot,) = [tick for tick in recorded_state.sources_words(sent) if tick.kind == Kind.SNAPSHOT]
    assert snapshot.day == (4, None, None, None, None, None, None, 77)
    assert len(list(recorded_state.sources_words(sent))) == 6


def test_a_gap_is_counted_and_has_no_rows(folder):
    spool = Spool(folder)
    spool.append(encode_gap(3, "sim", AT, AT, AT + 5, 12, "disk full"))
    spool.close()

    sent = recorded_state.sent_by(folder)

    assert (sent.gaps, len(sent.rows)) == (1, 5)


@pytest.fixture
def spools(folder):
    one = recorded_state.Spools()
    one.look(folder)
    return {"market1": one}


def only(spools):
    [(epoch, sent)] = spools["market1"].sent.items()
    return epoch, sent


def test_rows_are_named_as_the_ledger_names_their_spool(spools):
    epoch, _sent = only(spools)

    known = recorded_state.keyed(spools, {("market1", epoch): 9})
    unknown = recorded_state.keyed(spools, {("market1", "0" * 16): 9})

    assert min(known) == (9, 1, 0)
    assert accounting.rows(unknown, [(key, tick) for key, tick in known.items()]).lost == 5


def journal(path, epoch, batches):
    lines = [{"epoch": epoch, "seq": seq, "rows": rows, "crc32": crc} for seq, rows, crc in batches]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    return path


def test_what_the_journal_lists_and_the_disk_never_had_is_missing(spools, tmp_path):
    epoch, sent = only(spools)
    one, path = spools["market1"], tmp_path / "journal"
    good = [(seq, rows, sent.batches[seq]) for seq, rows in ((1, 2), (2, 3))]

    assert one.missing(journal(path, epoch, good)) == 0
    assert one.missing(journal(path, epoch, [*good, (3, 7, 1)])) == 7
    assert one.missing(journal(path, epoch, [good[0], (2, 3, 1)])) == 3
    one.damaged.add((epoch, 3))
    assert one.missing(journal(path, epoch, [*good, (3, 7, 1)])) == 0


def test_what_a_disk_held_before_it_was_restored_is_remembered(spools, folder, tmp_path):
    epoch, _sent = only(spools)
    shutil.copytree(folder, tmp_path / "image")
    spool = Spool(folder)
    spool.append(payload(4))
    spool.close()
    spools["market1"].look(folder)

    now = spools["market1"].look(tmp_path / "image")

    assert set(now.batches) == {1, 2}
    assert set(spools["market1"].sent[epoch].batches) == {1, 2, 3}
    assert len(recorded_state.keyed(spools, {("market1", epoch): 9})) == 9


def test_a_batch_that_the_drill_took_from_the_disk_is_no_loss_unless_it_was_stored_otherwise(spools):
    epoch, _sent = only(spools)
    streams = {("market1", epoch): 9}
    spools["market1"].excused.add((epoch, 2))
    rows = recorded_state.keyed(spools, streams)
    excused = recorded_state.excused(spools, streams)

    account = accounting.rows(rows, [(key, tick) for key, tick in rows.items() if key[1] == 1], excused=excused)
    other = accounting.rows(rows, [((9, 2, 0), rows[9, 2, 1])], excused=excused)

    assert (account.lost, account.excused, account.duplicated) == (0, 3, 0)
    assert (other.lost, other.duplicated) == (2, 1)


def test_of_a_damaged_last_batch_and_the_one_that_has_its_number_the_server_must_have_one_whole(tmp_path):
    folder, image, one = tmp_path / "spool", tmp_path / "image", recorded_state.Spools()
    spools = {"market1": one}
    spool = Spool(folder)
    spool.append(payload(2))
    spool.close()
    shutil.copytree(folder, image)  # as it is without a batch that was cut off
    for place, rows, scale in ((folder, 3, 8), (image, 4, 2)):
        spool = Spool(place)
        assert spool.append(payload(rows, price_scale=scale)) == 2
        spool.close()
    one.look(folder)
    epoch, sent = only(spools)
    streams, old = {("market1", epoch): 9}, [(2, 3, sent.batches[2])]
    before = recorded_state.keyed(spools, streams)
    one.damaged.add((epoch, 2))

    one.look(image)

    after = recorded_state.keyed(spools, streams)
    assert (len(before), len(after), one.damaged) == (5, 6, set())
    assert one.missing(journal(tmp_path / "journal", epoch, old)) == 0
    overwritten = recorded_state.overwritten(spools, streams)
    mixed = {key: after[key] if key[2] == 0 else before[key] for key in before}
    missing = {key: row for key, row in after.items() if key[1] == 1}
    for stored, wrong in ((before, (0, 0)), (after, (0, 0)), (mixed, (3, 2)), (missing, (4, 0))):
        account = accounting.rows(after, iter(stored.items()), overwritten=overwritten)
        assert (account.lost, account.duplicated, account.stored) == (*wrong, len(stored))
    twice = accounting.rows(after, [*before.items(), *before.items()], overwritten=overwritten)
    assert (twice.lost, twice.duplicated) == (0, 5)


def test_a_checksum_of_the_spool_is_the_one_the_journal_notes(folder):
    assert recorded_state.sent_by(folder).batches[1] == zlib.crc32(reseq(payload(2), 1)[8:])


def test_what_a_terminal_was_told_is_committed(folder):
    assert recorded_state.acked(folder) == 0

    spool = Spool(folder)
    spool.commit(2)
    spool.close()

    assert recorded_state.acked(folder) == 2


@pytest.mark.parametrize(
    ("value", "scale", "whole"),
    [
        ("4800.25000000", 8, 480025000000),
        ("0.0001", 4, 1),
        ("123456789012345678901234.123456789012", 12, 123456789012345678901234123456789012),
    ],
)
def test_decimals_become_whole_numbers_without_rounding(value, scale, whole):
    assert recorded_state.exactly(Decimal(value), scale) == whole


def test_a_decimal_with_more_places_than_the_column_has_is_an_error():
    with pytest.raises(ValueError, match="decimals"):
        recorded_state.exactly(Decimal("1.00001"), 4)


def test_times_are_exact_to_the_microsecond():
    assert recorded_state.micros(datetime.datetime(2023, 12, 25, 23, 0, 0, 85275)) == 1_703_545_200_085_275


def test_the_slowest_batch_is_measured_from_its_capture(spools):
    streams = {("market1", only(spools)[0]): 9}

    commits = [(9 << 32 | 1, AT + 5_000), (9 << 32 | 2, AT + 9_000), (8 << 32 | 1, AT + 10**9)]

    assert recorded_state.slowest_us(spools, streams, commits) == 9_000
