"""A made-up market that moves like KRX: tick sizes, price limits, bursts of volatility. Deterministic by its seed.

Nothing in it is real: codes begin with S, names end with (모의).
"""

import bisect
import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from terminals.batcher import Row
from terminals.wire import PRICE_SCALE, SIZE_SCALE, Kind, Side

# Tick sizes of KOSPI, KOSDAQ and KONEX since 2023-01-25, in won: below the price, the step.
TICK_SIZES: Final = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))
_LARGEST_STEP: Final = 1_000
# Daily limits of +-30 % of the base price since 2015-06-15.
LIMIT_PERCENT: Final = 30
_PRICE: Final = 10**PRICE_SCALE
_SIZE: Final = 10**SIZE_SCALE
_QUOTE_SHARE: Final = 0.3
LEVELS: Final = 10
_HEADS: Final = (
    ("가람", "Garam"), ("나래", "Narae"), ("다온", "Daon"), ("라온", "Raon"), ("마루", "Maru"), ("바른", "Bareun"),
    ("새솔", "Saesol"), ("아라", "Ara"), ("자람", "Jaram"), ("초롱", "Chorong"), ("큰별", "Keunbyeol"),
    ("타래", "Tarae"), ("푸른", "Pureun"), ("한빛", "Hanbit"), ("해솔", "Haesol"), ("은하", "Eunha"),
    ("도담", "Dodam"), ("미리내", "Mirinae"), ("보람", "Boram"), ("슬기", "Seulgi"),
)  # fmt: skip
_TAILS: Final = (
    ("전자", "Electronics"), ("화학", "Chemical"), ("제약", "Pharm"), ("중공업", "Heavy"), ("식품", "Foods"),
    ("통신", "Telecom"), ("건설", "Construction"), ("증권", "Securities"), ("물산", "Trading"), ("모터스", "Motors"),
    ("소재", "Materials"), ("바이오", "Bio"), ("게임즈", "Games"), ("해운", "Shipping"), ("에너지", "Energy"),
)  # fmt: skip


@dataclass(frozen=True)
class Name:
    """What a simulated symbol is called."""

    code: str
    korean: str
    english: str


def names(symbols: int) -> list[Name]:
    """The made-up companies, in the order of their codes."""
    found = []
    for number in range(symbols):
        head, tail = _HEADS[number % len(_HEADS)], _TAILS[number // len(_HEADS) % len(_TAILS)]
        again = number // (len(_HEADS) * len(_TAILS))
        suffix = f" {again + 1}" if again else ""
        korean, english = f"{head[0]}{tail[0]}{suffix}(모의)", f"{head[1]} {tail[1]}{suffix} (simulated)"
        found.append(Name(f"S{number + 1:05d}", korean, english))
    return found


INDICES: Final = (
    (Name("SX001", "종합지수(모의)", "Composite index (simulated)"), None),
    (Name("SX002", "대형 20 지수(모의)", "Large 20 index (simulated)"), 20),
)
"""The indices of the market, and how many of its stocks each is made of, those that trade most; None: all."""
_INDEX_BASE: Final = 1_000  # what an index is while every stock is at its base
_INDEX_STEP: Final = _PRICE // 100


def tick_size(price: int) -> int:
    """The step of the price grid at a price, both in won."""
    return next((step for below, step in TICK_SIZES if price < below), _LARGEST_STEP)


def on_grid(price: float) -> int:
    """The nearest price that may be quoted."""
    step = tick_size(int(price))
    return max(1, round(price / step)) * step


class _Stock:
    """One symbol's walk. Volatility feeds on the last move and returns slowly, so that quiet and wild times cluster."""

    def __init__(self, code: str, base: int) -> None:
        self.code, self.base, self.price = code, base, base
        step = tick_size(base * (100 - LIMIT_PERCENT) // 100)
        self.lowest = -(-base * (100 - LIMIT_PERCENT) // 100 // step) * step
        self.highest = base * (100 + LIMIT_PERCENT) // 100
        self.highest -= self.highest % tick_size(self.highest)
        self.exact = float(base)
        self.calm = 0.0006
        self.volatility = self.calm
        self.volume = 0
        self.value = 0
        self.open = self.high = self.low = 0  # of the trades so far
        self.halted = False

    def count(self, size: int) -> None:
        """A trade of this size at the price of now."""
        self.volume += size
        self.value += size * self.price
        self.open = self.open or self.price
        self.high, self.low = max(self.high, self.price), min(self.low or self.price, self.price)

    def move(self, rng: random.Random) -> int:
        """The next price; in ticks -1, 0 or +1 and more the direction it went."""
        before = self.price
        change = rng.gauss(0.0, self.volatility) - 0.0005 * math.log(self.exact / self.base)
        self.volatility = math.sqrt(0.05 * self.calm**2 + 0.12 * change**2 + 0.83 * self.volatility**2)
        self.exact = min(max(self.exact * math.exp(change), float(self.lowest)), float(self.highest))
        self.price = min(max(on_grid(self.exact), self.lowest), self.highest)
        return self.price - before


class SimulatedMarket:
    """Rows one by one. The sequence depends only on seed and number of symbols; times are the caller's. Ticks are
    numbered from `first_seq`, and so are order books and events together: each in the order in which it leaves."""

    def __init__(self, *, symbols: int, seed: int, first_seq: int = 1) -> None:
        # Not for secrets: a seed has to give the same day again.
        self._rng = random.Random(seed)  # noqa: S311  # see the line above
        self._stocks = [_Stock(one.code, self._base_price()) for one in names(symbols)]
        weights = [1.0 / (rank + 3) for rank in range(symbols)]
        self._rng.shuffle(weights)
        self._busy = list(itertools.accumulate(weights))
        largest = sorted(zip(weights, self._stocks, strict=True), key=lambda pair: -pair[0])
        self._indices = [(one.code, largest[:members]) for one, members in INDICES]
        self._seq = self._beside_seq = first_seq
        self._last_us = 0
        self._moved: dict[_Stock, None] = {}  # those that traded since events were asked for, in that order
        # Of its own, so that the same seed gives the same trades with and without what is told beside them.
        self._beside = random.Random(seed)  # noqa: S311  # as above

    def trade(self, now_us: int) -> list[Row]:
        """The next trade, and sometimes the quote that follows it. Times never go back."""
        rng = self._rng
        self._last_us = now_us = max(now_us, self._last_us)
        stock = self._stocks[bisect.bisect(self._busy, rng.random() * self._busy[-1])]
        moved = stock.move(rng)
        buys = rng.random() < (0.5 if moved == 0 else 0.85 if moved > 0 else 0.15)
        size = max(1, min(int(rng.lognormvariate(2.6, 1.3)), 100_000))
        stock.count(size)
        self._moved[stock] = None
        rows: list[Row] = [
            {
                "symbol": stock.code,
                "time_us": now_us,
                "kind": Kind.TRADE,
                "price": stock.price * _PRICE,
                "size": size * _SIZE,
                "side": Side.BUY if buys else Side.SELL,
                "seq": self._take_seq(),
                "cum_volume": stock.volume * _SIZE,
            }
        ]
        if rng.random() < _QUOTE_SHARE:
            rows.append(self._quote(stock, now_us, buys=buys))
        return rows

    def book(self, now_us: int) -> Row:
        """Ten levels of one of the stocks around its price; fewer near the day's limits."""
        rng, stock = self._beside, self._any_stock()
        bids, asks = [], []
        bid, ask = stock.price - tick_size(stock.price - 1), stock.price
        for _ in range(LEVELS):
            if bid >= stock.lowest:
                bids.append((bid * _PRICE, self._depth()))
                bid -= tick_size(bid - 1)
            if ask <= stock.highest:
                asks.append((ask * _PRICE, self._depth()))
                ask += tick_size(ask)
        return {
            "symbol": stock.code,
            "time_us": max(now_us, self._last_us),
            "kind": Kind.BOOK,
            "seq": self._take_beside_seq(),
            "bids": bids,
            "asks": asks,
            "bid_total": sum(size for _, size in bids) + rng.randrange(10**4) * _SIZE,
            "ask_total": sum(size for _, size in asks) + rng.randrange(10**4) * _SIZE,
            "cum_volume": stock.volume * _SIZE,
        }

    def snapshot(self, now_us: int) -> Row:
        """One of the stocks as a poll shows it, with its day so far."""
        stock = self._any_stock()
        traded = {"open": stock.open, "high": stock.high, "low": stock.low}
        change = (stock.price - stock.base) * 100 * _PRICE
        return {
            "symbol": stock.code,
            "time_us": max(now_us, self._last_us),
            "kind": Kind.SNAPSHOT,
            "seq": self._take_seq(),
            "price": stock.price * _PRICE,
            "cum_volume": stock.volume * _SIZE,
            "cum_value": stock.value * 100,
            "prev_close": stock.base * _PRICE,
            "upper_limit": stock.highest * _PRICE,
            "lower_limit": stock.lowest * _PRICE,
            "change_rate": change // stock.base // 10**6 * 10**6,  # two decimal places
            **{name: price * _PRICE for name, price in traded.items() if stock.volume},
        }

    def events(self, now_us: int) -> list[Row]:
        """What happened since this was asked: stocks that went further than +-2 % from their base, or came back."""
        found: list[Row] = []
        moved, self._moved = self._moved, {}
        for stock in moved:
            beyond = abs(stock.price - stock.base) * 50 > stock.base
            if beyond != stock.halted:
                stock.halted = beyond
                body = {"base": str(stock.base), "price": str(stock.price), "state": "on" if beyond else "off"}
                found.append(self._event("vi", now_us, body, symbol=stock.code))
        return found

    def indices(self, now_us: int) -> list[Row]:
        """The indices as they stand: how far their stocks are from their bases, weighted by how much of the market's
        trading each is. Nobody trades an index: its rows are trades of the least size, for of nothing no candle is
        made."""
        found: list[Row] = []
        for code, members in self._indices:
            whole = sum(weight for weight, _ in members)
            level = _INDEX_BASE * sum(weight * stock.price / stock.base for weight, stock in members) / whole
            price = round(level * _PRICE / _INDEX_STEP) * _INDEX_STEP
            time_us = max(now_us, self._last_us)
            row: Row = {"symbol": code, "time_us": time_us, "kind": Kind.TRADE, "price": price, "size": 1}
            found.append({**row, "seq": self._take_seq()})
        return found

    def opening(self, now_us: int) -> Row:
        """That the market is open."""
        return self._event("market_status", now_us, {"state": "open", "symbols": len(self._stocks)})

    def _event(self, event: str, now_us: int, body: Mapping[str, object], symbol: str | None = None) -> Row:
        return {
            "kind": Kind.STATUS,
            "event": event,
            "symbol": symbol,
            "time_us": max(now_us, self._last_us),
            "seq": self._take_beside_seq(),
            "body": body,
        }

    def _any_stock(self) -> _Stock:
        return self._stocks[bisect.bisect(self._busy, self._beside.random() * self._busy[-1])]

    def _depth(self) -> int:
        return (int(self._beside.lognormvariate(6.0, 1.0)) + 1) * int(_SIZE)

    def _take_beside_seq(self) -> int:
        self._beside_seq += 1
        return self._beside_seq - 1

    def _quote(self, stock: _Stock, now_us: int, *, buys: bool) -> Row:
        # The price just traded is the best ask after a buy, the best bid after a sale.
        ask = stock.price if buys else stock.price + tick_size(stock.price)
        bid = stock.price - tick_size(stock.price - 1) if buys else stock.price
        bid_size, ask_size = (int(self._rng.lognormvariate(5.0, 1.0)) + 1 for _ in range(2))
        return {
            "symbol": stock.code,
            "time_us": now_us,
            "kind": Kind.QUOTE,
            # At a limit one side of the book is empty.
            "bid": max(bid, stock.lowest) * _PRICE,
            "ask": min(ask, stock.highest) * _PRICE,
            "bid_size": bid_size * _SIZE,
            "ask_size": ask_size * _SIZE,
            "seq": self._take_seq(),
        }

    def _base_price(self) -> int:
        return on_grid(math.exp(self._rng.uniform(math.log(1_500), math.log(700_000))))

    def _take_seq(self) -> int:
        self._seq += 1
        return self._seq - 1
