"""Which securities are which symbols, and where their times are from."""

import argparse
import datetime

import pytest

from terminals.sources.bloomberg import settings
from terminals.sources.contract import WrongInput


def test_each_line_is_a_security_and_its_symbol():
    table = {"005930 KS Equity": "005930", "KOSPI Index": "KOSPI"}

    assert settings.read_securities(table, None) == table


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, "securities"),
        ({}, "securities"),
        ({"005930 KS Equity": 5930}, "005930 KS Equity"),
        ({"005930 KS Equity": ""}, "005930 KS Equity"),
        ({" ": "005930"}, "' '"),
        ({"005930 KS Equity": "005930", "005930 KP Equity": "005930"}, "005930 KP Equity"),
        ({"005930 KS Equity": "삼성전자"}, "005930 KS Equity"),
    ],
)
def test_what_cannot_be_a_map_is_told(table, told):
    with pytest.raises(WrongInput, match=told):
        settings.read_securities(table, None)


def test_a_code_is_one_of_its_market():
    assert settings.read_securities({"005930 KS Equity": "A005930"}, "KRX") == {"005930 KS Equity": "005930"}
    with pytest.raises(WrongInput, match="005930"):
        settings.read_securities({"005930 KS Equity": "5930"}, "KRX")


@pytest.mark.parametrize(("text", "hours"), [("UTC", 0), ("+09:00", 9), ("-05:00", -5), ("Asia/Seoul", 9)])
def test_a_zone_is_utc_an_offset_or_a_name(text, hours):
    moment = datetime.datetime(2026, 3, 16, tzinfo=settings.zone(text))

    assert moment.utcoffset() == datetime.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "KST9", "+9", "+24:00", "../etc/passwd"])
def test_another_word_is_no_zone(text):
    with pytest.raises(argparse.ArgumentTypeError):
        settings.zone(text)
