"""Symbols follow the vendor's master files: facts, names, what is new and what is gone; and never a file that is not
whole."""

from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Alarm, Symbol, SymbolChange

pytestmark = pytest.mark.usefixtures("road_database")

TAILS = {"kospi_code": (227, 0), "kosdaq_code": (221, 5)}
"""Length of the tail, and by how much its columns from the base price on lie further left than KOSPI's."""


def line(code, name, *, file="kospi_code", group="ST", base=70_000, halt="N", warning="00", volume=1_000):
    """A line as the vendor's layout has it."""
    length, shift = TAILS[file]
    tail = list(" " * length)
    cells = {
        0: group, 41 - shift: f"{base:09d}", 60 - shift: f"{halt}NN{warning}", 81 - shift: f"{volume:012d}",
        105 - shift: "20100104", 212 - shift - (file == "kosdaq_code"): f"{4_000:09d}",
    }  # fmt: skip
    for at, text in cells.items():
        tail[at : at + len(text)] = text
    isin = f"KR7{code[:6]:0>6}003"
    padded = name + " " * (40 - len(name.encode("cp949")))
    return f"{code:<9}{isin}{padded}{''.join(tail)}\n"


def many(count, *, without=()):
    """So many shares, the first ones left out as asked for."""
    return [line(f"{number:06d}", f"종목{number}") for number in range(1, count + 1) if number not in without]


@pytest.fixture
def load(tmp_path):
    def run(lines, *options, file="kospi_code", packed=False):
        content = "".join(lines).encode("cp949") if not isinstance(lines, bytes) else lines
        path = tmp_path / f"{file}.mst"
        if packed:
            archive = BytesIO()
            with ZipFile(archive, "w") as opened:
                opened.writestr(path.name, content)
            path, content = tmp_path / f"{file}.mst.zip", archive.getvalue()
        path.write_bytes(content)
        out, err = StringIO(), StringIO()
        call_command("load_masters", "--file", str(path), *options, stdout=out, stderr=err)
        return out.getvalue()

    return run


def changes():
    return sorted(SymbolChange.objects.values_list("symbol", "what", "before", "after"))


@pytest.mark.once
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("file", ["kospi_code", "kosdaq_code"])
def test_a_symbol_has_what_the_file_says_of_it(load, file, packed):
    load([line("005930", "삼성전자", file=file, halt="Y", warning="02")], file=file, packed=packed)

    symbol = Symbol.objects.get(code="005930")
    assert (symbol.name, symbol.market_id, symbol.primary_feed, symbol.is_active) == ("삼성전자", "KRX", "krx", True)
    assert (symbol.isin, symbol.security_group, symbol.category) == ("KR7005930003", "ST", file.removesuffix("_code"))
    assert (symbol.base_price, symbol.previous_volume) == (70_000 * 10**8, 1_000 * 10**6)
    assert symbol.market_cap == 4_000 * 10**8
    assert str(symbol.listed_on) == "2010-01-04"
    assert (symbol.is_halted, symbol.warning, symbol.is_administrative) == (True, "02", False)
    assert (symbol.master, symbol.delisted_on) == (file, None)


@pytest.mark.once
def test_funds_and_notes_have_a_category_of_their_own_and_warrants_are_left_out(load):
    load([line("069500", "KODEX 200", group="EF"), line("Q500001", "신한 ETN", group="EN"),
          line("58J297", "ELW", group="EW"), line("0126Z0", "새 코드")])  # fmt: skip

    assert dict(Symbol.objects.values_list("code", "category")) == {
        "069500": "etf", "Q500001": "etn", "0126Z0": "kospi"
    }  # fmt: skip


@pytest.mark.once
def test_futures_are_loaded_and_options_are_not(load):
    load(["1|A01612|KR4A01612001|F 202612|0|0.00|1|2001|KOSPI200\n",
          "5|B01612350|KR4B01612350|C 202612 350.0|1|350.00|1|2001|KOSPI200\n"], file="fo_idx_code_mts")  # fmt: skip

    assert list(Symbol.objects.values_list("code", "name", "category")) == [("A01612", "F 202612", "futures")]


def test_what_is_new_and_what_has_another_name_is_told_and_remembered(load):
    load([line("005930", "삼성전자"), line("000660", "현대전자")])

    out = load([line("005930", "삼성전자"), line("000660", "SK하이닉스"), line("035720", "카카오")])

    assert "renamed    000660 현대전자 -> SK하이닉스" in out
    assert "new        035720 카카오" in out
    assert "kospi_code: 1 new, 1 renamed, 0 listed again, 0 gone" in out
    assert ("000660", "renamed", "현대전자", "SK하이닉스") in changes()
    assert Symbol.objects.get(code="000660").name == "SK하이닉스"


def test_a_file_that_comes_twice_changes_nothing(load):
    load(many(30))
    before = list(Symbol.objects.order_by("code").values_list("code", "name", "created_at")), changes()

    out = load(many(30))

    assert "0 new, 0 renamed, 0 listed again, 0 gone, 0 with other facts" in out
    assert (list(Symbol.objects.order_by("code").values_list("code", "name", "created_at")), changes()) == before


def test_what_is_gone_is_switched_off_and_not_deleted_and_comes_back_when_it_is_listed_again(load):
    load(many(30))

    load(many(30, without=(7,)))
    gone = Symbol.objects.get(code="000007")
    assert (gone.is_active, gone.delisted_on is not None) == (False, True)
    assert ("000007", "delisted", "종목7", "") in changes()

    load(many(30))
    back = Symbol.objects.get(code="000007")
    assert (back.is_active, back.delisted_on) == (True, None)
    assert ("000007", "returned", "종목7", "종목7") in changes()


def test_a_symbol_that_a_person_switched_off_stays_off(load):
    load(many(30))
    Symbol.objects.filter(code="000007").update(is_active=False)

    load(many(30))

    assert not Symbol.objects.get(code="000007").is_active


@pytest.mark.once
def test_a_file_that_lacks_too_many_switches_none_off_until_a_person_says_so(load):
    load(many(200))
    cut = many(200, without=range(101, 201))  # whole lines, but half of them

    with pytest.raises(CommandError, match="may not be whole"):
        load(cut)

    assert Symbol.objects.filter(is_active=True).count() == 200
    assert "100 of 200 symbols" in Alarm.objects.get(code="masters_refused", cleared_at=None).message

    load(cut, "--accept-gone")
    assert Symbol.objects.filter(is_active=True).count() == 100
    assert not Alarm.objects.filter(cleared_at=None).exists()


@pytest.mark.once
def test_a_file_that_ends_in_the_middle_of_a_line_switches_none_off(load):
    load(many(30))
    content = "".join(many(30)).encode("cp949")

    with pytest.raises(CommandError, match="may not be whole"):
        load(content[: len(content) - 400])

    assert Symbol.objects.filter(is_active=True).count() == 30
    assert "cannot be read" in Alarm.objects.get(code="masters_refused").message


@pytest.mark.once
@pytest.mark.parametrize("content", [b"", b"<html>maintenance</html>\n"])
def test_what_is_no_master_file_changes_nothing(load, content):
    load(many(30))

    with pytest.raises(CommandError, match="nothing was taken over"):
        load(content)

    assert Symbol.objects.filter(is_active=True).count() == 30


def test_a_symbol_that_moves_to_another_market_is_neither_gone_nor_new(tmp_path, load):
    load(many(30))
    load([line("900001", "하나", file="kosdaq_code")], file="kosdaq_code")
    (tmp_path / "kosdaq_code.mst").write_bytes("".join(
        [line("900001", "하나", file="kosdaq_code"), line("000007", "종목7", file="kosdaq_code")]
    ).encode("cp949"))  # fmt: skip
    (tmp_path / "kospi_code.mst").write_bytes("".join(many(30, without=(7,))).encode("cp949"))

    call_command(
        "load_masters", "--file", str(tmp_path / "kospi_code.mst"), "--file", str(tmp_path / "kosdaq_code.mst"),
        stdout=StringIO(),
    )  # fmt: skip

    moved = Symbol.objects.get(code="000007")
    assert (moved.is_active, moved.category, moved.master) == (True, "kosdaq", "kosdaq_code")
    assert not [one for one in changes() if one[1] != "listed"]


def test_a_symbol_that_was_registered_by_hand_gets_its_facts_and_keeps_its_feed(load):
    Symbol.objects.create(code="000001", market_id="KRX", primary_feed="unified", name_en="One")

    load(many(1))

    symbol = Symbol.objects.get(code="000001")
    assert (symbol.name, symbol.name_en, symbol.primary_feed) == ("종목1", "One", "unified")
    assert symbol.base_price == 70_000 * 10**8


def test_symbols_that_no_file_ever_listed_are_left_alone(load):
    Symbol.objects.create(code="BTC", market_id="CRYPTO")
    Symbol.objects.create(code="999999", market_id="KRX")

    load(many(30))

    assert Symbol.objects.filter(code__in=("BTC", "999999"), is_active=True).count() == 2
