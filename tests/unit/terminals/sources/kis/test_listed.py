"""[[masters]] chooses stocks by market and class, the largest first, from today's files or the last there were."""

import io
import zipfile

import pytest

from terminals.sources.contract import WrongInput
from terminals.sources.kis import masters
from terminals.sources.kis.listed import read_listed
from terminals.sources.kis.masters import MasterError
from terminals.sources.kis.planner import Kind
from terminals.sources.kis.wanted import Wanted, read_wanted
from tests.simulators.kis import pages
from tests.simulators.kis.market import Market
from tests.unit.terminals.sources.kis.test_masters import kospi_line

MARKET = Market(seed=3, symbols=40)
LINES = b"".join(
    kospi_line(**{"0": group, "212": f"{cap:09d}"}).replace(b"005930", code.encode(), 1)
    for code, group, cap in (
        ("000010", "ST", 5), ("000020", "ST", 900), ("Q50001", "EN", 7), ("069500", "EF", 80), ("000030", "ST", 30),
        ("57AB12", "EW", 1),
    )
)  # fmt: skip


def kospi(name):
    return LINES if name == "kospi_code" else masters.unpack(name, pages.master(name, MARKET))


def away(name):
    raise MasterError(f"{name}.mst.zip cannot be had: status 503")


def chosen(folder, *tables, download=kospi):
    return read_listed({"masters": list(tables)}, folder, download)


def test_stocks_of_a_market_are_chosen_the_largest_first(tmp_path):
    found = chosen(tmp_path, {"markets": ["kospi"], "kinds": ["trade"], "priority": 50, "most": 2})

    assert found == [Wanted("000020", "krx", (Kind.TRADE,), 50), Wanted("000030", "krx", (Kind.TRADE,), 51)]


def test_classes_are_told_apart_and_no_warrant_is_chosen(tmp_path):
    funds = chosen(tmp_path, {"markets": ["kospi"], "classes": ["etf", "etn"], "feed": "unified"})
    everything = chosen(tmp_path, {"markets": ["kospi"], "classes": ["stock", "etf", "etn", "reit"]})

    assert [(one.symbol, one.feed) for one in funds] == [("069500", "unified"), ("Q50001", "unified")]
    assert "57AB12" not in {one.symbol for one in everything}
    assert len(everything) == 5


def test_without_more_words_it_is_the_stocks_of_kospi_and_kosdaq(tmp_path):
    kosdaq = {stock.code for stock in MARKET.stocks.values() if stock.market == "KOSDAQ"}
    stocks = {one.code for one in masters.parse("kosdaq_code", kospi("kosdaq_code")).stocks if one.group == "ST"}

    found = {one.symbol for one in chosen(tmp_path, {})}

    assert stocks <= kosdaq
    assert found == {"000010", "000020", "000030"} | stocks


def test_codes_that_are_named_come_before_those_that_are_chosen(tmp_path):
    tables = {"symbols": [{"codes": ["000010"], "kinds": ["book"], "priority": 1}]}

    found = read_wanted(None, tables, chosen(tmp_path, {"markets": ["kospi"]}))

    assert [(one.symbol, one.kinds) for one in found if one.symbol == "000010"] == [("000010", (Kind.BOOK,))]
    assert [one.symbol for one in found] == ["000010", "000020", "000030"]


def test_a_file_that_cannot_be_had_is_the_last_one_that_could(tmp_path, caplog):
    with pytest.raises(WrongInput, match="status 503"):
        chosen(tmp_path, {"markets": ["kospi"]}, download=away)
    before = chosen(tmp_path, {"markets": ["kospi"]})

    assert chosen(tmp_path, {"markets": ["kospi"]}, download=away) == before
    assert "kis_master_of_before" in caplog.text
    assert (tmp_path / "kospi_code.mst").stat().st_mode & 0o777 == 0o600


def damaged(name):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(f"{name}.mst", LINES)
    content = bytearray(archive.getvalue())
    at = content.index(f"{name}.mst".encode()) + len(f"{name}.mst")
    content[at : at + 40] = b"\xff" * 40
    return masters.unpack(name, bytes(content))


@pytest.mark.parametrize(
    ("download", "reason"),
    [
        (damaged, "damaged"),
        (lambda name: LINES[: 2 * len(kospi_line())], "2 stocks, the last one had 6"),
        (lambda name: LINES[:-100], "1 of 6 lines"),
    ],
    ids=["damaged", "cut between two lines", "cut in a line"],
)
def test_a_file_that_is_not_whole_is_the_last_one_that_was_and_does_not_replace_it(tmp_path, caplog, download, reason):
    before = chosen(tmp_path, {"markets": ["kospi"]})

    assert chosen(tmp_path, {"markets": ["kospi"]}, download=download) == before
    assert (tmp_path / "kospi_code.mst").read_bytes() == LINES
    assert "kis_master_of_before" in caplog.text
    assert reason in caplog.text


def test_a_file_that_is_not_whole_is_not_taken_where_there_is_none_of_before(tmp_path):
    with pytest.raises(WrongInput, match="1 of 6 lines"):
        chosen(tmp_path, {"markets": ["kospi"]}, download=lambda name: LINES[:-100])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "table",
    [
        {"market": ["kospi"]}, {"markets": "kospi"}, {"markets": ["nasdaq"]}, {"markets": []}, {"classes": ["elw"]},
        {"feed": "index"}, {"most": 0}, {"most": True}, {"kinds": ["x"]}, {"priority": -1},
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_named(tmp_path, table):
    with pytest.raises(WrongInput, match=r"\[\[masters\]\] 1"):
        chosen(tmp_path, table)


def test_one_table_is_no_list_of_tables(tmp_path):
    with pytest.raises(WrongInput, match="masters"):
        read_listed({"masters": {"markets": ["kospi"]}}, tmp_path, kospi)
