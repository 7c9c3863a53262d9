"""What the serving side is asked about: some weeks of a market, stored as a worker stores what a terminal sent, and all
but the newest day moved to history. To be imported once Django is set up."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterable, Iterator

from api.auth import authentication
from ingest import notifications, tasks
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import Client, Gap, Source, Symbol
from marketdata.types import units
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.bench.api.cases import (
    DAYS,
    FEED,
    MINUTES,
    OTHERS_DAYS,
    OTHERS_MINUTES,
    SYMBOL,
    SYMBOLS,
    TRADES_A_MINUTE,
)

BATCH_ROWS = 5_000
_REPLAYED, _LIVE = 1, 2  # streams: the ledger's numbers of the spools that this comes from

Row = dict[str, object]


def fill() -> dict[str, str]:
    """Store it all, with a gap; the headers of a key that may read."""
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX", primary_feed=FEED) for code in SYMBOLS])
    dates = _dates()
    rows = itertools.chain.from_iterable(_day(date, place) for place, date in enumerate(dates))
    for number, batch in enumerate(_batches(rows), start=1):
        _commit(_REPLAYED, number, batch)
    for date in dates[:-1]:
        rollover.run_one(date, progress=lambda words: None)
    lost_us = _opens_us(dates[0]) + 7 * units.MINUTE_US
    Gap.objects.create(batch=1, feed=FEED, from_us=lost_us, to_us=lost_us, rows=3, reason="disk full")
    client, secret = Client.objects.create_with_secret(name="bench", may_read=True)
    client.last_seen_at = datetime.datetime.now(datetime.UTC)
    client.save()
    return {authentication.KEY_HEADER: client.key_id, authentication.SECRET_HEADER: secret}


def first_date() -> datetime.date:
    """The oldest date that was stored."""
    return _dates()[0]


def trade(number: int, trades: int) -> None:
    """Commit and announce batch `number` of so many trades of this moment, as a worker does."""
    now_us = batch_ledger.now_us()
    _commit(
        _LIVE, number,
        [
            {"symbol": SYMBOLS[at % len(SYMBOLS)], "time": now_us, "price": str(70_000 + at), "size": "1"}
            for at in range(trades)
        ],
    )  # fmt: skip


def _commit(stream: int, number: int, rows: list[Row]) -> None:
    now_us = batch_ledger.now_us()
    source = Source.objects.get(code="REPLAY")  # rows of one may be of any age
    payload = wire.encode_rows(number, FEED, now_us, rows)
    message = notifications.batch_message(batch_number(stream, number), payload, now_us, source.pk, None, None, 0)
    tasks.process_batches(batches=[message], reply_to="bench")


def _dates() -> list[datetime.date]:
    """The last sessions before today, so that no answer depends on the time of day."""
    calendar = trading_dates.calendar("KRX")
    dates = [calendar.trade_date(batch_ledger.now_us())]
    for _ in range(DAYS):
        dates.append(calendar.previous_session(dates[-1]))
    return dates[:0:-1]


def _opens_us(date: datetime.date) -> int:
    """When a session begins. RuntimeError on a day without one."""
    window = trading_dates.calendar("KRX").regular_window(date)
    if window is None:
        raise RuntimeError(f"{date} is no session")
    return window[0]


def _day(date: datetime.date, place: int) -> Iterator[Row]:
    """A day's trades of SYMBOL, on the last days of the others too, and a quote of each at the end."""
    chance, opens_us, price = random.Random(place), _opens_us(date), 70_000 + 100 * place
    codes = SYMBOLS if place >= DAYS - OTHERS_DAYS else [SYMBOL]
    for minute in range(MINUTES):
        for at in range(TRADES_A_MINUTE):
            time_us = opens_us + minute * units.MINUTE_US + at * units.MINUTE_US // TRADES_A_MINUTE
            price += chance.choice((-100, 0, 100))
            for code in codes if minute < OTHERS_MINUTES else [SYMBOL]:
                yield {"symbol": code, "time": time_us, "price": str(price), "size": str(chance.randint(1, 500))}
    for code in codes:
        yield {
            "symbol": code, "time": opens_us + MINUTES * units.MINUTE_US - 1, "kind": "quote",
            "bid": str(price - 100), "bid_size": "10", "ask": str(price), "ask_size": "20",
        }  # fmt: skip


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while some := list(itertools.islice(left, BATCH_ROWS)):
        yield some
