"""The topics in Arrow, read back from the broker as a consumer of somebody else reads them: with the columns and the
metadata of docs/kafka.md and nothing of ours. What was stored is there to the digit, as the ledger has it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from confluent_kafka import Consumer

from analytics.statistics import due
from fanout import consumer
from fanout.consumer import Series
from fanout.messages import CHART, PROCESSED, RAW, STATISTICS, TOPICS
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.realtime import live_state, stats
from marketdata.storage import storage
from marketdata.types import checksums
from marketdata.types.tick_arrays import ABSENT, KIND_NAMES, SIDE_NAMES, TICK_BITS, Ticks
from marketdata.types.units import MINUTE_US, day_of
from tests import market
from tests.integration.test_fanout import LATER_US, broker, commit, made_candles, prefix, publishing, stored_candles
from tests.integration.test_fanout_corrections import DAY, HOUR_US, redis_is_lost, void
from tests.market import NINE_US

__all__ = ["broker", "prefix", "publishing"]

SYMBOLS = ("000660", "005930")
NUMBERS = ("price", "size", "bid", "bid_size", "ask", "ask_size", "cum_volume", "seq")
QUOTE = {
    "kind": "quote", "price": None, "size": None, "bid": "69999.5", "bid_size": "10", "ask": "70000.25",
    "ask_size": "0.5",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A message as it came: its key, what the schema's metadata says, its rows."""

    topic: str
    key: str
    headers: dict[str, str]
    about: dict[str, str]
    rows: list[dict[str, Any]]


def read(broker: str, prefix: str) -> list[Told]:
    """All four topics, each partition in its order, until nothing came for two seconds."""
    client = Consumer({"bootstrap.servers": broker, "group.id": "arrow", "enable.auto.commit": False})
    try:
        known = client.list_topics(timeout=30).topics
        names = {prefix + topic: topic for topic in TOPICS}
        places = [(name, number) for name in names for number in known[name].partitions]
        return [
            _decoded(message, names[message.topic() or ""]) for message in consumer.messages(client, places, idle_s=2.0)
        ]
    finally:
        client.close()


def _decoded(message: Any, topic: str) -> Told:
    table = pa.ipc.open_stream(message.value()).read_all()
    about = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
    headers = {name: value.decode() for name, value in message.headers()}
    return Told(topic, message.key().decode(), headers, about, table.to_pylist())


def of(topic: str, told: list[Told]) -> Iterator[tuple[Told, dict[str, Any]]]:
    return ((one, row) for one in told if one.topic == topic for row in one.rows)


def rebuilt(told: list[Told]) -> Ticks:
    """What `raw_market_data` says was stored; what was told twice once."""
    rows = {}
    for one, row in of(RAW, told):
        tick_id = int(one.about["batch"]) << TICK_BITS | row["row"]
        rows[tick_id] = {
            "symbol": one.about["symbol"], "tick_id": tick_id, "time_us": row["time_us"],
            "kind": KIND_NAMES.index(row["kind"]), "side": SIDE_NAMES.index(row["side"]),
            "trade_date": day_of(row["trade_date"]),
            **{name: ABSENT if row[name] is None else row[name] for name in NUMBERS},
        }  # fmt: skip
    (source,) = {one.about["source"] for one in told if one.topic == RAW}
    return market.ticks([rows[tick_id] for tick_id in sorted(rows)], source_id=int(source))


def stored() -> list[dict[str, Any]]:
    span = NINE_US - HOUR_US, NINE_US + HOUR_US
    found = [row for symbol in SYMBOLS for row in market.rows_of(storage().read_ticks(symbol, "krx", *span))]
    return sorted(found, key=lambda row: row["tick_id"])


def trades(told: list[Told]) -> consumer.Account:
    """What `processed-data` says, taken by the rules of the consumer to copy."""
    account = consumer.Account()
    for one, row in of(PROCESSED, told):
        exact = {"price": Decimal(row["price"]).scaleb(-8), "size": Decimal(row["size"]).scaleb(-6)}
        series = {name: one.about[name] for name in ("symbol", "feed", "epoch")}
        account.trades.take({**row, **series, **exact, "trade_date": str(row["trade_date"])})
    return account


def minutes(told: list[Told]) -> dict[tuple[Series, int], dict[str, Any]]:
    """The last that `chart-data` said of each minute."""
    return {
        (Series(one.about["feed"], one.about["symbol"]), row["time_us"]): row
        for one, row in of(CHART, told)
        if one.about["timeframe"] == "1Min"
    }


def stored_minutes() -> dict[tuple[Series, int], dict[str, Any]]:
    bars = storage().read_minutes_of(list(SYMBOLS), "krx", 0, 1 << 62)
    return {
        (Series("krx", bars.symbols[bars.symbol[at]]), int(bars.time_us[at])): {
            "time_us": int(bars.time_us[at]), "trade_date": DAY,
            **{name: int(getattr(bars, name)[at]) for name in ("open", "high", "low", "close", "volume")},
            "value": Decimal(int(bars.value[at])) + Decimal(int(bars.value_frac[at])).scaleb(-14),
            "trades": int(bars.n[at]), "rev": int(bars.rev[at]), "removed": False,
        }
        for at in range(len(bars))
    }  # fmt: skip


def exact(row: dict[str, Any]) -> dict[str, Any]:
    """A candle whose value is a number: its text may have zeros at its end or not."""
    return {**row, "value": Decimal(row["value"])} if "value" in row else row


def test_what_was_stored_comes_back_from_the_broker_to_the_digit(publishing, broker, prefix):
    commit(1, {"price": "70000.00000001", "size": "0.000001", "side": "buy", "seq": 7}, QUOTE)
    commit(2, {"symbol": "000660", "price": "120000.5", "size": "2.5"}, {"price": "70100", "time": NINE_US + MINUTE_US})
    publishing(form="arrow")
    redis_is_lost()  # what comes now is read from the database, and some of what was told with it
    commit(3, {"price": "69900", "side": "sell", "time": NINE_US + 5}, {"price": "70000", "time": LATER_US})

    publishing(form="arrow")

    told = read(broker, prefix)
    ticks = rebuilt(told)
    assert market.rows_of(ticks) == stored()
    assert checksums.total(checksums.of_ticks(ticks).values()) == batch_ledger.day_figure(DAY)
    assert len(ticks) == batch_ledger.day_figure(DAY).rows == 6
    assert made_candles(trades(told)) == stored_candles()
    assert {one.about["epoch"] for one in told if one.topic == RAW} > {""}
    assert {one.key for one in told} == set(SYMBOLS)
    for one in told:
        assert (one.headers["schema"], one.headers["format"]) == (f"{one.topic}/1", "arrow")
        assert (one.about["v"], one.about["symbol"], one.about["feed"]) == ("1", one.key, "krx")


def test_candles_of_minutes_and_days_and_what_was_taken_back_are_as_the_database_has_them(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "71000.5", "size": "3", "time": NINE_US + 5})
    commit(2, {"symbol": "000660", "price": "120000.5"}, {"price": "70100", "time": LATER_US})
    rollover.run_one(DAY)
    publishing(form="arrow")

    told = read(broker, prefix)
    newest = (Series("krx", "005930"), LATER_US)  # which is not over
    wanted = {key: row for key, row in stored_minutes().items() if key != newest}
    assert {key: exact(row) for key, row in minutes(told).items()} == wanted

    void(symbols=("005930",), start_us=NINE_US + 5, end_us=NINE_US + 6)
    void(symbols=("000660",))
    publishing(form="arrow")

    told = read(broker, prefix)
    assert made_candles(trades(told)) == stored_candles()
    gone = minutes(told).pop((Series("krx", "000660"), NINE_US))
    assert gone == {"time_us": NINE_US, "removed": True}
    assert exact(minutes(told)[Series("krx", "005930"), NINE_US]) == stored_minutes()[Series("krx", "005930"), NINE_US]
    days = {one.key: row for one, row in of(CHART, told) if one.about["timeframe"] == "1Day"}
    bar = storage().daily_of(DAY, "krx", ["005930"])["005930"]
    assert days["000660"].keys() == {"time_us", "trade_date", "removed"}
    assert days["000660"]["removed"]
    assert [(days["005930"][name], days["005930"]["trade_date"]) for name in ("open", "high", "last", "volume")] == [
        (int(getattr(bar, name)[0]), DAY) for name in ("open", "high", "last", "volume")
    ]
    assert (days["005930"]["trades"], days["005930"]["removed"]) == (2, False)


def test_statistics_are_the_newest_that_redis_has(publishing, broker, prefix):
    commit(1, {"price": "70000"}, {"price": "70100", "time": LATER_US})
    due.compute()
    publishing(form="arrow")

    came = of(STATISTICS, read(broker, prefix))
    told = {one.key: (row["revision"], json.loads(row["statistics"])) for one, row in came}

    found = stats.all_results(live_state.connection(), "krx")
    assert told == {symbol: (one.revision, json.loads(bytes(one.body))) for symbol, one in found.items()}
    assert told["005930"][1]
