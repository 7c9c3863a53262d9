"""A map says where the figures stand; a wrong one is told with what was looked for and what is there."""

import datetime
import tomllib
from pathlib import Path

import pytest

from terminals import config_file
from terminals.sources.infomax import column_map
from terminals.sources.infomax.column_map import Area, MapError, area_of, find, letters, parse, still_there

SMALL = {"sheet": {"name": "실시간"}, "code": "코드", "columns": {"price": ["현재가", "Last"], "cum_volume": "거래량"}}
EXAMPLE = Path(__file__).resolve().parents[5] / "docker/terminals/infomax.toml"


def example():
    return parse(config_file.read(EXAMPLE).tables)


def changed(**fields):
    return {**SMALL, **fields}


def sheet(**fields):
    return changed(sheet={"name": "실시간", **fields})


def test_the_example_of_the_options_says_every_field_that_there_is():
    given = example()

    assert {one.field for one in given.columns} == set(column_map.FIELDS)
    assert (given.workbook, given.sheet, given.range) == ("시세.xlsm", "실시간", "A1:R600")
    assert (given.market, given.width, given.prefix) == ("KRX", 6, "")
    assert given.time is not None
    assert given.date is not None
    by_name = {one.field: one for one in given.columns}
    assert by_name["price"].headers == ("현재가", "last")
    assert (by_name["change_rate"].places, by_name["change_rate"].fraction) == (2, False)
    assert by_name["cum_value"].power == 6


def test_a_map_of_a_pc_may_begin_with_the_mark_of_utf_8(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text('code = "코드"\n[sheet]\nname = "실시간"\n[columns]\nprice = "현재가"\n', encoding="utf-8-sig")

    assert column_map.read(path).sheet == "실시간"


def test_a_file_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "map.toml"
    path.write_bytes("[sheet]\nname = '시세'".encode("cp949"))

    with pytest.raises(MapError, match=r"map\.toml is no TOML in UTF-8"):
        column_map.read(path)


def test_a_wrong_line_names_its_file(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text('code = "b"\n[sheet]\nname = "a"\n')

    with pytest.raises(MapError, match=r"map\.toml: a map has \[sheet\]"):
        column_map.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"sheet": {"name": "a"}}, "with at least price"),
        (changed(sheet="a"), "has \\[sheet\\] with its name"),
        (changed(columns={"open": "시가"}), "with at least price"),
        (sheet(name=""), "has no name"),
        (sheet(name=5), "name is a text"),
        (changed(columns={"price": "현재가", "cahnge": "대비"}), "cahnge, which nobody reads; it may have price"),
        (changed(shet="x"), "shet, which nobody reads"),
        (sheet(ranges="A1"), "ranges, which nobody reads; it may have workbook"),
        (changed(code={"headers": "코드", "with": 6}), "with, which nobody reads"),
        (changed(code={"headers": "코드", "width": "6"}), "width is a whole number"),
        (changed(code=[]), "code: give its header"),
        (changed(columns={"price": {"kind": "number"}}), "price: give its header"),
        (changed(columns={"price": {"headers": "a", "kind": "percent"}}), "price: kind 'percent'"),
        (changed(columns={"price": {"headers": "a", "unit": 12}}), "no power of ten"),
        (changed(columns={"price": {"headers": "a", "unit": True}}), "no power of ten"),
        (changed(columns={"price": {"headers": "a", "places": 9}}), "places is a whole number from 0 to 8"),
        (changed(columns={"price": {"headers": "a", "signed": 1}}), "signed is true or false"),
        (sheet(range="A1-M600"), "written such as A1:M600"),
        (sheet(range="M600:A1"), "upper left"),
        (sheet(heartbeat="now"), "written such as"),
        (sheet(utc_offset="9"), "written such as \\+09:00"),
        (sheet(hours="15:30-09:00"), "within one day"),
        (sheet(hours="always"), "within one day"),
    ],
)
def test_a_map_that_is_wrong_says_what(content, message):
    with pytest.raises(MapError, match=message):
        parse(content)


def test_columns_are_found_wherever_the_header_row_is_and_however_it_is_spaced():
    block: list[list[object]] = [["2026", None], [None, "거래량 ", " LAST", "비고", "코드"], [1, 2, 3, 4, 5]]

    layout = find(block, parse(SMALL))

    assert (layout.row, layout.code) == (1, 4)
    assert {column.field: index for column, index in layout.columns} == {"price": 2, "cum_volume": 1}
    assert layout.problems == ()


def test_a_missing_header_is_told_with_those_that_are_there():
    with pytest.raises(MapError) as caught:
        find([["코드", "종가", "거래량"]], parse(SMALL))

    assert "price ('현재가' or 'last')" in str(caught.value)
    assert "A='코드', B='종가', C='거래량'" in str(caught.value)


def test_an_empty_sheet_has_no_texts_at_all():
    with pytest.raises(MapError, match="no texts at all"):
        find([], parse(SMALL))


def test_a_column_beyond_code_and_price_that_is_missing_or_there_twice_is_a_problem():
    assert find([["코드", "현재가"]], parse(SMALL)).problems == (
        "not in the header row: cum_volume ('거래량'); it has A='코드', B='현재가'",
    )
    (twice,) = find([["코드", "현재가", "거래량", "Last"]], parse(SMALL)).problems
    assert "stands in several columns (B, D)" in twice


def test_several_missing_headers_are_told_once_with_the_first_of_a_long_row():
    given = parse(changed(columns={"price": "현재가", "cum_volume": "거래량", "ask": "매도"}))

    (problem,) = find([["코드", "현재가", *(f"열{number}" for number in range(40))]], given).problems

    assert problem.startswith("not in the header row: cum_volume ('거래량'), ask ('매도'); it has A='코드', B='현재가'")
    assert problem.count("'열0'") == 1
    assert problem.endswith("L='열9', … (+30)")


@pytest.mark.parametrize(
    ("block", "same"),
    [
        ([["코드", "현재가", "거래량"], ["x"]], True),
        ([["코드", "현재가", "거래량", "새 열"]], True),
        ([["현재가", "코드", "거래량"]], False),
        ([["", "", ""], ["코드", "현재가", "거래량"]], False),
        ([["코드", "현재가"]], False),
        ([], False),
    ],
)
def test_a_moved_header_row_is_noticed(block, same):
    given = parse(SMALL)

    assert still_there(block, find([["코드", "현재가", "거래량"]], given), given) is same


def test_ranges_are_counted_from_zero():
    assert area_of("B2:AA600") == Area(1, 1, 599, 26)
    assert area_of("$T$1") == Area(0, 19, 0, 19)
    assert [letters(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def us(text):
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("moment", "moves"),
    [
        ("2026-11-27T09:00:00+09:00", True),
        ("2026-11-27T15:29:59+09:00", True),
        ("2026-11-27T15:30:00+09:00", False),
        ("2026-11-27T08:59:59+09:00", False),
        ("2026-11-28T10:00:00+09:00", False),
        ("2026-11-29T10:00:00+09:00", False),
        ("2026-11-30T10:00:00+09:00", True),
    ],
)
def test_a_sheet_is_expected_to_move_in_its_hours_of_a_weekday(moment, moves):
    given = parse(sheet(hours="09:00-15:30"))

    assert given.expects_movement(us(moment)) is moves
    assert not parse(SMALL).expects_movement(us(moment))


def test_the_day_is_that_of_the_sheet_s_clock():
    given, west = parse(SMALL), parse(sheet(utc_offset="-05:00"))

    assert given.local_day(us("2026-11-27T00:00:00+09:00")) == given.local_day(us("2026-11-27T23:59:59+09:00")) == 20784
    assert west.local_day(us("2026-11-27T00:00:00+09:00")) == 20783


def test_the_map_in_the_documentation_is_one():
    page = (EXAMPLE.parents[2] / "docs/terminals/infomax.md").read_text(encoding="utf-8")

    given = parse(tomllib.loads(page.partition("```toml\n")[2].partition("```")[0]))

    assert (given.sheet, given.heartbeat, len(given.columns)) == ("실시간", "T1", 8)
