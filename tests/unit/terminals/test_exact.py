"""Decimal text becomes integers, to the digit or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import exact


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=8))
def test_every_digit_is_kept(value):
    assert exact.read(f"{value:f}", 8)[0] == int(value.scaleb(8))


@pytest.mark.parametrize(
    ("text", "mantissa"),
    [("4800.25", 480_025_000_000), ("0", 0), ("-0.00000001", -1), ("+1", 100_000_000), ("1.2300000000000", 123_000_000),
     ("9999999999.99999999", 10**18 - 1)],
)  # fmt: skip
def test_plain_decimals_are_read(text, mantissa):
    assert exact.read(text, 8)[0] == mantissa
    assert Decimal(mantissa).scaleb(-8) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "NaN", "inf", "-Infinity", "1e5", "1,000", " 1", "1.", ".5", "0x1", "١", "1.000000001", "10000000000"]
)
def test_what_is_no_exact_decimal_is_refused(text):
    with pytest.raises(ValueError, match="'"):
        exact.read(text, 8)[0]
