"""Files of reference data: no cell is a formula, and what was written is read back as it was."""

import csv
import datetime
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rest import exports
from marketdata.reference import sheets

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)


@given(TEXTS)
def test_no_text_begins_a_formula_and_each_is_read_back(text):
    written = sheets.cell(text)

    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    assert sheets.unescaped(written) == text


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_computes_is_text_in_every_csv(begin):
    for text in (f"{begin}1+1", f"{begin}cmd|' /C calc'!A0"):
        assert sheets.cell(text) == exports.safe(text) == f"'{text}"
        assert sheets.unescaped(sheets.cell(text)) == text


def test_numbers_stay_numbers_and_dates_are_iso():
    values = (-60, Decimal("-1.500000"), Decimal(100), None, True, datetime.date(2026, 3, 16), datetime.time(9, 30))

    assert [sheets.cell(value) for value in values] == [
        "-60", "-1.5", "100", "", "true", "2026-03-16", "09:30:00",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_file_is_read_as_excel_saves_it(encoding):
    assert sheets.decoded("code,name\r\n005930,가람전자\r\n".encode(encoding)) == "code,name\r\n005930,가람전자\r\n"


def test_a_file_begins_with_the_mark_by_which_excel_knows_utf_8():
    content = sheets.write(("code", "name"), [("005930", '=HYPERLINK("http://x")'), ("A,B", "가람")])

    assert content.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))) == [
        ["code", "name"], ["005930", "'=HYPERLINK(\"http://x\")"], ["A,B", "가람"],
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"PK\x03\x04\x00\x00", b"\xff\xff\xff", b"a" * (sheets.MOST_BYTES + 1)])
def test_what_is_no_text_or_too_large_is_refused(content):
    with pytest.raises(sheets.SheetError):
        sheets.decoded(content)
