"""`addsymbols` registers what people's programs export, and names what it cannot take."""

from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Symbol

pytestmark = pytest.mark.usefixtures("road_database")


def add(tmp_path, content, *options, encoding="utf-8"):
    """What it wrote to stdout and stderr."""
    file, out, err = tmp_path / "symbols.csv", StringIO(), StringIO()
    file.write_bytes(content.encode(encoding))
    call_command("addsymbols", str(file), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def registered():
    return list(Symbol.objects.order_by("code").values_list("code", "name", "name_en"))


@pytest.mark.once
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("heading", ["", "code,name,name_en\r\n", "종목코드,한글 종목명,영문\r\n"])
def test_a_list_of_symbols_as_it_was_exported(tmp_path, encoding, separator, heading):
    text = heading + "051910,LG화학,LG Chem\r\n\r\n000880,한화,Hanwha\r\n"

    add(tmp_path, text.replace(",", separator), encoding=encoding)

    assert registered() == [("000880", "한화", "Hanwha"), ("051910", "LG화학", "LG Chem")]


def test_a_code_that_comes_twice_has_its_last_name(tmp_path):
    out, _err = add(tmp_path, "051910,LG화학,LG Chem\n051910,엘지화학,LG Chem Ltd\n")

    assert registered() == [("051910", "엘지화학", "LG Chem Ltd")]
    assert out.startswith("1 ")


def test_a_new_name_replaces_the_old_one(tmp_path):
    add(tmp_path, "051910,LG화학\n")
    add(tmp_path, "051910,엘지화학\n")

    assert registered() == [("051910", "엘지화학", "")]


def test_a_category_is_given_to_all_of_a_list_and_stays_when_none_is_named(tmp_path):
    add(tmp_path, "051910,LG화학\n000880,한화\n", "--category", "kospi")
    add(tmp_path, "051910,엘지화학\n", "--category", "etf")
    add(tmp_path, "000880,한화\n305720,TIGER\n")

    found = dict(Symbol.objects.values_list("code", "category"))
    assert found == {"051910": "etf", "000880": "kospi", "305720": ""}
    with pytest.raises(CommandError, match="is no category"):
        add(tmp_path, "000880,한화\n", "--category", "KOSPI")


@pytest.mark.once
def test_codes_that_a_spreadsheet_wrote_as_text_or_a_vendor_prefixed_are_understood(tmp_path):
    add(tmp_path, '="051910",LG화학\n"=""000880""",한화\nA005930,삼성전자\n')

    assert [code for code, _, _ in registered()] == ["000880", "005930", "051910"]


@pytest.mark.once
def test_a_name_may_have_two_lines(tmp_path):
    add(tmp_path, '051910,"여러\n줄",LG Chem\n')

    assert registered() == [("051910", "여러\n줄", "LG Chem")]


def test_a_line_that_is_wrong_is_named_and_the_others_are_registered(tmp_path):
    out, err = add(tmp_path, "51910,LG화학\n000880,한화\n00499k,소문자\n")

    assert [code for code, _, _ in registered()] == ["000880"]
    assert "line 1: symbol '51910' is no code of KRX" in err
    assert "051910 was probably meant" in err
    assert "line 3" in err
    assert "00499K was probably meant" in err
    assert "2 lines left out" in out


@pytest.mark.parametrize(("content", "options"), [("51910,x\n", ()), ("51910,x\n000880,y\n", ("--strict",))])
def test_nothing_is_registered_when_all_is_wrong_or_the_caller_is_strict(tmp_path, content, options):
    with pytest.raises(CommandError, match="1 lines are wrong; nothing was registered"):
        add(tmp_path, content, *options)
    assert registered() == []


@pytest.mark.once
def test_a_market_without_a_pattern_takes_any_code(tmp_path):
    add(tmp_path, "5930,five\nBRK.A,class A\n", "--market", "US")

    assert [code for code, _, _ in registered()] == ["5930", "BRK.A"]


@pytest.mark.once
def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(CommandError, match="neither UTF-8 nor cp949"):
        add(tmp_path, "\xff\xff\xff", encoding="latin-1")


@pytest.mark.once
def test_a_list_may_come_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO("051910,LG화학\n".encode("cp949"))))

    call_command("addsymbols", "-", stdout=StringIO())

    assert registered() == [("051910", "LG화학", "")]
