"""What every database promises (marketdata/storage/promises), told once. Each backend's class lives it."""

import datetime
import itertools
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from unittest import mock

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import candles
from ingest.recovery import Pending
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import AlreadyClaimedError, Claim
from marketdata.models import IngestBatch
from marketdata.storage import Storage, StorageBusyError, TickKey, storage
from marketdata.storage.base import EPOCH_DATE, TEMP, Blame, Span
from marketdata.storage.mariadb.load_data import MANY_ROWS
from marketdata.types.checksums import Figure
from marketdata.types.minute_bars import Bars
from marketdata.types.ticks import ABSENT, GREATEST, TICK_BITS, Ticks
from tests import market
from tests.market import MINUTE_US, NINE_US, price, size, tick_id

T = TypeVar("T")
FAR = 2**62
NULLABLE = ("price", "size", "seq", "bid", "ask", "bid_size", "ask_size", "cum_volume")
# One database for all examples of a property: each works on a symbol of its own.
on_one_database = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_numbers = itertools.count(1)


def new_symbol() -> str:
    return f"S{next(_numbers):05d}"


def load(store: Storage, ticks: Ticks) -> int:
    with store.transaction():
        return store.load("temp_market_data", ticks)


def merge(store: Storage, ticks: Ticks, **late: int) -> Bars:
    """Merge the candles that these ticks make, as a worker does."""
    with store.transaction():
        return store.merge_minutes(candles.build(ticks, **late))


def read(store: Storage, symbol: str = "005930", feed: str = "krx", **how: Any) -> Ticks:
    start_us, end_us = how.pop("start_us", -FAR), how.pop("end_us", FAR)
    return store.read_ticks(symbol, feed, start_us, end_us, **how)


def read_bars(store: Storage, symbol: str = "005930", feed: str = "krx", **how: Any) -> Bars:
    start_us, end_us = how.pop("start_us", -FAR), how.pop("end_us", FAR)
    return store.read_minutes(symbol, feed, start_us, end_us, **how)


def make_room(store: Storage, *ticks: Ticks) -> None:
    days = {day for part in ticks for day in part.trade_date.tolist()}
    store.ensure_partitions(EPOCH_DATE + datetime.timedelta(days=day) for day in days)


def elsewhere(job: Callable[[], T]) -> T:
    """Run on another connection, and close it."""

    def run() -> T:
        try:
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(timeout=60)


def claim_of(batch: int, **fields: Any) -> Claim:
    known: dict[str, Any] = {
        "state": "stored",
        "feed": "krx",
        "rows": 1,
        "stored": 1,
        "rejected": 0,
        "checksum": 7,
        "first_us": NINE_US,
        "last_us": NINE_US,
        "received_us": NINE_US,
        "committed_us": NINE_US,
    }
    return Claim(batch=batch, **{**known, **fields})


# Few different times, prices and sizes, so that many are equal; ids differ, as they do in life.
_trade = st.fixed_dictionaries(
    {
        "time_us": st.sampled_from([0, 0, 1, 59_999_999, 60_000_000, 60_000_001, 185_000_000]).map(NINE_US.__add__),
        "price": st.one_of(st.sampled_from([1, 10**8, 7 * 10**12, 7 * 10**12 + 1]), st.integers(1, 10**14)),
        "size": st.one_of(st.sampled_from([0, 1, 10**6, ABSENT]), st.integers(0, 10**11)),
    }
)


class StorageContract:
    """Promises of every backend."""

    vendor: str

    @pytest.fixture(autouse=True)
    def _the_database_is_the_one_meant(self, store: Storage) -> None:
        assert connection.vendor == self.vendor

    # --- ticks ------------------------------------------------------------------------------------------------------

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

    # --- reading ----------------------------------------------------------------------------------------------------

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

    def _pages(self, store: Storage, ascending: bool, limit: int) -> Iterator[Ticks]:
        after = None
        for _ in range(20):
            page = read(store, after=after, limit=limit, ascending=ascending)
            if not len(page):
                return
            yield page
            after = TickKey("005930", int(page.time_us[-1]), int(page.tick_id[-1]))
        raise AssertionError("pages without end")

    @pytest.mark.parametrize("ascending", [True, False])
    def test_pages_show_every_candle_once(self, store, ascending):
        merge(store, market.ticks([{"time_us": NINE_US + at * MINUTE_US} for at in range(7)]))

        seen: list[int] = []
        for _ in range(4):
            page = read_bars(store, after=self._key(seen), limit=3, ascending=ascending)
            assert len(page) <= 3
            seen += page.time_us.tolist()

        assert seen == sorted((NINE_US + at * MINUTE_US for at in range(7)), reverse=not ascending)

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

    def test_rows_are_counted_exactly(self, store):
        load(store, market.ticks([{} for _ in range(17)]))

        assert store.count("temp_market_data") == 17
        assert store.count("market_data_minute") == 0

    # --- candles ----------------------------------------------------------------------------------------------------

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

    # --- transactions -----------------------------------------------------------------------------------------------

    def test_a_transaction_that_fails_leaves_nothing_behind(self, store):
        def fail() -> None:
            with store.transaction():
                batch_ledger.claim([claim_of(1)])
                store.load("temp_market_data", market.ticks([{}]))
                store.merge_minutes(candles.build(market.ticks([{}])))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        tables = ("ingest_batch", "temp_market_data", "market_data_minute")
        assert [store.count(table) for table in tables] == [0, 0, 0]

    def test_a_transaction_is_seen_by_others_when_it_is_over_and_not_before(self, store):
        with store.transaction():
            store.load("temp_market_data", market.ticks([{}]))
            during = elsewhere(lambda: storage().count("temp_market_data"))

        after = elsewhere(lambda: storage().count("temp_market_data"))

        assert (during, after) == (0, 1)

    @pytest.mark.parametrize("where", ["_commit", "_rollback"])
    def test_a_transaction_whose_end_was_interrupted_is_no_part_of_the_next(self, store, where):
        """As when a task's time is up there: an error that is not the database's."""

        def interrupted() -> None:
            with mock.patch.object(connections["default"], where, side_effect=MemoryError), store.transaction():
                store.load("temp_market_data", market.ticks([{"tick_id": 1}]))
                if where == "_rollback":
                    raise StorageBusyError("to be taken back")

        load(store, market.ticks([{"tick_id": 2}]))
        with pytest.raises(MemoryError):
            interrupted()
        load(store, market.ticks([{"tick_id": 3}]))

        assert elsewhere(lambda: read(storage()).tick_id).tolist() == [2, 3]

    def test_a_transaction_that_was_interrupted_at_its_begin_is_not_begun_on_the_next_connection(self, store):
        database = connections["default"]
        begin = database.set_autocommit

        def interrupted(*given: Any, **named: Any) -> None:
            begin(*given, **named)
            raise MemoryError

        with mock.patch.object(database, "set_autocommit", interrupted), pytest.raises(MemoryError):
            store.transaction().__enter__()
        database.close()
        store.note_finished("krx")

        assert elsewhere(lambda: storage().revisions(["krx"])) == store.revisions(["krx"]) != ()

    def test_stretches_are_read_of_all_batches_or_of_those_that_are_wanted_alone(self, store):
        rows = [{"tick_id": tick_id(seq, 0), "time_us": NINE_US + seq} for seq in range(1, 6)]
        load(store, market.ticks(rows))
        spans = [Span("005930", NINE_US // market.DAY_US, NINE_US, NINE_US + 3)]
        wanted = [tick_id(seq, 0) >> TICK_BITS for seq in (1, 3, 4)]

        (whole,), (some,) = store.read_spans("krx", spans), store.read_spans("krx", spans, batches=wanted)

        assert sorted((whole.time_us - NINE_US).tolist()) == [1, 2, 3]
        assert sorted((some.time_us - NINE_US).tolist()) == [1, 3]

    def test_making_the_tables_again_changes_nothing(self, store):
        load(store, market.ticks([{}]))

        store.create_tables()

        assert len(read(store)) == 1

    def test_a_batch_can_be_claimed_once(self, store):
        with store.transaction():
            batch_ledger.claim([claim_of(1), claim_of(2)])

        def again() -> None:
            with store.transaction():
                batch_ledger.claim([claim_of(3), claim_of(2, checksum=8)])

        with pytest.raises(AlreadyClaimedError):
            again()
        assert batch_ledger.checksums([1, 2, 3]) == {1: 7, 2: 7}

    @pytest.mark.parametrize("there", [[claim_of(2)], []])
    def test_what_a_commit_notes_is_noted_together_or_not_at_all(self, store, there):
        days = {(2, 20_000): Figure(1, 1), (3, 20_000): Figure(1, 1)}
        also = batch_ledger.Rows("feed_pending", Pending._fields, [(3, "krx", 1, 1, b"")], key="batch")
        with store.transaction():
            batch_ledger.claim(there)
            batch_ledger.claim_days({(2, 20_000): Figure(1, 1)} if not there else {})

        def again() -> None:
            with store.transaction():
                batch_ledger.claim_together([claim_of(2), claim_of(3)], days, also)

        with pytest.raises(AlreadyClaimedError):
            again()
        assert [store.count(table) for table in ("ingest_batch", "ingest_batch_day", "feed_pending")] == [
            len(there), 1 - len(there), 0,
        ]  # fmt: skip
        with store.transaction():
            batch_ledger.claim_together([claim_of(3)], {(3, 20_000): Figure(1, 1)}, also, also)
        assert store.count("feed_pending") == 1

    def test_of_two_workers_that_claim_one_batch_at_once_one_stores_it(self, store):
        def work() -> bool:
            try:
                with storage().transaction():
                    batch_ledger.claim([claim_of(5), claim_of(6)])
                    storage().load("temp_market_data", market.ticks([{}]))
                    merged = storage().merge_minutes(candles.build(market.ticks([{}])))
                return bool(merged.n.tolist() == [1])
            except AlreadyClaimedError:
                return False
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            won = [one.result(timeout=60) for one in [pool.submit(work) for _ in range(4)]]

        assert sorted(won) == [False, False, False, True]
        assert read_bars(store).n.tolist() == [1]
        assert IngestBatch.objects.count() == 2

    def test_an_error_of_the_statement_itself_is_not_worth_another_try(self, store):
        def wrong() -> None:
            with store.transaction(), connection.cursor() as cursor:
                cursor.execute("SELECT nonsense FROM nowhere")

        with pytest.raises(DatabaseError) as caught:
            wrong()

        assert not store.is_transient(caught.value)
        assert not store.is_transient(IntegrityError(1062, "Duplicate entry"))
        assert not store.is_transient(ZeroDivisionError("locked"))

    def test_what_is_missing_or_forbidden_is_no_fault_of_the_ticks(self, store):
        with store.transaction():
            store.load(TEMP, market.ticks([{}]))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE market_data_minute RENAME TO elsewhere")
        try:
            with pytest.raises(DatabaseError) as caught, store.transaction():
                store.merge_minutes(candles.build(market.ticks([{}])))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE elsewhere RENAME TO market_data_minute")

        assert store.blame(caught.value) is Blame.INFRASTRUCTURE
        assert "migrate" in str(store.remedy(caught.value))

    def test_a_value_that_does_not_fit_may_be_the_ticks_own_fault(self, store):
        with pytest.raises(DatabaseError) as caught, store.transaction(), connection.cursor() as cursor:
            cursor.execute("UPDATE market SET code = 'KRX' WHERE code <> 'KRX'")

        assert store.blame(caught.value) is Blame.UNKNOWN
        assert store.blame(ValueError("who knows")) is Blame.UNKNOWN

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

    # --- room for trading dates -------------------------------------------------------------------------------------

    def test_room_for_any_dates_may_be_asked_for_again(self, store):
        dates = [datetime.date.fromisoformat(text) for text in ("2026-03-16", "1999-12-31", "2031-02-28", "2026-03-16")]

        store.ensure_partitions(dates)
        store.ensure_partitions(iter(dates))

        batch = market.ticks([{"trade_date": (date - EPOCH_DATE).days, "tick_id": at} for at, date in enumerate(dates)])
        assert load(store, batch) == 4
        assert len(read(store)) == 4
