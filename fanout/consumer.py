"""A consumer to copy: reads the JSON topics with plain confluent-kafka, makes the candles of `processed-data` itself
and compares them with `chart-data` and, minutes with --rest, with the database. Needs neither Django nor our settings.

    python -m fanout.consumer --bootstrap 127.0.0.1:9092

What a consumer has to know to be exact is in `Trades.take`: a publisher that died publishes again what it had not noted
as delivered.
"""

from __future__ import annotations

import argparse
import calendar
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from terminals.wire import options

MINUTE_US = 60_000_000  # of its own, as it is copied without the rest
PROCESSED, CHART = "processed-data", "chart-data"
DAY = "1Day"
VERSION = 1
ANSWER_S = 60.0  # for the next message of a partition that has more
TOLD = ("open", "high", "low", "close", "volume", "value")


class Series(NamedTuple):
    """Whose trades or candles."""

    feed: str
    symbol: str


class Candle(NamedTuple):
    """As `chart-data` tells it."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    trades: int


@dataclass
class Trades:
    """The trades there are, by id. Two rules make them exact: a message of an older fence than one that was seen comes
    from a publisher that has been replaced and is left out; and a trade is there or not, however often it is told."""

    of: dict[Series, dict[int, tuple[int, Decimal, Decimal, str]]] = field(default_factory=dict)
    repeated: int = 0
    fenced: int = 0
    _fences: dict[tuple[str, int], int] = field(default_factory=dict)
    _reached: dict[tuple[Series, str], int] = field(default_factory=dict)

    def is_fenced(self, partition: tuple[str, int], fence: int) -> bool:
        """Whether a message comes from a publisher that has been replaced."""
        newest = self._fences.get(partition, 0)
        self._fences[partition] = max(newest, fence)
        self.fenced += fence < newest
        return fence < newest

    def take(self, told: dict[str, Any]) -> None:
        """One message, in the order of its partition."""
        series = Series(told["feed"], told["symbol"])
        known = self.of.setdefault(series, {})
        epoch, offset = told["epoch"], told["offset"]
        if epoch:
            reached = self._reached.get((series, epoch), 0)
            if offset <= reached:
                self.repeated += 1
                return  # it was taken already, and what came later stands
            self._reached[series, epoch] = offset
        if told["type"] == "cancel":
            known.pop(told["id"], None)
        elif told["id"] in known:
            self.repeated += 1
        else:
            known[told["id"]] = (told["time_us"], Decimal(told["price"]), Decimal(told["size"]), told["trade_date"])

    def candles(self) -> dict[tuple[Series, int], Candle]:
        """By series and minute."""
        minutes: dict[tuple[Series, int], list[tuple[int, int, Decimal, Decimal]]] = {}
        for series, known in self.of.items():
            for tick_id, (time_us, price, size, _) in known.items():
                key = (series, time_us // MINUTE_US * MINUTE_US)
                minutes.setdefault(key, []).append((time_us, tick_id, price, size))
        return {key: _candle(sorted(trades)) for key, trades in minutes.items()}

    def days(self) -> dict[tuple[Series, str], Candle]:
        """By series and trading date; `close` is the last trade."""
        dates: dict[tuple[Series, str], list[tuple[int, int, Decimal, Decimal]]] = {}
        for series, known in self.of.items():
            for tick_id, (time_us, price, size, date) in known.items():
                dates.setdefault((series, date), []).append((time_us, tick_id, price, size))
        return {key: _candle(sorted(trades)) for key, trades in dates.items()}


def _candle(trades: Sequence[tuple[int, int, Decimal, Decimal]]) -> Candle:
    """Of trades in order of (time, id)."""
    prices = [price for _, _, price, _ in trades]
    volume = sum((size for *_, size in trades), Decimal())
    value = sum((price * size for *_, price, size in trades), Decimal())
    return Candle(prices[0], max(prices), min(prices), prices[-1], volume, value, len(trades))


@dataclass
class Account:
    """What was read of both topics."""

    trades: Trades = field(default_factory=Trades)
    charts: dict[tuple[Series, int], Candle | None] = field(default_factory=dict)
    days: dict[tuple[Series, str], Candle | None] = field(default_factory=dict)
    messages: int = 0

    def take(self, message: Message, topic: str) -> None:
        """One message. ValueError if it is of a version that this does not know."""
        headers = {str(header[0]): _text(header[1]) for header in message.headers() or ()}
        if headers.get("format") != "json" or headers.get("schema") != f"{topic}/{VERSION}":
            raise ValueError(f"{topic}: {headers} is not what this consumer reads (json, version {VERSION})")
        self.messages += 1
        told = json.loads(message.value() or b"{}", parse_float=Decimal)
        if self.trades.is_fenced((topic, message.partition() or 0), int(headers["fence"])):
            return
        if topic == PROCESSED:
            self.trades.take(told)
            return
        series, candle = Series(told["feed"], told["symbol"]), None
        if told["timeframe"] == DAY:
            if not told["removed"]:  # `close` is the regular session's, which trades alone do not tell
                candle = Candle(**{name: Decimal(told[name]) for name in TOLD}, trades=told["trades"])
                candle = candle._replace(close=Decimal(told["last"]))
            self.days[series, told["trade_date"]] = candle
            return
        if not told["removed"]:
            candle = Candle(**{name: Decimal(told[name]) for name in TOLD}, trades=told["trades"])
        self.charts[series, told["time_us"]] = candle

    def differences(self) -> Iterator[str]:
        """Candles that `chart-data` tells otherwise than the trades make them. Minutes that are not over are not told
        there yet; of each series at most the newest two."""
        made = self.trades.candles()
        newest: dict[Series, int] = {}
        for series, minute in made:
            newest[series] = max(newest.get(series, 0), minute)
        for key in sorted(made.keys() | self.charts.keys()):
            series, minute = key
            told, is_told = self.charts.get(key), key in self.charts
            if not is_told and minute >= newest.get(series, 0) - MINUTE_US:
                continue
            if told != made.get(key):
                yield f"{series.feed} {series.symbol} {minute}: {CHART} has {told}, the trades make {made.get(key)}"
        yield from self._differing_days()

    def _differing_days(self) -> Iterator[str]:
        """Of days that were told; but the first of a series, of which the topics may lack the begin."""
        made = self.trades.days()
        first: dict[Series, str] = {}
        for series, date in made:
            first[series] = min(first.get(series, date), date)
        for (series, date), told in sorted(self.days.items()):
            if date > first.get(series, "") and told != made.get((series, date)):
                yield (
                    f"{series.feed} {series.symbol} {date}: {CHART} has {told}, the trades make"
                    f" {made.get((series, date))}"
                )


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def read(client: dict[str, str], *, prefix: str, idle_s: float) -> Account:
    """Both topics from their beginning to what they have now, and on until nothing came for so long. KafkaException;
    ValueError if one is not there, or of a version that this does not know."""
    consumer = Consumer({
        "group.id": "naru-reference-consumer", "enable.auto.commit": False, "auto.offset.reset": "earliest", **client,
    })  # fmt: skip
    account = Account()
    try:
        known = consumer.list_topics(timeout=30).topics
        names = {prefix + topic: topic for topic in (PROCESSED, CHART)}
        if missing := sorted(names.keys() - known.keys()):
            raise ValueError(f"no topic {', '.join(missing)}")
        places = [(name, number) for name in names for number in known[name].partitions]
        for message in messages(consumer, places, idle_s=idle_s):
            account.take(message, names[message.topic() or ""])
    finally:
        consumer.close()
    return account


def messages(consumer: Consumer, places: Iterable[tuple[str, int]], *, idle_s: float) -> Iterator[Message]:
    """What these partitions (topic, number) have, however slow the broker is, and what comes until nothing came for so
    long. KafkaException: it does not answer."""
    partitions = [TopicPartition(name, number, OFFSET_BEGINNING) for name, number in places]
    left: dict[tuple[str, int], int] = {}
    for one in partitions:
        low, high = consumer.get_watermark_offsets(one, timeout=ANSWER_S)
        if high > low:
            left[one.topic, one.partition] = high
    # Assigned and not subscribed to: one that compares wants every partition, and each from its beginning.
    consumer.assign(partitions)
    last = time.monotonic()
    while time.monotonic() - last < (ANSWER_S if left else idle_s):
        for message in consumer.consume(1000, timeout=0.5):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            place, last = (message.topic() or "", message.partition() or 0), time.monotonic()
            if (message.offset() or 0) + 1 >= left.get(place, 0):
                left.pop(place, None)
            yield message
    if left:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer for {ANSWER_S:g} s: {sorted(left)}"))


def of_database(address: str, charts: Sequence[tuple[Series, int]]) -> dict[tuple[Series, int], tuple[Any, ...]]:
    """(open, high, low, close, volume, trades) of these candles as REST has them; the key is NARU_KEY_ID and
    NARU_SECRET of the environment."""
    headers = {
        "APCA-API-KEY-ID": os.environ.get("NARU_KEY_ID", ""), "APCA-API-SECRET-KEY": os.environ.get("NARU_SECRET", "")
    }  # fmt: skip
    found: dict[tuple[Series, int], tuple[Any, ...]] = {}
    for series in sorted({series for series, _ in charts}):
        minutes = [minute for one, minute in charts if one == series]
        token: str | None = ""
        while token is not None:
            query = {
                "symbols": series.symbol, "feed": series.feed, "timeframe": "1Min", "limit": "10000",
                "start": _moment(min(minutes)), "end": _moment(max(minutes)),
            }  # fmt: skip
            query |= {"page_token": token} if token else {}
            url = f"{address.rstrip('/')}/v2/stocks/bars?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address that was given
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                told = json.load(answer, parse_float=Decimal)
            for bar in told["bars"].get(series.symbol, ()):
                key = (series, _microseconds(bar["t"]))
                found[key] = (*(Decimal(bar[name]) for name in "ohlcv"), bar["n"])
            token = told["next_page_token"]
    return found


def _moment(time_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_us // 1_000_000))


def _microseconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) * 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what differs and a JSON object of counts; 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m fanout.consumer", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="HOST:PORT of brokers, separated by commas")
    parser.add_argument("--prefix", default="", help="what the topics' names begin with")
    parser.add_argument(
        "--idle", type=options.decimal(0), default=5.0, help="end when nothing came for so many seconds"
    )
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of librdkafka")
    parser.add_argument(
        "--rest", default="", metavar="URL", help="compare with the database through this REST API, too"
    )
    given = parser.parse_args(arguments)
    extra = {name: value for name, _, value in (one.partition("=") for one in given.option)}
    account = read({"bootstrap.servers": given.bootstrap, **extra}, prefix=given.prefix, idle_s=given.idle)
    differences = list(account.differences())
    if given.rest:
        told = {key: candle for key, candle in account.charts.items() if candle is not None}
        stored = of_database(given.rest, list(told))
        differences += [
            f"{series.feed} {series.symbol} {minute}: {CHART} has {candle}, the database {stored.get((series, minute))}"
            for (series, minute), candle in told.items()
            if stored.get((series, minute)) != (*candle[:5], candle.trades)
        ]
    for one in differences:
        sys.stderr.write(f"{one}\n")
    counts = json.dumps({
        "messages": account.messages, "trades": sum(map(len, account.trades.of.values())),
        "repeated": account.trades.repeated, "fenced": account.trades.fenced, "candles": len(account.charts),
        "differences": len(differences),
    })  # fmt: skip
    sys.stdout.write(f"{counts}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
