"""What changed between two blocks of a sheet is sent once; what moved, doubled or vanished in it is told, not sent."""

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.infomax.column_map import MapError, parse
from terminals.sources.infomax.sheet import Sheet
from terminals.wire import Kind

NOW = int(datetime.datetime.fromisoformat("2026-11-27T10:00:00+09:00").timestamp() * 1_000_000)
NA = -2146826246
COLUMNS = {"price": "last", "open": "open", "change_rate": "rate", "cum_volume": "volume"}
MAP = {
    "sheet": {"name": "s", "market": "KRX"},
    "code": "code",
    "columns": COLUMNS,
}
HEAD = ["code", "last", "open", "rate", "volume"]
SAMSUNG = ["005930", 70000.0, 69000.0, 1.25, 1000.0]
HYNIX = ["000660", 130000.0, 0.0, "-0.5%", "2,000"]


def sheet(**fields):
    return Sheet(parse({**MAP, **fields}))


def take(one, *rows, head=HEAD, now_us=NOW):
    return one.take([head, *rows], now_us=now_us)


def test_the_first_block_sends_every_row_as_a_snapshot_with_the_figures_of_the_day():
    change = take(sheet(), SAMSUNG, HYNIX)

    assert change.rows == [
        {
            "symbol": "005930",
            "time_us": NOW,
            "kind": Kind.SNAPSHOT,
            "seq": 1,
            "price": 70000 * 10**8,
            "open": 69000 * 10**8,
            "change_rate": 125_000_000,
            "cum_volume": 1000 * 10**6,
        },
        {
            "symbol": "000660",
            "time_us": NOW,
            "kind": Kind.SNAPSHOT,
            "seq": 2,
            "price": 130000 * 10**8,
            "change_rate": -50_000_000,
            "cum_volume": 2000 * 10**6,
        },
    ]
    assert (change.readable, change.unreadable, change.notes) == ({"005930", "000660"}, {}, [])


def test_a_block_that_is_the_same_sends_nothing_and_one_changed_cell_sends_its_row_alone():
    one = sheet()
    take(one, SAMSUNG, HYNIX)

    assert take(one, SAMSUNG, HYNIX).rows == []
    changed = take(one, SAMSUNG, ["000660", 130500.0, 0.0, "-0.1%", "2,100"], now_us=NOW + 5).rows
    assert [(row["symbol"], row["price"], row["seq"], row["time_us"]) for row in changed] == [
        ("000660", 130500 * 10**8, 3, NOW + 5)
    ]


def test_the_same_value_written_in_another_way_is_not_sent_again():
    one = sheet()
    take(one, SAMSUNG)

    assert take(one, [5930.0, "70,000", "69000", "1.25%", "1,000"]).rows == []


def test_rows_are_known_by_their_code_and_not_by_their_place():
    one = sheet()
    take(one, SAMSUNG, HYNIX)

    assert take(one, HYNIX, [None] * 5, SAMSUNG).rows == []
    assert take(one, ["035720", 50000.0, 0.0, 0.0, 1.0], HYNIX, SAMSUNG).rows[0]["symbol"] == "035720"


def test_columns_that_were_moved_and_rows_inserted_above_them_are_found_again():
    one = sheet()
    take(one, SAMSUNG)

    moved = one.take([["title"], [], ["volume", "open", "note", "code", "last", "rate"],
                      [1000.0, 69000.0, "x", "005930", 70000.0, 1.25]], now_us=NOW)  # fmt: skip

    assert moved.rows == []
    assert moved.notes == ["columns_moved header_row=3"]
    again = one.take([["title"], [], ["volume", "open", "note", "code", "last", "rate"],
                      [1500.0, 69000.0, "x", "005930", 70000.0, 1.25]], now_us=NOW)  # fmt: skip
    assert [row["cum_volume"] for row in again.rows] == [1500 * 10**6]
    assert again.notes == []


def test_a_column_that_was_removed_is_told_and_found_when_it_is_back():
    one = sheet()
    take(one, SAMSUNG)

    without = take(one, SAMSUNG[:4], head=HEAD[:4])
    assert without.rows == []
    assert "not in the header row: cum_volume ('volume')" in without.notes[0]
    assert take(one, SAMSUNG[:4], head=HEAD[:4]).notes == []
    back = take(one, ["005930", 70000.0, 69000.0, 1.25, 1001.0])
    assert [row["cum_volume"] for row in back.rows] == [1001 * 10**6]


def test_a_figure_that_now_stands_under_another_header_is_another_figure():
    one = sheet()
    take(one, SAMSUNG)
    take(one, ["005930", 70000.0, 5.0], head=["code", "last", "open"])

    (row,) = take(one, ["005930", 70000.0, 5.0], head=["code", "last", "rate"]).rows

    assert row["change_rate"] == 500_000_000


def test_a_map_that_does_not_fit_the_first_block_is_refused_and_later_only_the_header_row_must_be_there():
    with pytest.raises(MapError, match="cum_volume"):
        take(sheet(), SAMSUNG[:4], head=HEAD[:4])
    one = sheet()
    take(one, SAMSUNG)
    with pytest.raises(MapError, match="no row of the sheet has a header for code"):
        one.take([SAMSUNG], now_us=NOW)
    assert take(one, SAMSUNG).rows == []


def test_the_first_of_two_rows_with_one_code_counts_and_it_is_told_once():
    one = sheet()

    first = take(one, SAMSUNG, ["5930", 1.0, 1.0, 1.0, 1.0])

    assert [row["price"] for row in first.rows] == [70000 * 10**8]
    assert first.notes == ["code_twice count=1 first={'005930': (2, 3)}"]
    assert one.duplicates == 1
    assert take(one, SAMSUNG, ["5930", 2.0, 1.0, 1.0, 1.0]).notes == []
    assert take(one, SAMSUNG).notes == ["code_twice count=0"]


def test_a_code_that_vanished_has_no_price_until_it_is_back():
    one = sheet()
    take(one, SAMSUNG, HYNIX)

    gone = take(one, HYNIX)
    assert (gone.readable, gone.unreadable) == ({"000660"}, {"005930": "missing_code"})
    back = take(one, HYNIX, SAMSUNG)
    assert (back.rows, back.unreadable) == ([], {})


def test_rows_without_a_code_are_counted_and_blank_ones_are_no_rows():
    one = sheet()

    change = take(
        one, [None] * 5, ["", "", None, " ", ""], [NA, 1.0, 1.0, 1.0, 1.0], [None, 5.0, 1.0, 1.0, 1.0], SAMSUNG
    )

    assert [row["symbol"] for row in change.rows] == ["005930"]
    assert one.problems == {("code", "blank"): 1, ("code", "error_na"): 1}
    assert "rows_without_code count=2" in change.notes[0]
    take(one, SAMSUNG)
    assert one.problems == {}


def test_a_cell_without_a_value_leaves_its_field_out_and_is_counted_for_as_long_as_it_is_so():
    one = sheet()

    (row,) = take(one, ["005930", 70000.0, NA, "#WAITING", None]).rows

    assert set(row) == {"symbol", "time_us", "kind", "seq", "price"}
    problems = {("open", "error_na"): 1, ("change_rate", "waiting"): 1, ("cum_volume", "blank"): 1}
    assert one.problems == problems
    take(one, ["005930", 70000.0, NA, "#WAITING", None])
    assert one.problems == problems
    take(one, ["005930", 70000.0, NA, 1.0, None])
    assert one.problems == {("open", "error_na"): 1, ("cum_volume", "blank"): 1}
    take(one)
    assert one.problems == {}


def test_a_row_without_a_price_is_not_sent_and_says_why():
    one = sheet()
    take(one, SAMSUNG)

    away = take(one, ["005930", NA, NA, NA, NA])
    assert (away.rows, away.readable, away.unreadable) == ([], set(), {"005930": "error_na"})
    assert take(one, ["005930", NA, NA, NA, NA]).unreadable == {"005930": "error_na"}
    assert take(one, SAMSUNG).rows == []


@pytest.mark.parametrize(("price", "reason"), [(0.0, "zero"), (-5.0, "negative"), ("(70,000)", "negative")])
def test_a_price_of_zero_or_below_is_none_unless_the_map_says_that_it_may_be(price, reason):
    assert take(sheet(), ["005930", price, 1.0, 1.0, 1.0]).unreadable == {"005930": reason}
    signed = {**COLUMNS, "price": {"headers": "last", "signed": True}}
    assert len(take(sheet(columns=signed), ["005930", price, 1.0, 1.0, 1.0]).rows) == 1


@pytest.mark.parametrize(("market", "code"), [("KRX", "005930"), ("NXT", "005930"), ("US", "5930"), (None, "5930")])
def test_a_code_gets_its_zeros_by_the_market_that_the_map_or_else_the_command_line_names(market, code):
    for one in (
        Sheet(parse({**MAP, "sheet": {"name": "s"}}), market=market),
        Sheet(parse({**MAP, "sheet": {"name": "s", "market": market or ""}})),
    ):
        assert [row["symbol"] for row in take(one, [5930.0, *SAMSUNG[1:]]).rows] == [code]


def test_a_truth_value_is_never_taken_for_the_number_one():
    one = sheet()
    take(one, ["005930", 1.0, 1.0, 1.0, 1.0])

    assert take(one, ["005930", True, 1.0, 1.0, 1.0]).unreadable == {"005930": "boolean"}
    assert take(one, ["005930", 1.0, 1.0, 1.0, 1.0]).unreadable == {}


def volumes(one, *figures, day=0, row=SAMSUNG):
    return [
        take(one, [*row[:4], float(figure)], now_us=NOW + day * 86_400_000_000 + at).notes
        for at, figure in enumerate(figures)
    ]


def test_a_volume_that_falls_on_the_day_on_which_it_grew_is_told():
    one = sheet()

    told = volumes(one, 1000, 1100, 900)

    assert told == [[], [], ["volume_fell symbol=005930 from=1100000000 to=900000000 in_units_of=1e-6"]]
    assert one.volume_falls == 1


def test_a_volume_that_starts_over_on_a_new_day_or_was_that_of_yesterday_is_no_fall():
    one = sheet()

    assert volumes(one, 1000, 0, 10) == [[], [], []]
    assert volumes(one, 0, 5, day=1) == [[], []]
    assert one.volume_falls == 0


STAMPED = {**MAP, "columns": {"price": "last", "time": "time", "date": "date"}}


@pytest.mark.parametrize(
    ("time", "date", "event", "problems"),
    [
        (95958, 20261127, "2026-11-27T09:59:58+09:00", {}),
        (0.375, 46353.0, "2026-11-27T09:00:00+09:00", {}),
        ("09:59:58", None, "2026-11-27T09:59:58+09:00", {("date", "blank"): 1}),
        (NA, "2026-11-27", "2026-11-27T10:00:00+09:00", {("time", "error_na"): 1}),
        (153000, None, "2026-11-27T10:00:00+09:00", {("date", "blank"): 1, ("time", "of_another_day"): 1}),
        (153000, 20261126, "2026-11-27T10:00:00+09:00", {("time", "of_another_day"): 1}),
    ],
)
def test_the_time_of_the_exchange_is_taken_where_it_can_be_of_this_picture(time, date, event, problems):
    one = Sheet(parse(STAMPED))

    (row,) = take(one, ["005930", 70000.0, time, date], head=["code", "last", "time", "date"]).rows

    assert row["time_us"] == int(datetime.datetime.fromisoformat(event).timestamp() * 1_000_000)
    assert one.problems == problems
    day = {20261127: 20784, 46353.0: 20784, "2026-11-27": 20784, 20261126: 20783, None: None}[date]
    assert row.get("trade_date") == day


def test_a_later_time_alone_is_no_new_picture():
    one, head = Sheet(parse(STAMPED)), ["code", "last", "time", "date"]
    take(one, ["005930", 70000.0, 95958, None], head=head)

    assert take(one, ["005930", 70000.0, 95959, None], head=head).rows == []


JUNK = st.sampled_from([NA, None, "", "#WAITING", float("nan"), "▲", True])
FIGURE = st.one_of(st.integers(1, 5).map(float), st.sampled_from(["1", "2.0", "3,000"]), JUNK)
ROW = st.tuples(st.sampled_from(["005930", 660.0, "035720", "0126Z0", NA, None]), FIGURE, FIGURE, FIGURE, FIGURE)
BLOCKS = st.lists(
    st.tuples(st.permutations(range(5)), st.lists(ROW, max_size=6), st.integers(0, 2)), min_size=1, max_size=8
)


def plain(cell):
    """A figure of the strategies above as a number, read without the code that is tested; None for junk."""
    if isinstance(cell, bool) or cell in (None, "", "#WAITING", "▲", NA) or cell != cell:
        return None
    return float(str(cell).replace(",", ""))


CODES = {"005930": "005930", 660.0: "000660", "035720": "035720", "0126Z0": "0126Z0"}
SCALES = {"price": 10**8, "open": 10**8, "change_rate": 10**8, "cum_volume": 10**6}


@given(BLOCKS)
def test_after_any_blocks_a_receiver_has_what_they_showed_last_and_got_each_change_once(blocks):
    one = sheet()
    shown: dict[str, dict[str, float]] = {}
    received: dict[str, dict[str, float]] = {}
    sent = expected = 0
    for order, rows, above in blocks:
        seen = set()
        for row in rows:
            code = CODES.get(row[0])
            if code is None or code in seen:
                continue
            seen.add(code)
            figures = {name: plain(cell) for name, cell in zip(SCALES, row[1:], strict=True)}
            if figures["price"] is None:
                continue
            news = {name: figure for name, figure in figures.items() if figure is not None}
            expected += any(shown.get(code, {}).get(name) != figure for name, figure in news.items())
            shown.setdefault(code, {}).update(news)
        block = [[f"title {at}"] for at in range(above)]
        block += [[line[index] for index in order] for line in (HEAD, *rows)]
        change = one.take(block, now_us=NOW)
        sent += len(change.rows)
        for row in change.rows:
            values = {name: row[name] / scale for name, scale in SCALES.items() if name in row}
            received.setdefault(row["symbol"], {}).update(values)

    assert received == shown
    assert sent == expected == one.rows


def test_codes_are_bounded():
    one = Sheet(parse(MAP), most_codes=3)

    change = take(one, *([f"{number:06}", 1.0, 1.0, 1.0, 1.0] for number in range(1, 6)))

    assert len(change.rows) == 3
    assert one.problems == {("code", "too_many"): 2}


def test_rows_are_numbered_by_the_counter_that_is_given():
    one = Sheet(parse(MAP), seq=itertools.count(41))

    assert [row["seq"] for row in take(one, SAMSUNG, HYNIX).rows] == [41, 42]
