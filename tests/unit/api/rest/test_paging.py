import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rest import paging
from marketdata.storage import TickKey

CODE = st.from_regex(r"[0-9A-Za-z._:/-]{1,24}", fullmatch=True)


@given(CODE, st.integers(-(2**40), 2**51), st.integers(0, 2**63 - 1))
def test_a_token_comes_back_as_the_place_it_was_made_of(symbol, time_us, tick_id):
    key = TickKey(symbol, time_us, tick_id)

    assert paging.decode_token(paging.encode_token(key, "trades"), "trades", [symbol]) == key


@given(st.text(max_size=60))
def test_any_other_text_is_refused_and_never_a_crash(text):
    with pytest.raises(paging.BadTokenError):
        paging.decode_token(text, "trades", ["005930"])


@pytest.mark.parametrize(
    "inside",
    [
        "005930|bars|1|1",  # of another resource
        "000660|trades|1|1",  # of another symbol
        "005930|trades|1|-1",
        "005930|trades|99999999999999999999|1",
        "005930|trades|253402300799999999|1",  # the end of the year 9999, behind which there is no candle's end
        "005930|trades|1|9223372036854775808",
        "005930|trades|x|1",
        "005930|trades|1",
    ],
)
def test_a_token_of_another_question_is_refused(inside):
    with pytest.raises(paging.BadTokenError):
        paging.decode_token(base64.urlsafe_b64encode(inside.encode()).decode(), "trades", ["005930"])
