"""What every database promises of minute candles (marketdata/storage/promises/candles.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.storage import TickKey
from marketdata.types.tick_arrays import ABSENT
from tests import market
from tests.contract.rows import merge, new_symbol, on_one_database, read_bars
from tests.market import MINUTE_US, NINE_US, tick_id

# Few different times, prices and sizes, so that many are equal; ids differ, as they do in life.
_trade = st.fixed_dictionaries(
    {
        "time_us": st.sampled_from([0, 0, 1, 59_999_999, 60_000_000, 60_000_001, 185_000_000]).map(NINE_US.__add__),
        "price": st.one_of(st.sampled_from([1, 10**8, 7 * 10**12, 7 * 10**12 + 1]), st.integers(1, 10**14)),
        "size": st.one_of(st.sampled_from([0, 1, 10**6, ABSENT]), st.integers(0, 10**11)),
    }
)


class CandleContract:
    """Merged from parts in any order, and read by their minute."""

    @given(st.data())
    @on_one_database
    def test_any_split_in_any_order_gives_the_candles_of_the_whole(self, store, data):
        symbol = new_symbol()
        rows = data.draw(st.lists(_trade, min_size=1, max_size=24))
        whole = market.ticks([{**row, "symbol": symbol, "tick_id": at} for at, row in enumerate(rows)])
        owner = data.draw(st.lists(st.integers(0, 5), min_size=len(whole), max_size=len(whole)))
        order = data.draw(st.permutations(sorted(set(owner))))
        inside = data.draw(st.permutations(range(len(whole))))
        batches = [market.shuffled(whole, [at for at in inside if owner[at] == number]) for number in order]

        answers = [merge(store, batch) for batch in batches]

        stored = market.candles(read_bars(store, symbol))
        assert stored == market.candles_by_hand([whole])
        told = {(one.symbol, one.minute_us): one for answer in answers for one in market.candles(answer)}
        assert sorted(told.values()) == stored

    def test_a_merge_tells_each_candle_as_it_will_be_committed(self, store):
        merge(store, market.ticks([{"price": market.price("70000")}]))

        told = merge(store, market.ticks([{"price": market.price("71000"), "tick_id": tick_id(2, 0)}]))

        assert market.candles(told) == market.candles(read_bars(store))
        assert told.n.tolist() == [2]
        assert told.high.tolist() == [market.price("71000")]

    def test_open_and_close_follow_event_time_and_then_the_order_of_the_source(self, store):
        late, early = tick_id(9, 0), tick_id(1, 5)
        merge(store, market.ticks([{"tick_id": late, "price": 9}]))
        merge(store, market.ticks([{"tick_id": early, "price": 1}]))

        bar = read_bars(store)

        assert (bar.open.tolist(), bar.close.tolist()) == ([1], [9])

    def test_the_sums_of_a_candle_stay_exact_where_floats_would_not(self, store):
        heavy = {"price": market.price("999999.99999999"), "size": market.size("999999999.999999")}
        batches = [market.ticks([{**heavy, "tick_id": tick_id(seq, row)} for row in range(3)]) for seq in range(1, 5)]

        for batch in batches:
            merge(store, batch)

        assert market.candles(read_bars(store)) == market.candles_by_hand(batches)

    def test_a_candle_keeps_every_digit_of_a_price_and_a_volume(self, store):
        prices = ["999999999.12345678", "999999999.87654321", "99999999.99999999", "123456789.01234567"]
        sizes = ["999999.999999", "0.000001", "9999999999.999999", "123456789012.345678"]
        batches = [
            market.ticks(
                [{"price": market.price(one), "size": market.size("0.000001"), "tick_id": tick_id(seq, row)}
                 for row, one in enumerate(prices)]
                + [{"price": market.price("0.00000001"), "size": market.size(one), "tick_id": tick_id(seq, row + 9)}
                   for row, one in enumerate(sizes)]
            )
            for seq in range(1, 4)
        ]  # fmt: skip

        for batch in batches:
            merge(store, batch)

        assert market.candles(read_bars(store)) == market.candles_by_hand(batches)

    def test_ticks_in_order_leave_the_revision_at_zero(self, store):
        for seq in range(1, 4):
            merge(store, market.ticks([{"time_us": NINE_US + seq, "tick_id": tick_id(seq, 0)}]))

        assert read_bars(store).rev.tolist() == [0]

    def test_a_tick_out_of_order_is_no_revision_while_the_candle_is_open(self, store):
        merge(store, market.ticks([{"time_us": NINE_US + 5}]))

        told = merge(store, market.ticks([{"time_us": NINE_US + 4, "tick_id": tick_id(2, 0)}]))

        assert told.rev.tolist() == [0]
        assert read_bars(store).rev.tolist() == [0]

    def test_a_late_tick_raises_the_revision_though_it_is_in_order(self, store):
        late = {"now_us": NINE_US + 10 * MINUTE_US, "late_after_us": 5_000_000}
        merge(store, market.ticks([{}]), now_us=NINE_US + 1, late_after_us=5_000_000)

        told = merge(store, market.ticks([{"time_us": NINE_US + 1, "tick_id": tick_id(2, 0)}]), **late)

        assert told.rev.tolist() == [1]

    def test_no_candle_at_all_merges_to_nothing(self, store):
        told = merge(store, market.ticks([{"kind": 2, "bid": 1}]))

        assert len(told) == 0
        assert store.series() == []

    def test_candles_of_many_symbols_are_merged_at_once(self, store):
        batch = market.ticks([{"symbol": f"{at % 150:06d}", "price": at + 1} for at in range(600)])

        merge(store, batch)
        told = merge(store, market.ticks([{"symbol": f"{at:06d}", "tick_id": tick_id(2, at)} for at in range(150)]))

        assert told.n.tolist() == [5] * 150
        assert sorted(told.symbols) == [f"{at:06d}" for at in range(150)]

    def test_candles_of_symbols_with_signs_that_mean_something_in_sql_are_merged(self, store):
        odd = [r"it's \ 100%", '"a", {b}', "NULL", "%s"]
        for batch in (1, 2):
            told = merge(store, market.ticks([
                {"symbol": symbol, "tick_id": tick_id(batch, at)} for at, symbol in enumerate(odd)
            ]))  # fmt: skip

        assert sorted(told.symbols) == sorted(odd)
        assert [read_bars(store, symbol).n.tolist() for symbol in odd] == [[2]] * len(odd)

    def test_a_symbol_without_a_candle_does_not_matter_however_it_is_written(self, store):
        odd = market.ticks([{"symbol": r"it's \ 100%"}, {"symbol": "005930", "tick_id": tick_id(2, 0)}])

        told = merge(store, odd.take(odd.tick_id == tick_id(2, 0)))

        assert told.n.tolist() == [1]

    @pytest.mark.parametrize("ascending", [True, False])
    def test_pages_show_every_candle_once(self, store, ascending):
        merge(store, market.ticks([{"time_us": NINE_US + at * MINUTE_US} for at in range(7)]))

        seen: list[int] = []
        for _ in range(4):
            page = read_bars(store, after=self._key(seen), limit=3, ascending=ascending)
            assert len(page) <= 3
            seen += page.time_us.tolist()

        assert seen == sorted((NINE_US + at * MINUTE_US for at in range(7)), reverse=not ascending)

    @pytest.mark.parametrize("ascending", [True, False])
    def test_few_candles_of_many_years_are_read_in_order_from_either_end(self, store, ascending):
        days = [-4_000, -400, -100, -65, -17, -16, -1, 0, 3, 30, 3_000]
        times = [NINE_US + day * market.DAY_US for day in days]
        merge(store, market.ticks([{"time_us": time_us} for time_us in times]))

        for limit in (1, 2, 11, 12):
            seen: list[int] = []
            while page := read_bars(store, after=self._key(seen), limit=limit, ascending=ascending).time_us.tolist():
                assert len(page) <= limit
                seen += page
            assert seen == sorted(times, reverse=not ascending), limit

    def _key(self, seen: list[int]) -> TickKey | None:
        return TickKey("005930", seen[-1]) if seen else None

    def test_candles_are_bounded_by_their_minute(self, store):
        merge(store, market.ticks([{"time_us": NINE_US + at * MINUTE_US} for at in range(4)]))

        found = read_bars(store, start_us=NINE_US + MINUTE_US, end_us=NINE_US + 3 * MINUTE_US)

        assert found.time_us.tolist() == [NINE_US + MINUTE_US, NINE_US + 2 * MINUTE_US]

    def test_every_series_with_a_candle_is_named_once(self, store):
        merge(store, market.ticks([{"symbol": "B"}, {"symbol": "A"}, {"symbol": "A", "time_us": NINE_US + MINUTE_US}]))
        merge(store, market.ticks([{"symbol": "A"}], feed="nxt"))

        assert store.series() == [("A", "krx"), ("A", "nxt"), ("B", "krx")]
