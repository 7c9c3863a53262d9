import pytest

from terminals.sources.contract import WrongInput
from terminals.sources.kis.planner import Kind, Registration
from terminals.sources.kis.source import of_mode
from terminals.sources.kis.wanted import Wanted, read_wanted, wishes


def test_codes_of_the_command_line_are_stocks_of_krx():
    found = read_wanted("005930, 0126Z0,Q500001", {})

    assert [one.symbol for one in found] == ["005930", "0126Z0", "Q500001"]
    assert {one.feed for one in found} == {"krx"}
    assert [wish.registration for wish in wishes(found[:1])] == [
        Registration("H0STCNT0", "005930"),
        Registration("H0STASP0", "005930"),
    ]


def test_tables_say_feed_kinds_and_priority():
    tables = {
        "symbols": [
            {"codes": ["005930"], "feed": "unified", "kinds": ["trade", "status"], "priority": 3},
            {"codes": ["2001"], "feed": "index"},
            {"codes": ["DNASAAPL"], "feed": "overseas", "kinds": ["trade"]},
            {"codes": ["A01612"], "feed": "night_futures"},
        ]
    }

    found = read_wanted(None, tables)

    assert found[0] == Wanted("005930", "unified", (Kind.TRADE, Kind.STATUS), 3)
    assert [wish.registration.tr_id for wish in wishes(found)] == [
        "H0UNCNT0",
        "H0UNMKO0",
        "H0UPCNT0",
        "HDFSCNT0",
        "H0MFCNT0",
        "H0MFASP0",
    ]


@pytest.mark.parametrize(
    ("codes", "tables"),
    [
        (None, {}),
        ("", {}),
        ("005930|1", {}),
        ("005 930", {}),
        (None, {"symbols": {"codes": ["005930"]}}),
        (None, {"symbols": [{"codes": [5930]}]}),
        (None, {"symbols": [{"codes": "005930"}]}),
        (None, {"symbols": [{"codes": ["005930"], "feed": "nasdaq"}]}),
        (None, {"symbols": [{"codes": ["005930"], "kinds": ["tick"]}]}),
        (None, {"symbols": [{"codes": ["005930"], "priority": "high"}]}),
        (None, {"symbols": [{"codes": ["005930"], "other": 1}]}),
    ],
)
def test_what_is_no_list_of_symbols_is_refused(codes, tables):
    with pytest.raises(WrongInput):
        read_wanted(codes, tables)


def test_a_mode_is_about_so_many_symbols():
    wanted = read_wanted(",".join(f"{number:06d}" for number in range(50)), {})
    wanted.append(Wanted("999999", "krx", (Kind.TRADE,), -1))

    test, realtime, production = (of_mode(mode, wanted) for mode in ("test", "realtime", "production"))

    assert (len(test[0]), test[1:], test[0][0].symbol) == (5, (False, 5.0), "999999")
    assert (len(realtime[0]), realtime[1:]) == (30, (True, 1.0))
    assert (len(production[0]), production[1:]) == (51, (True, 1.0))
