"""Master files: cut from the end of the decoded line, whatever the name is; what cannot be read is told."""

import asyncio
import datetime
import io
import zipfile

import pytest

from terminals.sources.kis import masters
from terminals.sources.kis.masters import MasterError
from tests.simulators.kis import pages
from tests.simulators.kis.market import Market

MARKET = Market(seed=3, symbols=40)


def content(name):
    return masters.unpack(name, pages.master(name, MARKET))


@pytest.mark.parametrize("name", ["kospi_code", "kosdaq_code"])
def test_every_stock_of_a_file_is_read(name):
    market = name.removesuffix("_code").upper()
    known = [stock for stock in MARKET.stocks.values() if stock.market == market]

    master = masters.parse(name, content(name))

    assert master.problems == []
    assert [(one.code, one.name, one.base_price) for one in master.stocks] == [
        (stock.code, stock.name, stock.base * 10**8) for stock in known
    ]
    assert [one.isin for one in master.stocks] == [pages.isin(stock.code) for stock in known]


def test_the_columns_of_a_kospi_line():
    (stock,) = masters.parse("kospi_code", kospi_line()).stocks

    assert stock == masters.Stock(
        file="kospi_code", code="005930", isin="KR7005930003", name="삼성전자", group="ST", base_price=70_100 * 10**8,
        halted=False, liquidation=False, administrative=False, warning="01", ex_rights="02",
        listed_on=datetime.date(1975, 6, 11), shares=5_969_783_000, previous_volume=12_345_678,
        market_cap=418_481_900_000_000, par_value=100, preferred="0", etp="1", spac=True,
    )  # fmt: skip


def kospi_line(name="삼성전자", **cells):
    """A line of 227 characters behind the name, as in the reference's table."""
    tail = list("0" * 227)
    values = {
        0: "ST", 22: "1", 29: "Y", 41: "000070100", 60: "N", 61: "N", 62: "N", 63: "01", 68: "02",
        81: "000012345678", 93: "000000000100", 105: "19750611", 113: "000000005969783", 158: "0", 212: "004184819",
    }  # fmt: skip
    for at, text in (values | {int(at): text for at, text in cells.items()}).items():
        tail[at : at + len(text)] = text
    padded = name.encode("cp949").ljust(40)
    return b"005930   KR7005930003" + padded + "".join(tail).encode() + b"\r\n"


@pytest.mark.parametrize("name", ["A", "삼성전자", "KODEX 미국S&P500(H)", "가" * 20])
def test_a_name_of_any_number_of_characters_does_not_move_the_columns(name):
    (stock,) = masters.parse("kospi_code", kospi_line(name)).stocks

    assert (stock.name, stock.base_price, stock.market_cap) == (name, 70_100 * 10**8, 418_481_900_000_000)


def test_a_halted_stock_is_halted_in_both_layouts():
    market = Market(seed=3, symbols=40)
    for stock in market.stocks.values():
        stock.halted = True

    for name in ("kospi_code", "kosdaq_code"):
        found = masters.parse(name, masters.unpack(name, pages.master(name, market))).stocks
        assert {one.halted for one in found} == {True}
        assert {one.administrative for one in found} == {False}


def test_a_line_that_cannot_be_read_is_told_and_the_others_stay():
    wrong = kospi_line(**{"41": "00007x100"})
    short = b"005930   KR7005930003\n"
    undecodable = b"\xff" + kospi_line()[1:]

    master = masters.parse("kospi_code", kospi_line() + wrong + short + undecodable + kospi_line())

    assert len(master.stocks) == 2
    assert [problem.partition(":")[0] for problem in master.problems] == [
        f"kospi_code.mst line {number}" for number in (2, 3, 4)
    ]
    assert "base price '00007x100'" in master.problems[0]


def test_a_file_of_another_layout_is_refused_not_misread():
    with pytest.raises(MasterError, match="layout has changed"):
        masters.parse("kosdaq_code", content("kospi_code"))


def test_an_empty_file_and_an_unknown_one_are_refused():
    with pytest.raises(MasterError, match="empty"):
        masters.parse("kospi_code", b"\x1a")
    with pytest.raises(MasterError, match="not known"):
        masters.parse("theme_code", b"x")


def test_konex_futures_options_and_indexes():
    konex = masters.parse("konex_code", content("konex_code")).stocks[0]
    future, option = masters.parse("fo_idx_code_mts", content("fo_idx_code_mts")).derivatives
    (stock_future,) = masters.parse("fo_stk_code_mts", content("fo_stk_code_mts")).derivatives
    indexes = masters.parse("idxcode", content("idxcode")).indexes

    assert (konex.code, konex.group, konex.base_price, konex.shares) == ("112190", "KN", 1_500 * 10**8, 5_000_000)
    assert (konex.listed_on, konex.market_cap) == (datetime.date(2013, 11, 22), 7_500_000_000)
    assert (future.code, future.kind, future.strike, future.underlying) == (pages.FUTURE, "1", None, "2001")
    assert (option.kind, option.strike, option.underlying_name) == ("5", 350 * 10**8, "KOSPI200")
    assert (stock_future.code, stock_future.underlying_name) == ("A11612", "삼성전자")
    assert [(one.division, one.code, one.name) for one in indexes] == [
        ("0", "0001", "종합"), ("1", "1001", "KOSDAQ"), ("2", "2001", "KOSPI200"),
    ]  # fmt: skip


def test_what_is_no_zip_archive_or_has_another_file_is_refused():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("other.txt", "x")

    for wrong in (b"<html>", archive.getvalue()):
        with pytest.raises(MasterError):
            masters.unpack("kospi_code", wrong)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("put", [b"\xff" * 40, b""], ids=["overwritten", "cut out"])
def test_an_archive_whose_packed_bytes_are_damaged_is_refused(packing, put):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", packing) as opened:
        opened.writestr("kospi_code.mst", kospi_line() * 20)
    content = archive.getvalue()
    at = content.index(b"kospi_code.mst") + len(b"kospi_code.mst")

    with pytest.raises(MasterError):
        masters.unpack("kospi_code", content[:at] + put + content[at + 40 :])


async def test_a_file_is_downloaded_without_a_key(simulator):
    base = f"{simulator.url}/common/master"

    found = await asyncio.to_thread(masters.download, "kosdaq_code", base_url=base)

    assert masters.parse("kosdaq_code", found).stocks
    with pytest.raises(MasterError, match="status 404"):
        await asyncio.to_thread(masters.download, "nothing", base_url=base)
