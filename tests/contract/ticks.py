"""What every database promises of ticks (marketdata/storage/promises/ticks.py)."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from marketdata.storage import Storage, TickKey
from marketdata.storage.base import HISTORY, TEMP, Span
from marketdata.storage.mariadb.load_data import MANY_ROWS
from marketdata.types.tick_arrays import ABSENT, GREATEST, TICK_BITS, Ticks
from marketdata.types.units import EPOCH_DATE
from tests import market
from tests.contract.rows import NULLABLE, load, make_room, merge, new_symbol, on_one_database, read, read_bars
from tests.market import NINE_US, price, size, tick_id


class TickContract:
    """Stored once, to the last digit, and read in order."""

    def test_a_batch_loaded_twice_is_stored_once(self, store):
        batch = market.ticks([{"price": market.price("70000")}, {"price": market.price("70100")}])

        first, second = load(store, batch), load(store, batch)

        assert (first, second) == (2, 0)
        assert market.same(read(store), batch)

    def test_two_equal_trades_in_one_microsecond_are_two_trades(self, store):
        twins = market.ticks([{}, {}])

        load(store, twins)

        assert len(read(store)) == 2

    def test_few_ticks_that_come_with_their_candles_are_stored_whatever_is_in_them(self, store):
        odd = [r"it's \ 100%", '"a", {b}', "NULL", "%s", "A"]
        rows = [
            {"symbol": symbol, "price": price_, "size": size_, "side": at % 3, "kind": 1 + at % 3, "seq": at or ABSENT}
            for at, (symbol, price_, size_) in enumerate(
                itertools.product(odd, [1, -(10**8), 7 * 10**12, GREATEST], [ABSENT, 0, 1, 10**6])
            )
        ]
        batch, bars = market.ticks(rows), candles.build(market.ticks([{}]))
        with store.transaction():
            stored, merged = store.load_and_merge(TEMP, batch, bars)

        assert (stored, merged.n.tolist()) == (len(rows), [1])
        for symbol in odd:
            sent = [dict(row, tick_id=tick_id(1, at)) for at, row in enumerate(rows) if row["symbol"] == symbol]
            assert market.same(read(store, symbol), market.ticks(sent))

    def test_of_few_ticks_that_come_with_their_candles_those_that_are_there_are_left_out(self, store):
        load(store, market.ticks([{"price": market.price("70000")}]))

        with store.transaction():
            again = market.ticks([{"price": market.price("1")}, {"tick_id": tick_id(2, 0)}])
            stored, merged = store.load_and_merge(TEMP, again, candles.build(again))

        assert (stored, merged.n.tolist()) == (1, [2])
        assert read(store).price.tolist() == [market.price("70000")] * 2

    def test_a_row_that_is_there_is_left_as_it_is(self, store):
        load(store, market.ticks([{"price": market.price("70000")}]))

        stored = load(store, market.ticks([{"price": market.price("1")}, {"tick_id": tick_id(2, 0)}]))

        assert stored == 1
        assert read(store).price.tolist() == [market.price("70000"), market.price("70000")]

    @pytest.mark.parametrize("value", [GREATEST, GREATEST - 1, 1, 0, -1, -GREATEST, 12_345_678_987_654_321])
    def test_a_decimal_is_kept_to_its_last_digit(self, store, value):
        names = [name for name in NULLABLE if name != "seq"]
        batch = market.ticks([dict.fromkeys(names, value)])

        load(store, batch)

        assert market.same(read(store), batch)

    @pytest.mark.parametrize("seq", [2**63 - 1, -(2**63) + 1, 0])
    def test_a_sequence_of_the_source_is_kept_whole(self, store, seq):
        load(store, market.ticks([{"seq": seq}]))

        assert read(store).seq.tolist() == [seq]

    @pytest.mark.parametrize("absent", [*NULLABLE, "everything", "nothing"])
    def test_what_was_not_given_stays_absent(self, store, absent):
        whole = dict.fromkeys(NULLABLE, 5)
        missing = {"nothing": [], "everything": NULLABLE}.get(absent, [absent])
        batch = market.ticks([whole, whole | dict.fromkeys(missing, ABSENT)])

        load(store, batch)

        assert market.same(read(store), batch)

    def test_kind_side_source_and_trading_date_come_back(self, store):
        kinds = [{"kind": kind, "side": side} for kind in (1, 2, 3, 4) for side in (0, 1, 2)]
        batch = market.ticks([{"trade_date": 20_530, **row, "tick_id": index} for index, row in enumerate(kinds)])
        make_room(store, batch)

        load(store, batch)

        assert market.same(read(store), batch)
        assert read(store).source_id == batch.source_id

    @given(st.data())
    @on_one_database
    def test_any_tick_comes_back_as_it_went_in(self, store, data):
        number = st.one_of(st.just(ABSENT), st.integers(-GREATEST, GREATEST))
        column = {name: number for name in NULLABLE if name != "seq"} | {"seq": st.integers(-(2**63), 2**63 - 1)}
        row = st.fixed_dictionaries(
            {
                **column,
                "kind": st.integers(1, 4),
                "side": st.integers(0, 2),
                "time_us": st.integers(NINE_US - 10**9, NINE_US + 10**9),
            }
        )
        symbol = new_symbol()
        drawn = data.draw(st.lists(row, min_size=1, max_size=8))
        batch = market.ticks([{**one, "symbol": symbol, "tick_id": at} for at, one in enumerate(drawn)])

        assert load(store, batch) == len(batch)

        found = read(store, symbol)
        assert market.rows_of(found) == sorted(market.rows_of(batch), key=lambda one: (one["time_us"], one["tick_id"]))

    def test_many_ticks_at_once_come_back_as_they_went_in(self, store):
        random = Random(1)
        numbers = (ABSENT, GREATEST, -GREATEST, 0, -1, 1, 5 * 10**7, 70_000 * 10**8)
        codes = ["005930", "BRK.B", "\\", "B\\N", "x" * 24]
        rows = [
            {
                **{name: random.choice([*numbers, random.randint(-GREATEST, GREATEST)]) for name in NULLABLE},
                "symbol": random.choice(codes),
                "kind": random.randint(1, 4),
                "side": random.randint(0, 2),
                "time_us": NINE_US + random.randint(-(10**9), 10**9),
                "tick_id": at,
                "trade_date": random.choice([20_528, 20_529]),
            }
            for at in range(3 * MANY_ROWS)
        ]
        batch = market.ticks(rows)
        make_room(store, batch)

        assert load(store, batch) == len(batch)

        wanted = sorted(market.rows_of(batch), key=lambda one: (one["symbol"], one["time_us"], one["tick_id"]))
        assert [row for code in sorted(codes) for row in market.rows_of(read(store, code))] == wanted

    def test_symbols_that_differ_only_in_case_are_two(self, store):
        codes = ["brk.b", "BRK.B", "0001A0", "0001a0", "A/B", "A:B", "x" * 24]

        load(store, market.ticks([{"symbol": code, "price": at + 1} for at, code in enumerate(codes)]))

        assert [read(store, code).price.tolist() for code in codes] == [[at + 1] for at in range(len(codes))]

    def test_feeds_of_one_symbol_are_never_mixed(self, store):
        load(store, market.ticks([{"price": 1}], feed="krx"))
        load(store, market.ticks([{"price": 2, "tick_id": tick_id(2, 0)}], feed="nxt"))

        assert read(store, feed="krx").price.tolist() == [1]
        assert read(store, feed="nxt").price.tolist() == [2]
        assert len(read(store, feed="unified")) == 0

    @pytest.mark.parametrize("time_us", [631_152_000_000_000, 4_102_444_799_999_999, NINE_US + 1])
    def test_a_time_is_kept_to_the_microsecond(self, store, time_us):
        batch = market.ticks([{"time_us": time_us}])
        make_room(store, batch)

        load(store, batch)

        assert read(store).time_us.tolist() == [time_us]

    def test_the_start_is_included_and_the_end_is_not(self, store):
        load(store, market.ticks([{"time_us": NINE_US + at} for at in range(4)]))

        found = read(store, start_us=NINE_US + 1, end_us=NINE_US + 3)

        assert found.time_us.tolist() == [NINE_US + 1, NINE_US + 2]

    @pytest.mark.parametrize(("start_us", "end_us"), [(-(2**63) + 1, 2**63 - 1), (NINE_US, NINE_US)])
    def test_a_question_may_reach_further_than_time_or_nowhere(self, store, start_us, end_us):
        load(store, market.ticks([{}]))
        merge(store, market.ticks([{}]))

        assert len(read(store, start_us=start_us, end_us=end_us)) == (start_us != end_us)
        assert len(read_bars(store, start_us=start_us, end_us=end_us)) == (start_us != end_us)

    def test_only_the_kind_asked_for_is_read(self, store):
        load(store, market.ticks([{"kind": 1}, {"kind": 2, "bid": 5}, {"kind": 3, "price": 5}]))

        assert read(store, kind=2).bid.tolist() == [5]
        assert len(read(store, kind=None)) == 3

    @pytest.mark.parametrize("ascending", [True, False])
    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages_show_every_tick_once_even_among_equal_times(self, store, ascending, limit):
        times = [0, 0, 0, 1, 1, 2, 2, 2, 2]
        batch = market.ticks([{"time_us": NINE_US + at, "tick_id": tick_id(9 - i, i)} for i, at in enumerate(times)])
        load(store, batch)

        pages = list(self._pages(store, ascending, limit))

        seen = [(t, i) for page in pages for t, i in zip(page.time_us.tolist(), page.tick_id.tolist(), strict=True)]
        every = zip(batch.time_us.tolist(), batch.tick_id.tolist(), strict=True)
        assert seen == sorted(every, reverse=not ascending)
        assert all(len(page) <= limit for page in pages)

    @pytest.mark.parametrize("ascending", [True, False])
    def test_chosen_columns_are_those_of_the_whole_ticks(self, store, ascending):
        rows = [
            {"time_us": NINE_US + at // 2, "tick_id": tick_id(1, at), "price": price("70000.5") + at, "side": at % 3}
            for at in range(5)
        ]
        rows[2] |= {"size": ABSENT, "cum_volume": size("7.000001")}
        load(store, market.ticks(rows))
        after = TickKey("005930", NINE_US, tick_id(1, 1)) if ascending else None
        how = {"kind": 1, "after": after, "limit": 3, "ascending": ascending}

        whole = read(store, **how)
        some = read(store, columns=("side", "price", "size", "cum_volume", "trade_date"), **how)

        for name in ("time_us", "tick_id", "symbol", "side", "price", "size", "cum_volume", "trade_date"):
            assert getattr(some, name).tolist() == getattr(whole, name).tolist(), name
        assert (some.symbols, some.feed, len(some)) == (whole.symbols, whole.feed, 3)
        assert set(some.bid.tolist()) == {ABSENT}
        assert len(read(store, "NOBODY", columns=("price",))) == 0

    @pytest.mark.parametrize("ascending", [True, False])
    @pytest.mark.parametrize("days_ago", [0, 3])
    @pytest.mark.parametrize("spread", ["history", "temp", "in turns", "late", "early"])
    def test_a_page_of_chosen_columns_has_every_tick_in_order_whichever_table_it_lies_in(
        self, store, spread, days_ago, ascending
    ):
        begins_us = time.time_ns() // 1000 - days_ago * market.DAY_US
        day = market.ticks([{"time_us": begins_us}]).trade_date[0]
        rows = [
            {"time_us": begins_us + at // 2, "tick_id": tick_id(1, at), "size": size(str(at + 1)), "trade_date": day}
            for at in range(8)
        ]
        held = {"history": range(0), "temp": range(8), "in turns": range(0, 8, 2), "late": (1,), "early": (7,)}[spread]
        make_room(store, market.ticks(rows))
        store.ensure_partitions([EPOCH_DATE + timedelta(days=int(day))], (TEMP, HISTORY))
        with store.transaction():
            store.load(TEMP, market.ticks([rows[at] for at in held]))
        with store.transaction():
            store.load(HISTORY, market.ticks([row for at, row in enumerate(rows) if at not in held]))
        ordered = rows if ascending else rows[::-1]

        for limit, had in itertools.product((1, 3, 7, 8, 9), (0, 2, 5)):
            last = ordered[had - 1]
            after = TickKey("005930", last["time_us"], last["tick_id"]) if had else None
            edge = {"start_us" if ascending else "end_us": begins_us + (0 if ascending else 4)}
            page = read(store, columns=("size",), limit=limit, after=after, ascending=ascending, **edge)
            assert page.size.tolist() == [row["size"] for row in ordered[had : had + limit]], (limit, had)

    @pytest.mark.parametrize("ascending", [True, False])
    def test_few_ticks_of_many_years_are_read_in_order_from_either_end(self, store, ascending):
        days = [-4_000, -400, -399, -100, -17, -5, -4, -1, 0, 0, 3, 30, 300, 3_000]
        rows = [
            {"time_us": NINE_US + day * market.DAY_US, "tick_id": tick_id(1, at), "kind": 1 + at % 2}
            for at, day in enumerate(days)
        ]
        load(store, market.ticks(rows))

        for limit, kind in itertools.product((1, 2, 5, 14, 15), (None, 1)):
            ordered = [row for row in (rows if ascending else rows[::-1]) if kind in (None, row["kind"])]
            after, seen = None, list[int]()
            while page := read(store, after=after, limit=limit, ascending=ascending, kind=kind).tick_id.tolist():
                assert len(page) <= limit
                seen += page
                last = next(row for row in rows if row["tick_id"] == page[-1])
                after = TickKey("005930", last["time_us"], last["tick_id"])
            assert seen == [row["tick_id"] for row in ordered], (limit, kind)

    def _pages(self, store: Storage, ascending: bool, limit: int) -> Iterator[Ticks]:
        after = None
        for _ in range(20):
            page = read(store, after=after, limit=limit, ascending=ascending)
            if not len(page):
                return
            yield page
            after = TickKey("005930", int(page.time_us[-1]), int(page.tick_id[-1]))
        raise AssertionError("pages without end")

    def test_stretches_are_read_of_all_batches_or_of_those_that_are_wanted_alone(self, store):
        rows = [{"tick_id": tick_id(seq, 0), "time_us": NINE_US + seq} for seq in range(1, 6)]
        load(store, market.ticks(rows))
        spans = [Span("005930", NINE_US // market.DAY_US, NINE_US, NINE_US + 3)]
        wanted = [tick_id(seq, 0) >> TICK_BITS for seq in (1, 3, 4)]

        (whole,), (some,) = store.read_spans("krx", spans), store.read_spans("krx", spans, batches=wanted)

        assert sorted((whole.time_us - NINE_US).tolist()) == [1, 2, 3]
        assert sorted((some.time_us - NINE_US).tolist()) == [1, 3]

    def test_loading_leaves_no_file_and_no_handle_behind(self, store, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        load(store, market.ticks([{"tick_id": 1}]))
        before = self._handles()

        for at in range(2, 12):
            load(store, market.ticks([{"tick_id": at}]))

        assert self._handles() == before
        assert list(tmp_path.iterdir()) == []

    def _handles(self) -> int:
        return len(list(Path("/proc/self/fd").iterdir()))
