"""Every value that a cell was seen to hold becomes an exact number, or a reason by name; never a wrong number."""

import contextlib
import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.infomax import cells
from terminals.sources.infomax.cells import Junk, Moment, read_code, read_day, read_number, read_time

JUNK = [
    (None, "blank"),
    ("", "blank"),
    (" ", "blank"),
    ("      ", "blank"),
    ("\u3000\u00a0", "blank"),
    ("          nan", "not_finite"),
    (float("nan"), "not_finite"),
    (float("inf"), "not_finite"),
    (-2146826281, "error_div0"),
    (-2146826246, "error_na"),
    (-2146826259, "error_name"),
    (-2146826288, "error_null"),
    (-2146826252, "error_num"),
    (-2146826265, "error_ref"),
    (-2146826273, "error_value"),
    (-2146826245, "waiting"),
    (-2146826246.0, "error_na"),
    (-2146826300, "error_other"),
    (-2146826200, "error_other"),
    ("#N/A", "error_na"),
    ("#N/A N/A", "error_na"),
    ("#NAME?", "error_name"),
    ("#VALUE!", "error_value"),
    ("#REF!", "error_ref"),
    ("#DIV/0!", "error_div0"),
    ("#SPILL!", "error_other"),
    ("#WAITING", "waiting"),
    ("#Requesting", "waiting"),
    ("#GETTING_DATA", "waiting"),
    ("...", "waiting"),
    ("-", "waiting"),
    (True, "boolean"),
    (False, "boolean"),
]


@pytest.mark.parametrize(("cell", "reason"), [*JUNK, ("▲", "sign_only"), ("▼", "sign_only"), ("삼성전자", "text")])
def test_a_cell_that_holds_no_number_says_why(cell, reason):
    with pytest.raises(Junk) as caught:
        read_number(cell, scale=8)

    assert caught.value.reason == reason


@pytest.mark.parametrize("read", [lambda cell: read_code(cell, "KRX", width=6), read_day, read_time])
@pytest.mark.parametrize(("cell", "reason"), JUNK)
def test_no_junk_is_a_code_a_day_or_a_time(cell, reason, read):
    with pytest.raises(Junk) as caught:
        read(cell)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (70000.0, "70000"),
        (70000, "70000"),
        (0.05, "0.05"),
        (-0.57, "-0.57"),
        (-0.0, "0"),
        (1e16, None),
        ("70,000", "70000"),
        ("1,234,567.89", "1234567.89"),
        ("+1,234", "1234"),
        (" 70000 ", "70000"),
        ("７０，０００", "70000"),
        ("−5", "-5"),
        ("(1,234)", "-1234"),
        ("（12.5）", "-12.5"),
        ("▲ 70,000", "70000"),
        ("▼70,000", "70000"),
        ("00000000", "0"),
        ("005930", "5930"),
        (1993.3000000000002, "1993.3"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_a_number_is_exact_whether_it_is_a_double_or_a_text(cell, number):
    if number is None:
        with pytest.raises(Junk, match="too_large"):
            read_number(cell, scale=8)
    else:
        assert Decimal(read_number(cell, scale=8)[0]).scaleb(-8) == Decimal(number)


def test_noise_of_doubles_is_taken_off_and_said():
    assert read_number(0.1 + 0.2, scale=8) == (30_000_000, True)
    assert read_number(0.3, scale=8) == (30_000_000, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12,34", "separators"),
        ("1,2345", "separators"),
        ("1.234,5", "separators"),
        ("1 234", "text"),
        ("1e5", "text"),
        ("0x10", "text"),
        ("1_000", "text"),
        ("12.5%", "per_cent_sign"),
        ("(-5)", "sign"),
        ("▲+5", "sign"),
        ("70000원", "text"),
        ("①", "text"),
        ("10²", "text"),
        ("()", "text"),
        (datetime.datetime(2026, 11, 27, 9, 0), "date"),
        (1 / 3, "too_precise"),
        ("0.1234567891", "too_precise"),
    ],
)
def test_what_could_mean_two_numbers_is_none(text, reason):
    with pytest.raises(Junk) as caught:
        read_number(text, scale=8, percent=reason == "sign" and text.startswith("▲"))

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("cell", "fraction", "rate"),
    [
        (1.25, False, "1.25"),
        ("1.25%", False, "1.25"),
        ("-0.57 %", False, "-0.57"),
        ("▼0.57", False, "-0.57"),
        ("▼-0.57%", False, "-0.57"),
        ("▲1.25%", False, "1.25"),
        (0.0125, True, "1.25"),
        (-0.3, True, "-30"),
        ("1.25%", True, "1.25"),
        ("0.0125", True, "1.25"),
    ],
)
def test_a_rate_is_in_per_cent_however_it_is_written(cell, fraction, rate):
    value, _ = read_number(cell, scale=8, percent=True, fraction=fraction)

    assert Decimal(value).scaleb(-8) == Decimal(rate)


@pytest.mark.parametrize(
    ("cell", "places", "rounded"),
    [
        (1 / 3, 2, "0.33"),
        (-2 / 3, 2, "-0.67"),
        (0.125, 2, "0.12"),
        (0.375, 2, "0.38"),
        ("1.23456", 2, "1.23"),
        (5, 0, "5"),
    ],
)
def test_a_figure_of_a_formula_is_rounded_where_the_map_says_so(cell, places, rounded):
    assert Decimal(read_number(cell, scale=8, places=places)[0]).scaleb(-8) == Decimal(rounded)


def test_a_rounded_figure_may_be_in_other_units_too():
    assert read_number(1 / 3, scale=8, power=2, places=2) == (3_333_000_000, False)
    assert read_number(1 / 3, scale=8, fraction=True, places=2) == (3_333_000_000, False)


def test_a_column_in_millions_counts_in_millions():
    assert read_number("1,234.5", scale=2, power=6) == (123_450_000_000, False)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9))
def test_every_decimal_of_fifteen_digits_comes_back_from_the_double_that_excel_keeps(number):
    kept = float(number)

    if len(number.normalize().as_tuple().digits) <= 15:
        assert Decimal(read_number(kept, scale=8)[0]).scaleb(-8) == number
    assert Decimal(read_number(f"{number:,f}", scale=8)[0]).scaleb(-8) == number


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans(), st.dates(), st.times()))
def test_any_cell_whatever_is_read_or_refused_and_nothing_else_happens(cell):
    readers = [
        lambda: read_number(cell, scale=8),
        lambda: read_number(cell, scale=6, percent=True, fraction=True, places=2),
        lambda: read_code(cell, "KRX", width=6),
        lambda: read_code(cell, None),
        lambda: read_day(cell),
        lambda: read_time(cell),
    ]
    for read in readers:
        with contextlib.suppress(Junk):
            read()


@pytest.mark.parametrize(
    ("cell", "market", "options", "code"),
    [
        ("005930", "KRX", {"width": 6}, "005930"),
        (5930.0, "KRX", {"width": 6}, "005930"),
        (5930, "KRX", {"width": 6}, "005930"),
        ("5930", "KRX", {"width": 6}, "005930"),
        (" A005930 ", "KRX", {"width": 6}, "005930"),
        ('="005930"', "KRX", {"width": 6}, "005930"),
        ("0126Z0", "KRX", {"width": 6}, "0126Z0"),
        ("Q500001", "KRX", {"width": 6}, "Q500001"),
        ("N005930", "NXT", {"width": 6, "prefix": "N"}, "005930"),
        (1.0, None, {"width": 3}, "001"),
        ("NAS:IXIC", None, {}, "NAS:IXIC"),
    ],
)
def test_a_code_gets_back_what_excel_took_off(cell, market, options, code):
    assert read_code(cell, market, **options) == code


@pytest.mark.parametrize(
    ("cell", "reason"),
    [(5930.5, "code"), (-5.0, "code"), ("삼성전자", "code"), ("005930", "code_prefix"), ("n" * 30, "code")],
)
def test_what_is_no_code_is_refused(cell, reason):
    with pytest.raises(Junk) as caught:
        read_code(cell, None if reason == "code" else "NXT", prefix="" if reason == "code" else "N")

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "cell",
    [
        46353,
        46353.0,
        46353.75,
        20261127,
        20261127.0,
        "20261127",
        "2026-11-27",
        "2026/11/27",
        "2026.11.27",
        "2026-11-27 09:00:05",
        "20261127090005",
        datetime.date(2026, 11, 27),
        datetime.datetime(2026, 11, 27, 9, 0, 5),
    ],
)
def test_a_day_is_a_date_or_one_of_excel_s_numbers(cell):
    assert read_day(cell) == (datetime.date(2026, 11, 27) - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "cell", ["00000000", 0.0, 20261127.5, "2026-13-01", "27.11.2026", "2026-11/27", 20261399, "1127"]
)
def test_what_is_no_day_is_refused(cell):
    with pytest.raises(Junk, match="date"):
        read_day(cell)


NINE = (9 * 3600 + 5) * 1_000_000


@pytest.mark.parametrize(
    "cell",
    [
        90005,
        90005.0,
        "90005",
        "090005",
        "9:00:05",
        "09:00:05",
        datetime.time(9, 0, 5),
        datetime.timedelta(seconds=32405),
        32405 / 86400,
    ],
)
def test_a_time_gets_back_its_lost_zero(cell):
    assert read_time(cell) == Moment(None, NINE)


@pytest.mark.parametrize(
    "cell",
    [
        46353 + 32405 / 86400,
        "20261127090005",
        20261127090005,
        "2026-11-27 09:00:05",
        datetime.datetime(2026, 11, 27, 9, 0, 5),
    ],
)
def test_a_time_may_bring_its_day(cell):
    assert read_time(cell) == Moment(read_day(46353), NINE)


def test_fractions_of_a_second_are_kept():
    assert read_time("09:00:05.25") == Moment(None, NINE + 250_000)


@pytest.mark.parametrize("cell", [0, 0.0, "000000", 99999, 246000, 9000512, 5.5, -0.5, "9시", "09:60", "24:00:00"])
def test_what_is_no_time_is_refused(cell):
    with pytest.raises(Junk, match="time"):
        read_time(cell)


def test_the_first_second_of_a_day_is_a_time_where_the_day_is_said():
    assert read_time("20261127000000") == Moment(read_day(46353), 0)


def test_wide_letters_and_many_spaces_are_one_text():
    assert cells.tidy(" Ｃｏｄｅ\n  1 ") == "Code 1"
