"""Which index the beta of a symbol is to, where none is set."""

import pytest

from analytics.statistics.indices import Index, of_symbol


def index(code, *names, market="KRX"):
    return Index(code, names, market, "krx")


EVERY = [
    index("K2", "k2", "kospi200", ""),
    index("KOSDAQ Index", "kosdaq", "", ""),
    index("KOSPI Index", "kospi", "", ""),
    index("SX001", "sx001", "(모의)", "(simulated)"),
    index("SPX Index", "spx", "", "", market="NYSE"),
]
MADE_OF_IT = [
    index("K2VOL", "k2vol", "코스피200변동성", ""),
    index("KOSPI200 Lev", "kospi200lev", "코스피200레버리지", ""),
    index("VKOSPI Index", "vkospi", "", ""),
]


@pytest.mark.parametrize(
    ("category", "market", "of", "code"),
    [
        ("kospi", "KRX", EVERY, "KOSPI Index"), ("kosdaq", "KRX", EVERY, "KOSDAQ Index"),
        ("etf", "KRX", EVERY, "KOSPI Index"), ("unknown", "KRX", EVERY, "KOSPI Index"),
        ("konex", "KRX", EVERY, "SX001"), ("overseas", "NYSE", EVERY, "SPX Index"),
        ("kospi", "KRX", EVERY[:2], "K2"), ("kosdaq", "KRX", EVERY[:1], None), ("kospi", "KRX", EVERY[1:2], None),
        ("kospi", "KRX", MADE_OF_IT + EVERY[:2], "K2"), ("kospi", "KRX", MADE_OF_IT, None),
        ("overseas", "TSE", EVERY, None), ("kospi", "KRX", [], None),
        ("index", "KRX", EVERY, None), ("fx", "KRX", EVERY, None), ("futures", "KRX", EVERY, None),
    ],
)  # fmt: skip
def test_an_index_stands_for_the_market_that_it_is_called_as(category, market, of, code):
    found = of_symbol(category, market, of, chosen="")

    assert (found.code if found else None) == code


def test_one_that_is_told_as_events_stands_behind_one_that_is_collected_and_called_alike():
    told = [
        Index(code, (code, name), "KRX", "", is_told=True) for code, name in (("0001", "kospi"), ("1001", "kosdaq"))
    ]
    collected = [index("KOSPI Index", "kospi"), index("K2", "kospi200")]

    assert of_symbol("kospi", "KRX", [*collected, *told], chosen="") is collected[0]
    assert of_symbol("kospi", "KRX", [collected[1], *told], chosen="") is told[0]
    assert of_symbol("kosdaq", "KRX", [*collected, *told], chosen="") is told[1]
    assert of_symbol("overseas", "NYSE", told, chosen="") is None


def test_the_symbol_that_was_chosen_stands_for_all():
    for category, market in (("kosdaq", "KRX"), ("fx", "KRX"), ("overseas", "NYSE")):
        assert of_symbol(category, market, EVERY[:1], chosen="K2") is EVERY[0]
    assert of_symbol("kospi", "KRX", [], chosen="069500") is None
