"""A simulated KRX-like day, open at any hour. Loudly not real: source SIMULATOR, feed sim, codes from S00001."""

import argparse
import itertools
from collections.abc import Callable, Iterator
from typing import Final

from terminals.batcher import Row
from terminals.sources.contract import Pace, Receiver
from terminals.sources.market import SimulatedMarket
from terminals.wire.language import gettext as _
from terminals.wire.options import between

CODE: Final = "SIMULATOR"
FEED: Final = "sim"
MARKET: Final[str | None] = "KRX"
WHEN_FULL: Final = "block"
_STEP_S: Final = 0.01
_LATE_S: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source."""
    parser.add_argument(
        "--symbols", type=between(1, 50_000), default=300, metavar="N", help=_("number of symbols (300)")
    )
    parser.add_argument("--rate", type=between(1, 1_000_000), default=2000, metavar="N", help=_("trades a second"))
    parser.add_argument(
        "--seed",
        type=between(0, 2**31 - 1),
        default=1,
        metavar="N",
        help=_("random seed: same seed, same day"),
    )
    parser.add_argument("--trades", type=between(1, 10**12), metavar="N", help=_("end after N trades"))
    for name, what in (
        ("--books-per-s", _("order books a second (0), and events of their stocks")),
        ("--snapshots-per-s", _("snapshots with the day's figures a second (0)")),
        ("--indices-per-s", _("values of each index of the market a second (0)")),
    ):
        parser.add_argument(name, type=between(0, 100_000), default=0, metavar="N", help=what)


class Simulation:
    """Trades at a steady rate with the time of now; beside them, if asked for, order books and snapshots at rates of
    their own, and with the books events."""

    def __init__(
        self,
        *,
        symbols: int = 300,
        rate: int = 2000,
        seed: int = 1,
        trades: int | None = None,
        books_per_s: int = 0,
        snapshots_per_s: int = 0,
        indices_per_s: int = 0,
    ) -> None:
        self._symbols, self._rate, self._seed, self._trades = symbols, rate, seed, trades
        self._books_per_s, self._snapshots_per_s = books_per_s, snapshots_per_s
        self._indices_per_s = indices_per_s

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "Simulation":
        """As the command line says."""
        given = arguments
        return cls(
            symbols=given.symbols,
            rate=given.rate,
            seed=given.seed,
            trades=given.trades,
            books_per_s=given.books_per_s,
            snapshots_per_s=given.snapshots_per_s,
            indices_per_s=given.indices_per_s,
        )

    def describe(self) -> str:
        """One line for the log."""
        what = f"symbols={self._symbols} rate_per_s={self._rate} seed={self._seed}"
        if self._books_per_s or self._snapshots_per_s:
            what += f" books_per_s={self._books_per_s} snapshots_per_s={self._snapshots_per_s}"
        if self._indices_per_s:
            what += f" indices_per_s={self._indices_per_s}"
        return _("SIMULATED (nothing of this is real) {what}").format(what=what)

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Send until stopped, or until `trades` are sent: then True."""
        # A restart goes on counting where the spool ended, so that no two rows of an epoch share a number.
        for rows in self.produce(pace, first_seq=terminal.spool.rows_total + 1):
            terminal.send(rows)
        return pace.wait(0.0)

    def produce(self, pace: Pace, *, first_seq: int = 1) -> Iterator[list[Row]]:
        """The rows of each hundredth of a second, until the program is to stop."""
        market = SimulatedMarket(symbols=self._symbols, seed=self._seed, first_seq=first_seq)
        began, done = pace.now(), 0
        beside = _Beside(market, began, self._books_per_s, self._snapshots_per_s, self._indices_per_s)
        while (self._trades is None or done < self._trades) and pace.wait(_STEP_S):
            now = pace.now()
            owed = int((now - began) * self._rate) - done
            if owed > self._rate * _LATE_S:
                # The spool was full or the machine slept: a market does not make up for lost time.
                began = now - (done + self._rate * _LATE_S) / self._rate
                owed = int(self._rate * _LATE_S)
            owed = owed if self._trades is None else min(owed, self._trades - done)
            done += max(owed, 0)
            rows = list(itertools.chain.from_iterable(market.trade(pace.now_us()) for _ in range(owed)))
            rows += beside.rows(now, pace.now_us())
            if rows:
                yield rows


class _Beside:
    """Order books, events, snapshots and indices due beside the trades. What is late by more than half a second
    is left out, as with these."""

    def __init__(
        self, market: SimulatedMarket, began: float, books_per_s: int, snapshots_per_s: int, indices_per_s: int
    ) -> None:
        self._market = market
        self._rates: dict[Callable[[int], list[Row]], int] = {
            lambda now_us: [market.book(now_us)]: books_per_s,
            lambda now_us: [market.snapshot(now_us)]: snapshots_per_s,
            market.indices: indices_per_s,
        }
        self._since = dict.fromkeys(self._rates, began)
        self._is_open = not books_per_s
        self._tells_events = bool(books_per_s)

    def rows(self, now: float, now_us: int) -> list[Row]:
        """What is due by now (seconds that go forward), with `now_us` as its time."""
        found: list[Row] = []
        if not self._is_open:
            self._is_open = True
            found.append(self._market.opening(now_us))
        for make, rate in self._rates.items():
            if rate:
                since = max(self._since[make], now - max(_LATE_S, 1 / rate))
                owed = int((now - since) * rate)
                self._since[make] = since + owed / rate
                found += itertools.chain.from_iterable(make(now_us) for _ in range(owed))
        return found + (self._market.events(now_us) if self._tells_events else [])


open_source = Simulation.from_arguments
