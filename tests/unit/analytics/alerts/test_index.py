"""Which rules look at which symbol of which feed."""

from analytics.alerts.conditions import read
from analytics.alerts.index import EVERY, Place, Rule, build

PRICE = read("price", {"direction": "above", "level": "1"})
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
        "krx": {"symbols": {"A"}, "statistics": set()}, "unified": {"symbols": {"B"}, "statistics": set()},
        "nxt": {"symbols": {"A"}, "statistics": set()},
    }  # fmt: skip


def test_a_rule_of_a_market_looks_at_all_of_its_symbols_and_no_other():
    index = build([rule(1, VOLUME, market="KRX"), rule(2, market="KRX", feed="krx")], PLACES, "m")

    assert [numbers(index, *at) for at in (("krx", "A"), ("krx", "B"), ("unified", "B"), ("cme", "C"))] == [
        [1, 2], [2], [1], [],
    ]  # fmt: skip
    assert index.feeds == {
        "krx": {"symbols": {EVERY}, "statistics": {EVERY}}, "unified": {"symbols": {EVERY}, "statistics": {EVERY}},
    }  # fmt: skip
    assert index.marks == {"1.1", "2.1"}
