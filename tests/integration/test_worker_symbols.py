"""What a worker knows of symbols and sources, and how soon it learns that something changed."""

import pytest

from marketdata.models import Market, Source, Symbol
from marketdata.reference.symbols import Directory
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def directory(road_database: None, clock: FakeClock) -> Directory:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    return Directory(keep_s=30.0, retry_s=1.0, clock=clock)


def test_a_symbol_trades_by_the_rules_of_its_market(directory):
    Symbol.objects.create(code="ESH6", market=Market.objects.get(code="CME"))

    rules = directory.find(["005930", "ESH6", "999999"])

    assert set(rules) == {"005930", "ESH6"}
    assert (rules["005930"].timezone, rules["005930"].trade_date_shift_s) == ("Asia/Seoul", 0)
    assert (rules["ESH6"].timezone, rules["ESH6"].trade_date_shift_s) == ("America/Chicago", 7 * 3600)


def test_what_is_known_is_not_asked_again_for_half_a_minute(directory, clock, django_assert_num_queries):
    directory.find(["005930"])
    clock.advance(30.0)

    with django_assert_num_queries(0):
        directory.find(["005930"])


def test_an_unknown_symbol_is_asked_for_once_a_second_and_not_once_a_batch(directory, clock, django_assert_num_queries):
    directory.find(["999999"])
    clock.advance(1.0)

    with django_assert_num_queries(0):
        directory.find(["999999"])
    Symbol.objects.create(code="999999", market=Market.objects.get(code="KRX"))
    clock.advance(0.1)

    assert "999999" in directory.find(["999999"])


def test_a_symbol_switched_off_is_noticed_within_half_a_minute(directory, clock):
    directory.find(["005930"])
    Symbol.objects.update(is_active=False)

    before = directory.find(["005930"])["005930"].is_active
    clock.advance(30.1)

    assert (before, directory.find(["005930"])["005930"].is_active) == (True, False)


def test_a_symbol_registered_by_a_replay_belongs_to_the_market_it_named(directory):
    directory.register(["ESH6", "005930", "A,B", "x" * 25], "CME", "replay")

    assert directory.find(["ESH6"])["ESH6"].timezone == "America/Chicago"
    assert Symbol.objects.get(code="ESH6").primary_feed == "replay"
    assert Symbol.objects.get(code="005930").market_id == "KRX"
    assert Symbol.objects.count() == 2


def test_a_code_that_lost_its_zeros_is_not_registered_as_another_symbol(directory):
    directory.register(["5930", "A000660", "00499k", "00499K", "Q500001", "101V3000"], "KRX", "krx")

    assert set(Symbol.objects.values_list("code", flat=True)) == {"005930", "00499K", "Q500001", "101V3000"}


def test_nothing_is_registered_in_a_market_that_does_not_exist(directory):
    directory.register(["ESH6"], "MARS", "replay")

    assert Symbol.objects.count() == 1


def test_a_replay_may_be_of_any_age_and_a_live_source_may_not(directory):
    ages = {source.code: directory.max_age_s(source.pk) for source in Source.objects.all()}

    assert ages["REPLAY"] is None
    assert ages["KIS"] == 7 * 86_400
    with pytest.raises(KeyError):
        directory.max_age_s(999)
