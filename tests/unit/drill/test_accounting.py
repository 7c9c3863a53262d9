"""The drill must be able to fail: each way in which a row or a candle can be wrong is found and counted."""

import random
from fractions import Fraction

import pytest

from tests.drill import accounting
from tests.drill.accounting import Candle, Candles, Series, Tick

MINUTE = 1_795_315_920_000_000
WON, SHARE = 10**8, 10**6


def trade(price=70_000, size=5, *, after_us=0, symbol="S00001", feed="sim", seq=1):
    return Tick(
        feed, symbol, MINUTE + after_us, 1, price * WON, size * SHARE, 1, seq, None, None, None, None, None
    )  # fmt: skip


@pytest.fixture
def sent():
    return {(1, seq, index): trade(70_000 + seq, index + 1, after_us=seq) for seq in (1, 2, 3) for index in range(4)}


def counts(account):
    return account.lost, account.duplicated, account.rejected


def test_what_was_sent_and_is_stored_balances(sent):
    account = accounting.rows(sent, sent.items())

    assert counts(account) == (0, 0, 0)
    assert (account.sent, account.stored, account.examples) == (12, 12, [])


def test_a_row_that_is_not_stored_is_lost(sent):
    stored = dict(sent)
    del stored[1, 2, 3]

    account = accounting.rows(sent, stored.items())

    assert counts(account) == (1, 0, 0)
    assert "(1, 2, 3)" in account.examples[0]


def test_a_whole_batch_that_is_not_stored_is_lost_row_by_row(sent):
    account = accounting.rows(sent, [(key, tick) for key, tick in sent.items() if key[1] != 2])

    assert counts(account) == (4, 0, 0)


def test_a_row_stored_twice_is_doubled(sent):
    account = accounting.rows(sent, [*sent.items(), ((1, 3, 0), sent[1, 3, 0])])

    assert counts(account) == (0, 1, 0)


def test_a_batch_stored_again_under_another_number_is_doubled(sent):
    again = [((1, 4, index), sent[1, 3, index]) for index in range(4)]

    assert counts(accounting.rows(sent, [*sent.items(), *again])) == (0, 4, 0)


def test_two_equal_trades_are_two_trades_and_losing_one_is_a_loss():
    sent = {(1, 1, 0): trade(), (1, 1, 1): trade()}

    assert counts(accounting.rows(sent, sent.items())) == (0, 0, 0)
    assert counts(accounting.rows(sent, [((1, 1, 0), trade())])) == (1, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": 70_001 * WON + 1},
        {"size": 2 * SHARE},
        {"time_us": MINUTE},
        {"symbol": "S00002"},
        {"feed": "krx"},
        {"side": None},
        {"seq": 2},
        {"kind": 3},
        {"cum_volume": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_row_stored_with_other_content_is_lost_and_one_nobody_sent_is_there(sent, wrong):
    stored = dict(sent)
    stored[1, 1, 0] = stored[1, 1, 0]._replace(**wrong)

    assert counts(accounting.rows(sent, stored.items())) == (1, 1, 0)


def test_a_row_stored_under_another_terminals_name_is_lost_and_doubled(sent):
    stored = [((2, *key[1:]) if key == (1, 1, 1) else key, tick) for key, tick in sent.items()]

    assert counts(accounting.rows(sent, stored)) == (1, 1, 0)


def test_a_row_refused_with_a_reason_is_not_lost_but_told(sent):
    stored = [(key, tick) for key, tick in sent.items() if key != (1, 1, 1)]

    assert counts(accounting.rows(sent, stored, {(1, 1, 1)})) == (0, 0, 1)


def test_a_row_refused_and_stored_all_the_same_is_wrong(sent):
    assert counts(accounting.rows(sent, sent.items(), {(1, 1, 1)})) == (0, 1, 1)


def test_a_tick_id_holds_stream_seq_and_place():
    assert accounting.of_key((7 << 32 | 123) << 13 | 4_999) == (7, 123, 4_999)


def built(ticks):
    candles = Candles()
    for place, tick in enumerate(ticks):
        candles.add((1, 1, place), "2026-11-22", tick)
    return candles.all()


def test_a_candle_is_what_a_person_would_reckon():
    made = built(
        [trade(100, 2, after_us=0), trade(130, 1, after_us=5), trade(90, 4, after_us=9), trade(120, 3, after_us=9)]
    )

    series = Series("S00001", "sim", MINUTE, "2026-11-22")
    value = (100 * 2 + 130 * 1 + 90 * 4 + 120 * 3) * WON * SHARE
    assert made == {series: Candle(100 * WON, 130 * WON, 90 * WON, 120 * WON, 10 * SHARE, value, 4)}


def test_a_candle_does_not_depend_on_the_order_of_reading():
    chance = random.Random(3)
    ticks = [
        (
            (chance.randint(1, 3), seq, 0),
            trade(chance.randint(90, 110), chance.randint(1, 9), after_us=chance.randint(0, 30)),
        )
        for seq in range(200)
    ]
    first, second = Candles(), Candles()
    for key, tick in ticks:
        first.add(key, "2026-11-22", tick)

    chance.shuffle(ticks)
    for key, tick in ticks:
        second.add(key, "2026-11-22", tick)

    assert first.all() == second.all()


def test_minutes_symbols_feeds_and_trading_dates_have_candles_of_their_own():
    candles = Candles()
    for place, (date, tick) in enumerate(
        [
            ("2026-11-22", trade()),
            ("2026-11-22", trade(after_us=60_000_000)),
            ("2026-11-22", trade(symbol="S00002")),
            ("2026-11-22", trade(feed="krx")),
            ("2026-11-23", trade()),
        ]
    ):
        candles.add((1, 1, place), date, tick)

    assert len(candles.all()) == 5


def test_a_quote_makes_no_candle():
    assert built([trade()._replace(kind=2, price=None, size=None, bid=WON, ask=2 * WON)]) == {}


def test_values_are_exact_beyond_what_a_float_or_a_short_decimal_holds():
    made = built([trade(999_999_999, 99_999_999, after_us=place) for place in range(3)])

    (candle,) = made.values()
    assert candle.value == 3 * 999_999_999 * 99_999_999 * 10**14
    assert Fraction(candle.value, 10**14) == 3 * 999_999_999 * 99_999_999


@pytest.mark.parametrize("field", Candle._fields)
def test_a_candle_with_one_wrong_number_is_a_mismatch(field):
    expected = built([trade(100, 2), trade(130, 1, after_us=1)])
    stored = {series: candle._replace(**{field: getattr(candle, field) + 1}) for series, candle in expected.items()}

    assert accounting.mismatches(expected, expected.items()) == []
    assert len(accounting.mismatches(expected, stored.items())) == 1


def test_a_candle_that_is_missing_stored_twice_or_of_no_trade_is_a_mismatch():
    expected = built([trade()])
    nothing = {Series("S00009", "sim", MINUTE, "2026-11-22"): Candle(1, 1, 1, 1, 1, 1, 1)}

    assert len(accounting.mismatches(expected, [])) == 1
    assert len(accounting.mismatches(expected, [*expected.items(), *expected.items()])) == 1
    assert len(accounting.mismatches(expected, [*expected.items(), *nothing.items()])) == 1


def test_a_batch_counted_twice_into_a_candle_is_a_mismatch():
    ticks = [trade(100, 2), trade(130, 1, after_us=1)]

    assert len(accounting.mismatches(built(ticks), built(ticks * 2).items())) == 1


def test_one_reading_serves_rows_and_candles(sent):
    candles = Candles()

    account = accounting.rows(
        sent, accounting.through(((key, "2026-11-22", tick) for key, tick in sent.items()), candles)
    )

    assert counts(account) == (0, 0, 0)
    assert sum(candle.n for candle in candles.all().values()) == 12


@pytest.mark.parametrize(
    ("numbers", "found"),
    [([], 0), ([1, 2, 3], 0), ([1, 3, 4], 1), ([1, 2, 2, 3], 1), ([2, 3], 1), ([1, None, 3], 1), ([1, 5, 9], 2)],
)
def test_a_source_that_skips_or_repeats_after_a_kill_is_noticed(numbers, found):
    assert accounting.breaks(numbers) == found


@pytest.mark.parametrize(
    ("moments", "longest"), [([], 100), ([50], 50), ([10, 90, 20], 70), ([-5, 30, 300], 70), ([0, 100], 100)]
)
def test_the_longest_pause_counts_from_the_beginning_to_the_end(moments, longest):
    assert accounting.longest_pause_us(moments, begin=0, end=100) == longest


def test_an_order_book_is_lost_doubled_or_other_than_it_was_sent_like_any_row(sent):
    book = accounting.OrderBook("sim", "S00001", MINUTE, ((WON, SHARE),), (), (None,) * 6)
    other = book._replace(bids=((WON, 2 * SHARE),))
    all_sent = {**sent, (1, 9, 0): book, (1, 9, 1): book}

    assert counts(accounting.rows(all_sent, all_sent.items())) == (0, 0, 0)
    assert counts(accounting.rows(all_sent, [*sent.items(), ((1, 9, 0), book)])) == (1, 0, 0)
    assert counts(accounting.rows(all_sent, [*all_sent.items(), ((1, 9, 1), book)])) == (0, 1, 0)
    assert counts(accounting.rows(all_sent, [*sent.items(), ((1, 9, 0), book), ((1, 9, 1), other)])) == (1, 1, 0)


def test_a_snapshot_whose_day_is_not_stored_is_not_what_was_sent(sent):
    told = {(1, 9, 0): trade()._replace(kind=3, day=(1,) * 8)}

    assert counts(accounting.rows(told, [((1, 9, 0), trade()._replace(kind=3))])) == (1, 1, 0)


@pytest.mark.parametrize(("numbers", "count"), [([], 0), ([1, 2, 9], 0), ([1, 1], 1), ([5, 2, 3, None], 2)])
def test_a_numbering_that_goes_on_upwards_never_turns_back(numbers, count):
    assert accounting.turned_back(numbers) == count
