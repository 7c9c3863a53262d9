import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.kis.frames import Reader, Undecodable, codes_in, take_apart
from terminals.sources.kis.layouts import LAYOUTS
from tests.unit.terminals.sources.kis.frames_of_kis import BOOK, INDEX, STATUS, TRADE, book, trade


def read(reader, tr_id, count, *records):
    encrypted, found, said, payload = take_apart(f"0|{tr_id}|{count:03d}|{'^'.join(records)}")
    assert not encrypted
    return reader.read(found, said, payload)


@pytest.mark.parametrize("width", [46, 47, 48, 60])
@pytest.mark.parametrize("count", [1, 2, 20])
def test_the_width_of_a_trade_is_what_the_frame_says(width, count):
    frame = read(Reader(), "H0STCNT0", count, *[trade(width)] * count)

    assert (frame.width, frame.count, frame.recounted) == (width, count, False)


@pytest.mark.parametrize("width", [59, 62, 63, 64])
def test_the_width_of_a_book_is_what_the_frame_says(width):
    frame = read(Reader(), "H0STASP0", 3, *[book(width)] * 3)

    assert (frame.width, frame.count) == (width, 3)


def test_widths_that_change_in_the_middle_of_a_day_are_told_once_each():
    reader = Reader()

    for width in (46, 47, 48, 47, 48, 49, 48, 46):
        read(reader, "H0STCNT0", 2, trade(width), trade(width))

    assert reader.new_widths == [("H0STCNT0", 48), ("H0STCNT0", 49)]


def test_fields_beyond_the_known_ones_are_kept_under_their_place():
    record = read(Reader(), "H0STCNT0", 1, trade(49)).record(0)

    assert (record["MKSC_SHRN_ISCD"], record["MARKET_CLS_CODE"]) == ("005930", "2")
    assert (record["extra_47"], record["extra_48"]) == ("more47", "more48")


def test_empty_fields_stay_where_they_are():
    frame = read(Reader(), "H0STCNT0", 2, trade(p44="", p45=""), trade(p10="", p11=""))

    assert frame.record(0)["MRKT_TRTM_CLS_CODE"] == ""
    assert frame.record(1)["BIDP1"] == ""
    assert frame.record(1)["CNTG_VOL"] == "15"


@pytest.mark.parametrize(("said", "there"), [(3, 2), (1, 2), (2, 4), (7, 3), (0, 1), (999, 2), (2, 1)])
def test_a_wrong_count_does_not_cost_the_records(said, there):
    frame = read(Reader(), "H0STCNT0", said, *[trade()] * there)

    assert (frame.width, frame.count, frame.recounted) == (47, there, True)


@pytest.mark.parametrize("count", ["", "x", "-1", "１", "1.0", "00001"])
def test_a_count_that_is_no_number_does_not_cost_the_record_either(count):
    assert Reader().read("H0STCNT0", count, TRADE).recounted


@pytest.mark.parametrize(
    ("tr_id", "count", "payload", "reason"),
    [
        ("H0STCNT0", "001", "005930^090002^100500", "width"),
        ("H0STCNT0", "002", TRADE + "^" + TRADE + "^1^2^3", "count"),
        ("H0STCNT0", "002", trade() + "^" + trade(p0="0a-930"), "code"),
        ("H0STCNT0", "001", "", "width"),
        ("H0STASP0", "001", "^".join(BOOK.split("^")[:58]), "width"),
        ("H0ZZZZZ9", "001", TRADE, "unknown_tr"),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_word_for_it(tr_id, count, payload, reason):
    with pytest.raises(Undecodable) as refused:
        Reader().read(tr_id, count, payload)

    assert (refused.value.reason, refused.value.tr_id) == (reason, tr_id)


@pytest.mark.parametrize("code", ["0126Z0", "0007C0", "Q500001", "005930"])
def test_codes_have_letters_and_may_begin_with_q(code):
    frame = read(Reader(), "H0STCNT0", 2, trade(p0=code), trade(p0=code))

    assert frame.record(1)["MKSC_SHRN_ISCD"] == code


def test_a_new_form_of_code_does_not_cost_the_frames():
    frame = read(Reader(), "H0STCNT0", 2, trade(p0="ab005930"), trade(p0="ab005931"))

    assert frame.count == 2


def test_records_of_several_stocks_may_share_a_frame():
    frame = read(Reader(), "H0STCNT0", 2, trade(p0="0126Z0"), trade(p0="Q500001"))

    assert [frame.record(0)["MKSC_SHRN_ISCD"], frame.record(1)["MKSC_SHRN_ISCD"]] == ["0126Z0", "Q500001"]


@pytest.mark.parametrize(("tr_id", "record"), [("H0STMKO0", STATUS), ("H0STMKO0", STATUS + "^1"), ("H0UPCNT0", INDEX)])
def test_other_records_are_read_by_their_own_layout(tr_id, record):
    frame = read(Reader(), tr_id, 2, record, record)

    assert frame.count == 2
    assert "^".join(frame.record(1).values()) == record


@pytest.mark.parametrize("message", ["", "<html>503</html>", "0|H0STCNT0|001", "2|H0STCNT0|001|x", "0||001|x", "|||"])
def test_a_message_that_is_no_frame_is_garbage(message):
    with pytest.raises(Undecodable) as refused:
        take_apart(message)

    assert refused.value.reason == "garbage"


@pytest.mark.parametrize(
    ("count", "codes"), [("002", ["000001", "000002"]), ("001", ["000001"]), ("005", ["000001"]), ("x", ["000001"])]
)
def test_the_codes_of_a_frame_that_is_not_read_are_known(count, codes):
    payload = "^".join(trade(p0=code) for code in ("000001", "000002"))

    assert codes_in(count, payload) == codes


@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.text(st.sampled_from("0123456789^.-AQ(nul) "), max_size=400),
    st.text(max_size=4),
)
def test_any_values_are_whole_records_or_refused(tr_id, payload, count):
    reader = Reader()
    try:
        frame = reader.read(tr_id, count, payload)
    except Undecodable:
        return

    assert frame.width >= LAYOUTS[tr_id].required
    assert len(frame.values) == frame.width * frame.count
    assert "^".join(frame.values) == payload


@given(st.integers(46, 60), st.lists(st.integers(0, 999_999), min_size=1, max_size=20))
def test_whatever_a_frame_holds_is_found_again(width, numbers):
    records = [trade(width, p0=f"{number:06d}") for number in numbers]

    frame = read(Reader(), "H0STCNT0", len(records), *records)

    assert ["^".join(frame.record(index).values()) for index in range(frame.count)] == records
