"""Every symbol in its turn, none twice for nothing, and no storm because of one. Over sockets."""

import asyncio
import random

import pytest

from terminals.sources.kis import collector as collector_module
from terminals.sources.kis import outages, symbol_backoff
from terminals.sources.kis.answers import KeyRefusedError
from terminals.sources.kis.collector import Collector, Picture, Stats, Target
from terminals.sources.kis.credentials import AccountKind
from terminals.sources.kis.duplicates import Duplicates
from terminals.sources.kis.symbol_backoff import MOST_S, SymbolBackoff
from terminals.wire import Kind
from tests.simulators.kis import pages
from tests.unit.terminals.sources.kis.conftest import APPKEY, QUICK, VIRTUAL_APPKEY, WINDOW_S, account_at, client_of


@pytest.fixture
async def client(account, tmp_path):
    async with client_of(account, tmp_path) as opened:
        yield opened


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.rows = []
        self.feeds = set()

    async def __call__(self, feed, rows):
        self.rows += rows
        self.feeds.add(feed)

    def symbols(self):
        return [row.get("symbol") for row in self.rows]


async def collect(collector, targets, *, cycles=None, until=None):
    """What comes in so many cycles, or until `until` says of what has come that it is enough."""
    kept, stop = Kept(), asyncio.Event()

    def wanted():
        if until is not None and until(kept):
            stop.set()
        return targets

    await asyncio.wait_for(collector.run(wanted, kept, stop, cycles=cycles), 300)
    return kept


@pytest.fixture
def short_outages(monkeypatch):
    """A service that is away is looked at again soon."""
    monkeypatch.setattr(outages, "FIRST_S", 0.02)


@pytest.fixture
def long_backoff(monkeypatch):
    """Whoever is refused is not asked again while the test runs."""
    monkeypatch.setattr(symbol_backoff, "FIRST_S", 300.0)


async def test_one_cycle_brings_a_picture_of_every_target(client, simulator):
    codes = list(simulator.market.stocks)
    targets = [
        *(Target(code) for code in codes),
        Target(codes[0], Picture.BOOK),
        Target(pages.INDEX, Picture.INDEX),
        Target(pages.FUTURE, Picture.FUTURE, "F"),
        Target(pages.FUTURE, Picture.FUTURE_BOOK, "F"),
    ]

    collector = Collector([client], cycle_s=WINDOW_S)
    kept = await collect(collector, targets, cycles=1)

    assert sorted(row["symbol"] for row in kept.rows if row["kind"] is Kind.SNAPSHOT) == sorted([*codes, pages.FUTURE])
    assert sum(row["kind"] is Kind.BOOK for row in kept.rows) == 2
    assert sum(row["kind"] is Kind.STATUS for row in kept.rows) == 1
    assert client.calls.made == 6  # 40 codes are two multi-quotes
    stats = collector.stats()
    assert (stats.rows, stats.left_out, stats.waiting, stats.success_rate) == (len(kept.rows), 0, 0, 1.0)


async def test_rows_go_to_the_feed_of_their_division(client, simulator):
    code = next(iter(simulator.market.stocks))

    kept = await collect(
        Collector([client], cycle_s=WINDOW_S), [Target(code, division=one) for one in ("J", "NX", "UN")], cycles=1
    )

    assert kept.feeds == {"krx", "nxt", "unified"}


async def test_what_a_cycle_cannot_cover_is_told_and_asked_for_first_in_the_next(client, simulator, caplog):
    books = [Target(code, Picture.BOOK) for code in simulator.market.stocks]
    collector = Collector([client], cycle_s=0.02, ttl_s=0.0)  # three calls a cycle

    first = await collect(collector, books, cycles=1)
    left_out = collector.stats().left_out
    kept = await collect(collector, books, until=lambda kept: len({*first.symbols(), *kept.symbols()}) == len(books))

    assert left_out == len(books) - len(first.rows) > 0
    assert "kis_not_in_cycle" in caplog.text
    asked = [*first.symbols(), *kept.symbols()]
    assert max(asked.count(one.symbol) for one in books) <= 2  # nobody comes again before everybody has come
    assert collector.stats().round_s == pytest.approx(len(books) / 150)
    assert simulator.limiter_trips == 0


async def test_an_equal_picture_is_not_sent_again_within_its_time(client, simulator):
    targets = [Target(pages.FUTURE, Picture.FUTURE, "F")]
    collector = Collector([client], cycle_s=0.01, ttl_s=1000.0)

    kept = await collect(collector, targets, until=lambda kept: collector.stats().duplicates >= 2)

    stats = collector.stats()
    assert len(kept.rows) == 1
    assert stats.duplicates == stats.pictures - 1
    assert stats.hit_rate == stats.duplicates / stats.pictures


def test_a_picture_counts_as_new_when_it_changes_or_its_time_is_over():
    duplicates = Duplicates(ttl_s=1.0)
    row = {"symbol": "005930", "price": 1, "time_us": 5}

    assert not duplicates.seen("a", row, 10.0)
    assert duplicates.seen("a", {**row, "time_us": 6}, 10.9)
    assert not duplicates.seen("a", {**row, "price": 2}, 10.9)
    assert not duplicates.seen("a", {**row, "price": 2}, 11.9)
    assert not duplicates.seen("b", {**row, "price": 2}, 11.9)
    duplicates.keep({"b"})
    assert not duplicates.seen("a", {**row, "price": 2}, 11.9)
    assert (duplicates.looked, duplicates.hits) == (6, 1)


async def test_an_unknown_symbol_is_asked_for_once_and_then_left_alone(client, simulator, long_backoff):
    targets = [Target("999999", Picture.BOOK)]
    collector = Collector([client], cycle_s=0.005)

    kept = await collect(collector, targets, cycles=20)

    assert kept.rows == []
    assert client.calls.made == 1
    assert collector.stats().waiting == 1


def test_a_refused_symbol_waits_longer_each_time_up_to_five_minutes():
    backoff = SymbolBackoff(random.Random(1))

    waits = [backoff.refused("x", 0.0) for _ in range(12)]

    assert 3.75 <= waits[0] <= 5.0
    assert all(0.75 * MOST_S <= one <= MOST_S for one in waits[7:])
    assert backoff.waits("x", 0.0)
    assert not backoff.waits("x", MOST_S)
    assert not backoff.waits("y", 0.0)
    backoff.answered("x")
    assert not backoff.waits("x", 0.0)


async def test_one_bad_code_does_not_hold_up_the_others_of_its_group(client, simulator, long_backoff):
    codes = list(simulator.market.stocks)[:30]
    simulator.poison = {codes[17]}
    collector = Collector([client], cycle_s=0.02, ttl_s=0.0)

    good = set(codes) - {codes[17]}
    kept = await collect(
        collector,
        [Target(code) for code in codes],
        until=lambda kept: good <= set(kept.symbols()) and collector.stats().waiting,
    )

    assert set(kept.symbols()) == good
    assert collector.stats().waiting == 1
    assert client.calls.failed["business"] <= 6  # 30, 15, 8, 4, 2, 1


async def test_faults_are_lived_through_and_every_symbol_comes(simulator, account, tmp_path):
    simulator.faults.chances = {"quota": 0.1, "html": 0.05, "reset": 0.05, "server": 0.05, "slow": 0.05, "empty": 0.02}
    simulator.faults.slow_s = 0.02
    codes = list(simulator.market.stocks)
    async with client_of(account, tmp_path, retries=QUICK) as client:
        collector = Collector([client], cycle_s=WINDOW_S, ttl_s=0.0)
        kept = await collect(
            collector,
            [Target(code) for code in codes],
            until=lambda kept: set(codes) == set(kept.symbols()) and simulator.faults.happened.total() > 3,
        )

    assert set(kept.symbols()) == set(codes)
    assert simulator.faults.happened.total() > 0
    assert simulator.limiter_trips == 0
    assert simulator.busiest_second(APPKEY) <= 18


async def test_a_service_that_is_away_is_told_once_and_asked_again(silent_url, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(collector_module, "_TOLD_S", 1e9)
    kept, stop = Kept(), asyncio.Event()
    async with client_of(account_at(silent_url), tmp_path, retries=QUICK) as client:
        collector = Collector([client], cycle_s=0.005)

        def wanted():
            if collector.stats().given_up >= 3 and "kis_no_answer" in caplog.text:
                stop.set()
            return [Target("000040")]

        await asyncio.wait_for(collector.run(wanted, kept, stop), 300)

    assert kept.rows == []
    assert caplog.text.count("kis_no_answer") == 1
    stats = collector.stats()
    assert stats.given_up >= 3
    assert stats.waiting == 0  # it is not the symbol's fault


async def test_while_all_calls_fail_one_at_a_time_looks_whether_kis_is_back(
    simulator, account, tmp_path, caplog, short_outages
):
    simulator.faults.chances = {"server": 1.0}
    codes = list(simulator.market.stocks)[:12]
    targets = [Target(code, Picture.BOOK) for code in codes]
    asked: list[tuple[int, int]] = []
    seen: list[Stats] = []
    async with client_of(account, tmp_path, retries=QUICK) as client:
        collector = Collector([client], cycle_s=0.005, ttl_s=0.0)

        def healed(kept):
            stats = collector.stats()
            if stats.away and not asked:
                asked.append((stats.cycles, stats.requests))
            if asked and not seen and stats.cycles >= asked[0][0] + 80:
                seen.append(stats)
                simulator.faults.chances = {}
            return set(codes) <= set(kept.symbols())

        await collect(collector, targets, until=healed)

    # What was in flight when it went down may repeat itself once; 80 cycles on, a few probes are all that came.
    assert seen[0].requests - asked[0][1] <= 2 * 12
    assert seen[0].away == 1
    assert collector.stats().away == 0
    assert caplog.text.count("kis_rest_away") == 1
    assert caplog.text.count("kis_rest_back") == 1


async def test_a_cycle_with_room_for_many_calls_has_one_while_kis_is_away(client, simulator):
    collector = Collector([client], cycle_s=0.04)  # six calls a cycle
    long_ago = asyncio.get_running_loop().time() - 1000.0
    while not client.outage.is_down:
        client.outage.failed(long_ago)

    await collect(collector, [Target(code, Picture.BOOK) for code in simulator.market.stocks], cycles=1)

    assert client.calls.made == 1
    assert not client.outage.is_down


async def test_files_that_cannot_be_written_end_nothing_and_ask_for_no_token(
    simulator, account, tmp_path, caplog, short_outages
):
    """A full disk, or a folder that may not be written: a folder in the place of the file has the same effect."""
    in_the_way = tmp_path / f"{account.key_id}.token.new"
    in_the_way.mkdir()
    async with client_of(account, tmp_path, retries=QUICK) as client:
        collector = Collector([client], cycle_s=0.005)

        def healed(kept):
            if collector.stats().away and in_the_way.exists():
                assert simulator.tokens_issued == 0
                in_the_way.rmdir()
            return kept.rows

        kept = await collect(collector, [Target(code) for code in simulator.market.stocks], until=healed)

    assert kept.rows
    assert collector.stats().failed["shared_files"] >= 5
    assert simulator.tokens_issued == 1
    assert "kis_rest_away" in caplog.text


async def test_a_virtual_account_asks_one_by_one(simulator, tmp_path):
    account = account_at(simulator.url, kind=AccountKind.VIRTUAL, appkey=VIRTUAL_APPKEY)
    codes = list(simulator.market.stocks)[:3]
    async with client_of(account, tmp_path, retries=QUICK) as client:
        collector = Collector([client], cycle_s=WINDOW_S)
        kept = await collect(
            collector, [Target(code) for code in codes], until=lambda kept: set(codes) == set(kept.symbols())
        )

    assert set(kept.symbols()) == set(codes)
    assert simulator.busiest_second(VIRTUAL_APPKEY) == 1
    assert simulator.limiter_trips == 0


async def test_when_the_real_key_is_refused_the_virtual_one_asks_alone(simulator, tmp_path):
    wrong = account_at(simulator.url, appkey="PSx" + "x" * 33)
    virtual = account_at(simulator.url, kind=AccountKind.VIRTUAL, appkey=VIRTUAL_APPKEY)
    codes = list(simulator.market.stocks)[:2]
    async with client_of(wrong, tmp_path) as one, client_of(virtual, tmp_path) as other:
        kept = await collect(
            Collector([one, other], cycle_s=WINDOW_S),
            [Target(code) for code in codes],
            until=lambda kept: set(codes) == set(kept.symbols()),
        )

    assert set(kept.symbols()) == set(codes)
    assert one.calls.made == 0


async def test_when_no_key_is_good_it_ends_with_that(simulator, tmp_path):
    async with client_of(account_at(simulator.url, appkey="PSx" + "x" * 33), tmp_path) as client:
        with pytest.raises(KeyRefusedError, match="EGW00103"):
            await collect(Collector([client], cycle_s=WINDOW_S), [Target("000040")], cycles=50)

    assert simulator.requests["/oauth2/tokenP"] == 1


async def test_an_error_of_the_sink_ends_it(client, simulator):
    async def full(feed, rows):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await asyncio.wait_for(
            Collector([client], cycle_s=WINDOW_S).run(lambda: [Target("000040")], full, asyncio.Event()), 60
        )


async def test_it_stops_when_told_also_while_a_call_hangs(client, simulator):
    simulator.faults.plan("hang")
    stop, collector = asyncio.Event(), Collector([client], cycle_s=WINDOW_S)
    running = asyncio.create_task(collector.run(lambda: [Target("000040")], Kept(), stop))
    await asyncio.wait_for(simulator.hangs.wait(), 300)

    stop.set()

    await asyncio.wait_for(running, 300)


async def test_a_changed_list_counts_from_the_next_cycle(client, simulator):
    first, second = [Target("000040")], [Target("000050")]
    kept, stop, collector = Kept(), asyncio.Event(), Collector([client], cycle_s=0.03, ttl_s=0.0)

    def wanted():
        if "000050" in kept.symbols():
            stop.set()
        return second if "000040" in kept.symbols() else first

    await asyncio.wait_for(collector.run(wanted, kept, stop), 300)

    assert (kept.symbols()[0], kept.symbols()[-1]) == ("000040", "000050")
    assert collector.stats().targets == 1


async def test_halves_join_again_after_a_while(client, simulator, long_backoff, monkeypatch):
    codes = list(simulator.market.stocks)[:30]
    simulator.poison = {codes[0]}
    collector = Collector([client], cycle_s=0.02, ttl_s=0.0)
    targets = [Target(code) for code in codes]
    await collect(collector, targets, until=lambda kept: collector.stats().waiting)
    simulator.poison.clear()
    monkeypatch.setattr(collector_module, "_REGROUP_S", 0.0)
    before = client.calls.made

    kept = await collect(collector, targets, cycles=1)

    assert set(kept.symbols()) == set(codes[1:])
    assert client.calls.made - before == 1
