"""What hardware a day needs, counted from what was measured: the model, its sums, and how far it is from points that it
was not made of. Writes docs/capacity.md; `python -m tests.bench.scale.capacity` does so from the kept figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from terminals import wire
from tests.bench import latency, load, report, rows
from tests.bench.scale import figures
from tests.bench.scale.figures import Scale
from tests.bench.scale.history import History
from tests.bench.scale.roads import Road, cost
from tests.bench.scale.symbols import FEED, Symbols

PAGE = report.ROOT / "docs/capacity.md"
TEMPLATE = Path(__file__).with_name("capacity.md")
_ROW_BYTES = 105  # of a tick in the memory of MariaDB, not compressed (docs/adr/0010)
_TOLD_FROM = 10_000_000  # bytes: smaller tables are mostly the room that each file begins with
_LEAST_CORES = 2  # a database and programs of ours side by side
_SPARE = 2.0  # nothing is planned to be more than half busy


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
    us_a_symbol_s: float  # of CPU each second for a symbol that trades; 0 where it is less than can be told
    redis_bytes_a_tick: float
    redis_bytes_a_symbol: float
    disk_bytes: dict[str, float]  # of a row, by table
    processes_mib: float

    def cost_us(self, rows_a_batch: float) -> float:
        """CPU of everything on the server for a tick in batches of so many."""
        return self.us_a_batch / rows_a_batch + self.us_a_tick


def road(found: Scale, workers: int = 2, servers: int = 1) -> Road:
    """The measured combination."""
    return next(one for one in found.roads if (one.workers, one.ingest_servers) == (workers, servers))


def beside_feed(found: Symbols) -> float:
    """Bytes that Redis has beside the feed."""
    return float(sum(size for name, size in found.redis_bytes.items() if not FEED.startswith(name)))


def model(found: Scale) -> Model:
    """From one run."""
    one, least, most = road(found), found.symbols[0], found.symbols[-1]
    small, large = cost(one.small_cpu_us), cost(one.cpu_us)
    a_batch = (small - large) / (1 / latency.BATCH_ROWS - 1 / rows.BATCH_ROWS)
    alone, *_, middle, _few, thousand = found.sockets
    more = most.symbols - least.symbols
    point = _history(found).largest
    return Model(
        us_a_batch=a_batch,
        us_a_tick=large - a_batch / rows.BATCH_ROWS,
        us_a_frame=middle.web_us_a_message * middle.messages_a_frame,
        kib_a_socket=(thousand.web_mib - alone.web_mib) * 1024 / thousand.sockets,
        bytes_a_message=thousand.bytes_a_message,
        us_a_symbol_s=max(0.0, cost(most.small_cpu_us) - cost(least.small_cpu_us)) * latency.RATE / more,
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


def checks(found: Scale, longest: History | None) -> list[tuple[str, float, float]]:
    """Points that the model was not made of: what, as the model has it, as it was measured."""
    made, largest = model(found), _history(found).largest
    others = {one.rows: one for one in (longest or _history(found)).points if one.rows != largest.rows}
    first, *between, last = found.symbols
    alone, *_, fewer, few_each, all_ = found.sockets
    from_100 = f"{fewer.sockets:,} of {fewer.symbols_each}"
    found_of = cost(road(found, workers=4).small_cpu_us)
    a_symbol = made.us_a_symbol_s / latency.RATE
    return [
        *(
            (
                f"web process, {one.sockets:,} sockets of {one.symbols_each} symbols, % of a core (from {from_100})",
                alone.web_percent + one.messages_per_s / one.messages_a_frame * made.us_a_frame / 1e4,
                one.web_percent,
            )
            for one in (few_each, all_)
        ),
        *(
            (
                f"CPU a tick with {one.symbols:,} symbols, us (from {first.symbols:,} and {last.symbols:,})",
                cost(first.small_cpu_us) + a_symbol * (one.symbols - first.symbols),
                cost(one.small_cpu_us),
            )
            for one in between
        ),
        (
            f"CPU a tick with 4 workers, batches of {latency.BATCH_ROWS}, us (from 2 workers)",
            made.cost_us(latency.BATCH_ROWS),
            found_of,
        ),
        *(
            (
                f"{table} beside {point.rows / 1e6:,.0f} million trades, MB (from {largest.rows / 1e6:,.0f} million)",
                made.disk_bytes[table] * point.rows_of[table] / 1e6,
                point.bytes[table] / 1e6,
            )
            for point in others.values()
            for table in point.rows_of
            if table in made.disk_bytes and point.bytes[table] > _TOLD_FROM
        ),
    ]


def write(found: Scale, longest: History | None) -> None:
    """Replace the page."""
    PAGE.write_text(text(found, longest), encoding="utf-8")


def text(found: Scale, longest: History | None, day: Day | None = None) -> str:
    """The whole page, for a day."""
    day, made = day or Day(), model(found)
    ledger = made.disk_bytes["ingest_batch"] + made.disk_bytes["ingest_batch_day"]
    minute_rate, second_rate = day.trades * day.busiest_minute / 60, day.trades * day.busiest_second
    minute_us, second_us = made.cost_us(day.rows_a_batch), made.cost_us(rows.BATCH_ROWS)
    symbol_cores = day.series * made.us_a_symbol_s / 1e6
    told = minute_rate * day.symbols_each / day.series * day.subscribers
    web_cores = told * made.us_a_frame / 1e6
    storing_cores, peak_cores = minute_rate * minute_us / 1e6, second_rate * second_us / 1e6
    disk = {
        "market_data_tick": day.trades * made.disk_bytes["market_data_tick"],
        "market_data_minute": day.candles * made.disk_bytes["market_data_minute"],
        "market_data": day.series * made.disk_bytes["market_data"],
        "ingest_batch, ingest_batch_day": day.trades / day.rows_a_batch * ledger,
    }
    a_day = sum(disk.values())
    feed = 300_000 * 2 * made.redis_bytes_a_tick
    redis = feed + day.series * made.redis_bytes_a_symbol
    pool = day.trades * _ROW_BYTES
    subscribed = day.subscribers * made.kib_a_socket / 1024
    cores = (storing_cores + web_cores + symbol_cores) * _SPARE
    memory = (pool + redis) / 2**30 + (made.processes_mib + subscribed) / 1024
    per_tick = wire_bytes_a_tick(day.rows_a_batch)
    return TEMPLATE.read_text(encoding="utf-8").format(
        day=day, made=made, machine=found.machine, began=found.began, small=latency.BATCH_ROWS, large=rows.BATCH_ROWS,
        small_us=cost(road(found).small_cpu_us), large_us=cost(road(found).cpu_us), least=found.symbols[0].symbols,
        most=found.symbols[-1].symbols, middle=found.sockets[-3].sockets, minute_rate=minute_rate,
        second_rate=second_rate, minute_us=minute_us, second_us=second_us, symbol_cores=symbol_cores,
        storing_cores=storing_cores, peak_cores=peak_cores, told=told, web_cores=web_cores,
        disk="\n".join(f"| {table} | {size / 1e6:,.0f} |" for table, size in disk.items()),
        bytes="\n".join(
            f"| {table} | {size:.0f} | {_history(found).largest.rows_of[table]:,} |"
            for table, size in made.disk_bytes.items()
        ),
        a_day=a_day / 1e9, a_year=a_day * day.trading_days / 1e12, feed=feed / 1e6, redis=redis / 1e6,
        pool=pool / 2**30,
        subscribed=subscribed, cores=max(_LEAST_CORES, math.ceil(cores)),
        symbols_us=cost(found.symbols[0].small_cpu_us), memory=math.ceil(memory * 1.5 / 8) * 8,
        memory_counted=memory, wire_in=per_tick * minute_rate / 125_000, per_tick=per_tick,
        wire_out=told * made.bytes_a_message / 125_000, spare=_SPARE, row_bytes=_ROW_BYTES,
        disk_tb=math.ceil(a_day * day.trading_days / 1e12 * 2 * 2) / 2,
        checks="\n".join(
            f"| {what} | {counted:,.1f} | {measured:,.1f} | {counted / measured:.2f} |"
            for what, counted, measured in checks(found, longest)
        ),
    )  # fmt: skip


if __name__ == "__main__":
    write(figures.read(), figures.longest())
