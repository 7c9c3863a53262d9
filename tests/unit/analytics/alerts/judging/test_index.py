"""Which rules look at which symbol of which feed."""

from analytics.alerts.judging.conditions import read
from analytics.alerts.judging.index import EVERY, Place, Rule, build

PRICE = read("price", {"direction": "above", "level": "1"})
VI, ALARM = read("status", {"status": "vi"}), read("alarm", {"code": "disk_low"})
NOTHING: dict[str, set[str]] = {"statistics": set(), "statuses": set()}
VOLUME = read("volume", {"level": "2"})
PLACES = {"A": Place("KRX", "krx"), "B": Place("KRX", "unified"), "C": Place("CME", "cme")}


def rule(number, condition=PRICE, **other):
    return Rule(number=number, revision=1, owner=1, name="", condition=condition, **other)


def numbers(index, feed, symbol):
    return sorted(one.number for one in index.of(feed, symbol))


def test_a_rule_without_a_feed_looks_at_the_primary_one_of_each_symbol():
    index = build([rule(1, symbols=("A", "B", "X")), rule(2, symbols=("A",), feed="nxt")], PLACES, "m")

    assert [numbers(index, *at) for at in (("krx", "A"), ("unified", "B"), ("krx", "B"), ("nxt", "A"))] == [
        [1], [1], [], [2],
    ]  # fmt: skip
    assert index.feeds == {
        "krx": {"symbols": {"A"}, **NOTHING}, "unified": {"symbols": {"B"}, **NOTHING},
        "nxt": {"symbols": {"A"}, **NOTHING},
    }  # fmt: skip


def test_a_rule_of_a_market_looks_at_all_of_its_symbols_and_no_other():
    index = build([rule(1, VOLUME, market="KRX"), rule(2, market="KRX", feed="krx")], PLACES, "m")

    assert [numbers(index, *at) for at in (("krx", "A"), ("krx", "B"), ("unified", "B"), ("cme", "C"))] == [
        [1, 2], [2], [1], [],
    ]  # fmt: skip
    assert index.feeds == {
        feed: {"symbols": {EVERY}, "statistics": {EVERY}, "statuses": set()} for feed in ("krx", "unified")
    }  # fmt: skip
    assert set(index.rules) == {"1.1", "2.1"}


def test_a_rule_on_statuses_is_brought_by_no_trade():
    index = build([rule(1, VI, symbols=("A",)), rule(2, VI, market="KRX", feed="nxt")], PLACES, "m")

    assert numbers(index, "krx", "A") == []
    found = [sorted(one.number for one in index.of_statuses(*at)) for at in (("krx", "A"), ("nxt", "A"), ("nxt", "C"))]
    assert found == [[1], [2], []]
    assert index.feeds["krx"] == {"symbols": set(), "statistics": set(), "statuses": {"A"}}
    assert index.feeds["nxt"]["statuses"] == {EVERY}


def test_a_rule_looks_no_more_at_what_left_its_list_or_is_no_symbol_now_and_not_at_all_without_a_list():
    index = build([rule(1, symbols=("A", "X")), rule(2, market="KRX"), rule(3), rule(4, ALARM)], PLACES, "m")

    assert [index.looks_at("1.1", symbol) for symbol in ("A", "B", "X", "")] == [True, False, False, True]
    assert [index.looks_at("2.1", symbol) for symbol in ("B", "X")] == [True, False]
    assert [index.looks_at("4.1", "disk"), index.looks_at("1.2", "A")] == [True, False]
    assert numbers(index, "krx", "A") == [1, 2]
