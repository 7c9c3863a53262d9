"""A number is what was written, or what a program that calculates with doubles meant, or refused."""

import math
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from terminals.wire import numbers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1993.3000000000002", "1993.3"),
        ("1993.1000000000001", "1993.1"),
        ("0.30000000000000004", "0.3"),
        ("70000.00000000001", "70000"),
        ("434.99999999999994", "435"),
        ("0.9999999999999999", "1"),
        ("-37.629999999999995", "-37.63"),
        ("1.9933000000000002e3", "1993.3"),
    ],
)
def test_float_noise_is_read_as_what_was_meant(written, meant):
    assert numbers.read(written, 8) == (int(Decimal(meant).scaleb(8)), True)


@pytest.mark.parametrize(
    "text",
    [
        "1993.300000002",  # eleven digits: written so by somebody who meant it
        "1234567.123456789",  # sixteen digits, but not beside a double of fifteen
        "0.123456789",
        "1993.3000000000005",  # two doubles away
        "1993.300000000000200001",
        "0.1234567890123456",
        "0.00000000100000000000000002",
    ],
)
def test_a_number_with_too_many_places_is_refused_unless_a_double_prints_itself_so(text):
    with pytest.raises(numbers.TooPreciseError, match="8 decimal places"):
        numbers.read(text, 8)


@given(st.integers(1, 10**14), st.integers(0, 8), st.sampled_from([math.inf, 0.0]))
def test_the_neighbours_of_the_double_of_a_decimal_are_read_as_the_decimal(digits, places, way):
    meant = Decimal(digits).scaleb(-places)
    written = repr(math.nextafter(float(meant), way))
    assume("e" not in written and int(meant.scaleb(8)) <= numbers.MOST)

    value, noisy = numbers.read(written, 8)

    exact = Decimal(written).scaleb(8)
    assert value == (exact if exact == int(exact) else int(meant.scaleb(8)))
    assert noisy == (exact != int(exact))


@given(st.decimals(-(10**9), 10**9, places=8, allow_nan=False, allow_infinity=False))
def test_a_decimal_that_has_room_stays_what_it_is(value):
    assert numbers.read(f"{value:f}", 8) == (int(value.scaleb(8)), False)


@given(st.integers(9, 20).flatmap(lambda places: st.integers(1, 10**15).map(lambda d: Decimal(d).scaleb(-places))))
def test_what_has_at_most_fifteen_digits_and_no_room_is_refused(value):
    assume(value.scaleb(8) != int(value.scaleb(8)))

    with pytest.raises(numbers.TooPreciseError):
        numbers.read(f"{value:f}", 8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".5",
        "1_000",
        "1,000",
        "１２",
        "٣",
        "0x10",
        "1e",
        "1 2",
        "1\n",
        "\u30001",
        "++1",
        "70,100원",
        "#N/A",
        "1e5e5",
    ],
)
def test_nothing_else_is_a_number(text):
    with pytest.raises(ValueError, match="is no decimal number"):
        numbers.read(text, 8)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("NaN", numbers.NotFiniteError),
        ("-Infinity", numbers.NotFiniteError),
        ("1e30", numbers.TooLargeError),
        ("10000000000", numbers.TooLargeError),
    ],
)
def test_what_has_no_room_says_so(text, error):
    with pytest.raises(error):
        numbers.read(text, 8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", (12, False)),
        ("12.0", (12, True)),
        ("-2", (-2, False)),
        ("9223372036854775807", (2**63 - 1, False)),
    ],
)
def test_a_whole_number_may_be_a_spreadsheets(text, value):
    assert numbers.read_whole(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "1_000",
        "１２３",
        " 7 ",
        "+5",
        "0x10",
        "12.5",
        "12.",
        "",
        "9223372036854775808",
        "-9223372036854775808",
        "1e3",
        "7\n",
    ],
)
def test_nothing_else_is_a_whole_number(text):
    with pytest.raises(ValueError, match="whole number"):
        numbers.read_whole(text)
