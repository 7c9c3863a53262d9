"""What hardware a day needs, counted from what was measured: the model, its sums with all upkeep, and how far it is
from points that it was not made of. Writes docs/capacity.md; `python -m tests.bench.scale.capacity` does so from the
kept figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from terminals import wire
from tests.bench import latency, load, report, rows
from tests.bench.scale import figures, sockets
from tests.bench.scale.figures import Scale
from tests.bench.scale.history import History
from tests.bench.scale.roads import Road, cost
from tests.bench.scale.symbols import FEED, Symbols
from tests.soak.report import Soak

PAGE = report.ROOT / "docs/capacity.md"
TEMPLATE = Path(__file__).with_name("capacity.md")
_ROW_BYTES = 105  # of a tick in the memory of MariaDB, not compressed (docs/adr/0010)
_TOLD_FROM = 10_000_000  # bytes: smaller tables are mostly the room that each file begins with
_LEAST_CORES = 2  # a database and programs of ours side by side
_SPARE = 2.0  # nothing is planned to be more than half busy
_BOOK_US = 220.0  # docs/benchmarks.md, order books beside ticks: up to 22 us a tick at ten ticks a book
TOLERATED = 0.20
"""How far the model may be from a point, as a share of it, before the page says that it misses it."""
_UNKNOWN = "not explained"
_MARKET = "market"  # of a soak: the simulated one, a terminal


@dataclass(frozen=True, slots=True)
class Day:
    """A day that is planned for. Assumed, not measured: put your own in."""

    krx_symbols: int = 3_800  # shares of KOSPI and KOSDAQ, ETFs and ETNs
    nxt_symbols: int = 650  # what Nextrade keeps to since September 2025
    trades: int = 15_000_000  # of both markets
    busiest_minute: float = 0.02  # of the day's trades: the minute after nine
    busiest_second: float = 0.002
    minutes_traded: float = 0.5  # of a symbol's 390 (KRX) and 720 (Nextrade) minutes
    rows_a_batch: int = 100  # in the busiest minute; on a quiet one they are fewer and cost more, of less
    books_per_s: int = 500  # order books in the busiest minute, of the symbols that a desk trades
    subscribers: int = 100
    symbols_each: int = 50
    trading_days: int = 250  # that are kept

    @property
    def series(self) -> int:
        return self.krx_symbols + self.nxt_symbols

    @property
    def candles(self) -> float:
        return (self.krx_symbols * 390 + self.nxt_symbols * 720) * self.minutes_traded


@dataclass(frozen=True, slots=True)
class Model:
    """Costs, each from the points that are named in the page."""

    us_a_batch: float
    us_a_tick: float
    us_a_frame: float
    kib_a_socket: float
    bytes_a_message: float
    us_a_s: float  # of CPU each second for upkeep: statistics, caches, beat and what these ask of the database
    us_a_symbol_s: float  # beside that for a symbol that trades; 0 where it is less than can be told
    redis_bytes_a_tick: float
    redis_bytes_a_symbol: float
    disk_bytes: dict[str, float]  # of a row, by table
    processes_mib: float

    def cost_us(self, rows_a_batch: float) -> float:
        """CPU of everything on the server for a tick in batches of so many."""
        return self.us_a_batch / rows_a_batch + self.us_a_tick

    def upkeep_cores(self, symbols: int) -> float:
        """Of statistics, caches and beat while so many symbols trade."""
        return (self.us_a_s + self.us_a_symbol_s * symbols) / 1e6

    def cores(self, ticks_per_s: float, rows_a_batch: float, symbols: int) -> float:
        """Of everything on the server: what stores and announces, and upkeep."""
        return ticks_per_s * self.cost_us(rows_a_batch) / 1e6 + self.upkeep_cores(symbols)


@dataclass(frozen=True, slots=True)
class Check:
    """A point that the model was not made of. `why` is what is known of it should the model miss it."""

    what: str
    counted: float
    measured: float
    why: str = _UNKNOWN

    @property
    def ratio(self) -> float:
        return self.counted / self.measured

    @property
    def missed(self) -> bool:
        return abs(self.ratio - 1) > TOLERATED


def road(found: Scale, workers: int = 2, servers: int = 1) -> Road:
    """The measured combination."""
    return next(one for one in found.roads if (one.workers, one.ingest_servers) == (workers, servers))


def beside_feed(found: Symbols) -> float:
    """Bytes that Redis has beside the feed."""
    return float(sum(size for name, size in found.redis_bytes.items() if not FEED.startswith(name)))


def upkeep_s(found: Scale, one: Symbols) -> float:
    """Microseconds of CPU each second that upkeep took beside small batches: the run with it less the run without."""
    return (cost(one.small_cpu_us) - cost(road(found).small_cpu_us)) * latency.RATE


def beside_full(found: Scale, one: Symbols) -> float:
    """Cores that upkeep took beside batches of 1,000 as fast as they go."""
    return (cost(one.cpu_us) - cost(road(found).cpu_us)) * one.committed_per_s / 1e6


def model(found: Scale) -> Model:
    """From one run."""
    one, least, most = road(found), found.symbols[0], found.symbols[-1]
    small, large = cost(one.small_cpu_us), cost(one.cpu_us)
    a_batch = (small - large) / (1 / latency.BATCH_ROWS - 1 / rows.BATCH_ROWS)
    alone, *_, middle, _few, thousand = found.sockets
    more = most.symbols - least.symbols
    a_symbol = max(0.0, upkeep_s(found, most) - upkeep_s(found, least)) / more
    point = _history(found).largest
    return Model(
        us_a_batch=a_batch,
        us_a_tick=large - a_batch / rows.BATCH_ROWS,
        us_a_frame=middle.web_us_a_message * middle.messages_a_frame,
        kib_a_socket=(thousand.web_mib - alone.web_mib) * 1024 / thousand.sockets,
        bytes_a_message=thousand.bytes_a_message,
        us_a_s=max(0.0, *(upkeep_s(found, end) - a_symbol * end.symbols for end in (least, most))),
        us_a_symbol_s=a_symbol,
        redis_bytes_a_tick=most.feed_bytes_a_tick,
        redis_bytes_a_symbol=(beside_feed(most) - beside_feed(least)) / more,
        disk_bytes={table: point.bytes[table] / count for table, count in point.rows_of.items() if count},
        processes_mib=one.rss_mib,
    )


def _history(found: Scale) -> History:
    if found.history is None:
        raise ValueError("no history was measured")
    return found.history


def wire_bytes_a_tick(rows_a_batch: int) -> float:
    """What a terminal sends for a tick, frame and all, before TLS."""
    payload, _ = load.batch([f"{number:06d}" for number in range(50)], rows_a_batch, 1)
    return len(wire.encode(wire.FrameType.BATCH, bytes(payload))) / rows_a_batch


def others_cores(found: Scale, soak: Soak | None) -> float:
    """Of the processes that the run with upkeep does not have: alerts, backups, hourly upkeep, the launcher."""
    if soak is None:
        return 0.0
    slower = slower_than(found, soak)
    known = {*found.symbols[0].small_cpu_us, soak.database, "redis", _MARKET}
    return sum(one.cpu_percent for one in soak.programs if one.program not in known) / 100 / slower


def slower_than(found: Scale, soak: Soak) -> float:
    """How many times as long the processor took in the soak for the same: machines of one kind differ by day. That of
    before, for afterwards other work may be beside it."""
    return soak.before.processor_ms / found.before.processor_ms


def processes_mib(found: Scale, soak: Soak | None) -> float:
    """Memory of all processes of ours, pages that they share counted for each; without a soak of those that store."""
    if soak is None:
        return road(found).rss_mib
    return sum(one.last_mib for one in soak.programs if one.program not in (soak.database, "redis", _MARKET))


def checks(found: Scale, longest: History | None, soak: Soak | None) -> list[Check]:
    """Points that the model was not made of, as it counts them and as they were measured."""
    made = model(found)
    return [
        *_checks_of_upkeep(found, made, soak),
        *_checks_of_storing(found, made, longest),
        *_checks_of_sockets(found, made),
        *_checks_of_disk(found, made, longest),
    ]


def _checks_of_upkeep(found: Scale, made: Model, soak: Soak | None) -> list[Check]:
    first, *between, last = found.symbols
    small, large = latency.BATCH_ROWS, rows.BATCH_ROWS
    ends = f"{first.symbols:,} and {last.symbols:,}"
    checks = [
        Check(
            f"cores with all upkeep, {one.symbols:,} symbols, {latency.RATE:,} ticks/s in batches of {small}"
            f" (from {ends} of the same part)",
            made.cores(latency.RATE, small, one.symbols),
            cost(one.small_cpu_us) * latency.RATE / 1e6,
        )
        for one in between
    ]
    checks += [
        Check(
            f"cores with all upkeep, {one.symbols:,} symbols, {one.committed_per_s:,.0f} ticks/s in batches of"
            f" {large:,} (upkeep from batches of {small})",
            made.cores(one.committed_per_s, large, one.symbols),
            cost(one.cpu_us) * one.committed_per_s / 1e6,
        )
        for one in found.symbols
    ]
    if soak is not None:
        sockets_cores = soak.messages / soak.minutes / 60 * made.us_a_frame / 1e6
        others, slower = others_cores(found, soak), slower_than(found, soak)
        checks.append(
            Check(
                f"cores of everything in the soak, {soak.rows_per_s:,.0f} rows/s (counted as batches of {small}); its"
                f" processor was {slower:.1f} times as slow, and the measured is divided by that",
                made.cores(soak.rows_per_s, small, 0) + sockets_cores + others,
                sum(one.cpu_percent for one in soak.programs if one.program != _MARKET) / 100 / slower,
                "fewer trades make fewer statistics due than the model has it",
            )
        )
    return checks


def _checks_of_storing(found: Scale, made: Model, longest: History | None) -> list[Check]:
    """Without upkeep, in microseconds a tick."""
    small, large = latency.BATCH_ROWS, rows.BATCH_ROWS
    measured = [
        (
            f"{_several(one.workers, 'worker')}, {_several(one.ingest_servers, 'ingest server')}",
            one.cpu_us,
            one.small_cpu_us,
            "the model has one ingest server" if one.ingest_servers > 1 else _UNKNOWN,
        )
        for one in found.roads
        if one is not road(found)
    ]
    points = (longest or _history(found)).points
    measured += [
        (
            f"2 workers beside {one.rows / 1e6:,.0f} million trades{', again' * (at > 0 and one is points[-1])}",
            one.cpu_us,
            one.small_cpu_us,
            "storing was dearer in that part of the run; the sums above take the cheaper",
        )
        for at, one in enumerate(points)
    ]
    return [
        Check(f"CPU a tick without upkeep, {who}, batches of {size:,}, us", made.cost_us(size), cost(told), why)
        for who, fast, slow, why in measured
        for size, told in ((small, slow), (large, fast))
    ]


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def _checks_of_sockets(found: Scale, made: Model) -> list[Check]:
    alone, *_, fewer, few_each, all_ = found.sockets
    return [
        Check(
            f"web process, {one.sockets:,} sockets of {one.symbols_each} symbols, % of a core"
            f" (from {fewer.sockets:,} of {fewer.symbols_each})",
            alone.web_percent + one.messages_per_s / one.messages_a_frame * made.us_a_frame / 1e4,
            one.web_percent,
            f"the process was full: ticks waited {one.p50 / 1e3:.1f} s" if one.p50 >= sockets.QUEUE_MS else _UNKNOWN,
        )
        for one in (few_each, all_)
    ]


def _checks_of_disk(found: Scale, made: Model, longest: History | None) -> list[Check]:
    largest, points = _history(found).largest, (longest or _history(found)).points
    dropped = points[-1]
    return [
        Check(
            f"{table} beside {point.rows / 1e6:,.0f} million trades{', the others dropped' * (point is dropped)}, MB"
            f" (from {largest.rows / 1e6:,.0f} million)",
            made.disk_bytes[table] * point.rows_of[table] / 1e6,
            point.bytes[table] / 1e6,
            "the room of rows that were dropped is kept"
            if point is dropped
            else "a file of few rows is mostly the room that it begins with",
        )
        for point in points
        if point.rows != largest.rows
        for table in point.rows_of
        if table in made.disk_bytes and point.bytes[table] > _TOLD_FROM
    ]


def write(found: Scale, longest: History | None, soak: Soak | None) -> None:
    """Replace the page."""
    PAGE.write_text(text(found, longest, soak), encoding="utf-8")


def text(found: Scale, longest: History | None, soak: Soak | None, day: Day | None = None) -> str:
    """The whole page, for a day."""
    day, made = day or Day(), model(found)
    first, last = found.symbols[0], found.symbols[-1]
    ledger = made.disk_bytes["ingest_batch"] + made.disk_bytes["ingest_batch_day"]
    minute_rate, second_rate = day.trades * day.busiest_minute / 60, day.trades * day.busiest_second
    minute_us, second_us = made.cost_us(day.rows_a_batch), made.cost_us(rows.BATCH_ROWS)
    told = minute_rate * day.symbols_each / day.series * day.subscribers
    needs = {
        "storing_cores": minute_rate * minute_us / 1e6,
        "upkeep_cores": made.upkeep_cores(day.series),
        "web_cores": told * made.us_a_frame / 1e6,
        "book_cores": day.books_per_s * _BOOK_US / 1e6,
        "other_cores": others_cores(found, soak),
    }
    together = sum(needs.values())
    disk = {
        "market_data_tick": day.trades * made.disk_bytes["market_data_tick"],
        "market_data_minute": day.candles * made.disk_bytes["market_data_minute"],
        "market_data": day.series * made.disk_bytes["market_data"],
        "ingest_batch, ingest_batch_day": day.trades / day.rows_a_batch * ledger,
    }
    a_day = sum(disk.values())
    feed = 300_000 * 2 * made.redis_bytes_a_tick
    redis = feed + day.series * made.redis_bytes_a_symbol
    pool, processes = day.trades * _ROW_BYTES, processes_mib(found, soak)
    subscribed = day.subscribers * made.kib_a_socket / 1024
    memory = (pool + redis) / 2**30 + (processes + subscribed) / 1024
    per_tick = wire_bytes_a_tick(day.rows_a_batch)
    full = [beside_full(found, one) for one in found.symbols]
    points = checks(found, longest, soak)
    reads = {read.case: read.cpu_ms for read in _history(found).largest.reads}
    return TEMPLATE.read_text(encoding="utf-8").format(
        day=day, made=made, machine=found.machine, began=found.began, small=latency.BATCH_ROWS, large=rows.BATCH_ROWS,
        small_us=cost(road(found).small_cpu_us), large_us=cost(road(found).cpu_us), rate=latency.RATE,
        least=first.symbols, most=last.symbols, least_us=cost(first.small_cpu_us), most_us=cost(last.small_cpu_us),
        least_cores=upkeep_s(found, first) / 1e6, most_cores=upkeep_s(found, last) / 1e6, base_cores=made.us_a_s / 1e6,
        full_least=min(full), full_most=max(full), whole_cores=cost(last.small_cpu_us) * latency.RATE / 1e6,
        middle=found.sockets[-3].sockets, minute_rate=minute_rate, second_rate=second_rate, minute_us=minute_us,
        second_us=second_us, peak_cores=second_rate * second_us / 1e6, told=told, book_us=_BOOK_US, together=together,
        **needs,
        soak=f"{soak.rows_per_s:,.0f} rows/s" if soak is not None else "not measured",
        disk="\n".join(f"| {table} | {size / 1e6:,.0f} |" for table, size in disk.items()),
        bytes="\n".join(
            f"| {table} | {size:.0f} | {_history(found).largest.rows_of[table]:,} |"
            for table, size in made.disk_bytes.items()
        ),
        a_day=a_day / 1e9, a_year=a_day * day.trading_days / 1e12, feed=feed / 1e6, redis=redis / 1e6,
        pool=pool / 2**30, processes=processes,
        whose="every process of ours in the soak, shared pages counted for each" if soak is not None
        else "ingest, two workers and web alone",
        subscribed=subscribed, cores=max(_LEAST_CORES, math.ceil(together * _SPARE)),
        memory=math.ceil(memory * 1.5 / 8) * 8, memory_counted=memory, wire_in=per_tick * minute_rate / 125_000,
        per_tick=per_tick, wire_out=told * made.bytes_a_message / 125_000, spare=_SPARE, row_bytes=_ROW_BYTES,
        disk_tb=math.ceil(a_day * day.trading_days / 1e12 * 2 * 2) / 2,
        cheapest=min(reads, key=lambda case: reads[case]), cheapest_ms=min(reads.values()),
        dearest=max(reads, key=lambda case: reads[case]), dearest_ms=max(reads.values()),
        tolerated=TOLERATED, told_from=_TOLD_FROM / 1e6, points=len(points),
        missed=sum(one.missed for one in points),
        checks="\n".join(
            f"| {one.what} | {one.counted:,.2f} | {one.measured:,.2f} | {one.ratio:.2f} |"
            f" {f'**missed**: {one.why}' if one.missed else ''} |"
            for one in points
        ),
    )  # fmt: skip


if __name__ == "__main__":
    write(figures.read(), figures.longest(), figures.soak())
