"""What KIS's simulator did against what the database has, to the share: every record that was sent is stored, or was
refused or set aside under a name, and what never came is a gap of as many shares."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHARE = 10**6
FEEDS = {"H0ST": "krx", "H0NX": "nxt", "H0UN": "unified"}
_FEEDS = tuple(FEEDS.values())
Key = tuple[str, str]
"""Feed and symbol."""


@dataclass(frozen=True)
class Stored:
    """What the database has of a day. Shares are whole."""

    kinds: Mapping[str, int]
    """Rows by kind: trade, expected, snapshot, book, status."""
    trades: Mapping[Key, int]
    """Rows of trades."""
    shares: Mapping[Key, int]
    gap_shares: Mapping[Key, int]
    dead_letters: int
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused rows by reason."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refused rows by kind."""
    rejected_shares: Counter[Key] = field(default_factory=Counter)
    """Of refused trades."""


@dataclass(frozen=True)
class Told:
    """What the simulator says of the same day."""

    sent: Mapping[Key, int]
    """Records of trades that can be read, by feed and symbol."""
    volumes: Mapping[Key, int]
    """What each symbol has traded, by the last record that could be read."""
    lost_shares: int
    """Of trades whose record was withheld or spoilt."""
    expected: int
    books: int
    """By the WebSocket."""
    polled_books: int
    """At most so many by REST, which is asked for those of a stock that no session brings."""


@dataclass
class Verdict:
    """`unexplained` is 0 when every share and record is where it must be; `findings` say what is not."""

    unexplained: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, amount: int, what: str) -> None:
        """Note a difference, if it is one."""
        if amount:
            self.unexplained += abs(amount)
            self.findings.append(f"{what}: {amount:+,}")


def told(account: Mapping[str, Any]) -> Told:
    """The simulator's account, of the trades of Korean stocks; other kinds of trades are not counted by volume."""
    return Told(
        sent=_by_key(account["sent"]),
        volumes=_by_key({key: sum(dates.values()) for key, dates in account["last_volume"].items()}),
        lost_shares=sum(_by_key(account["withheld_shares"]).values()),
        expected=account["expected"],
        books=account["books"],
        polled_books=account["rest"]["books"],
    )


def shares_are_there(sent: Told, found: Stored) -> bool:
    """Whether every share is in the database, as a trade, a refused one or one that is missing."""
    return not any(_shares(sent, found).values())


def judge(sent: Told, found: Stored, rows: Mapping[str, int]) -> Verdict:
    """Compare with what the simulator sent and with the rows by kind that the terminal says it sent. Books and expected
    prices that were lost with a connection were not sent by the terminal; shares are never lost, for the volumes tell
    how many they were."""
    verdict = Verdict()
    for key, difference in sorted(_shares(sent, found).items()):
        verdict.add(difference, f"{key[0]} {key[1]}, shares stored, refused and missing")
    for key in sorted(found.trades):
        verdict.add(max(0, found.trades[key] - sent.sent.get(key, 0)), f"{key[0]} {key[1]}, trades never sent")
    for kind in sorted({*rows, *found.kinds}):
        verdict.add(found.kinds.get(kind, 0) + found.refused.get(kind, 0) - rows.get(kind, 0), f"rows of {kind}")
    verdict.add(max(0, found.kinds.get("book", 0) - sent.books - sent.polled_books), "books never sent")
    verdict.add(found.dead_letters, "dead letters")
    return verdict


def _shares(sent: Told, found: Stored) -> dict[Key, int]:
    """What is there beyond what was traded, by feed and symbol."""
    there = (found.shares, found.gap_shares, found.rejected_shares)
    keys = {*sent.volumes, *found.shares, *found.gap_shares}
    return {key: sum(table.get(key, 0) for table in there) - sent.volumes.get(key, 0) for key in keys}


def stored(ask: Any, *, ticks: str = "temp_market_data") -> Stored:
    """Ask the database for what it has of KIS's feeds of stocks; `ask(sql)` answers rows. `ticks` is where to look, in
    SQL."""
    kinds, trades, shares = Counter[str](), Counter[Key](), Counter[Key]()
    for feed, symbol, kind, rows, size in ask(
        "SELECT feed, symbol, kind, COUNT(*), SUM(size)"
        f" FROM {ticks} WHERE feed IN {_FEEDS} GROUP BY feed, symbol, kind"
    ):
        kinds[kind] += rows
        if kind == "trade":
            trades[feed, symbol] += rows
            shares[feed, symbol] += int(size)
    kinds["book"] = ask(f"SELECT COUNT(*) FROM order_books WHERE feed IN {_FEEDS}")[0][0]
    kinds["status"] = ask(f"SELECT COUNT(*) FROM market_events WHERE feed IN {_FEEDS}")[0][0]
    found = Stored(
        kinds=+kinds,
        trades=trades,
        shares=shares,
        gap_shares={
            (feed, symbol): int(missing) // SHARE
            for feed, symbol, missing in ask(
                "SELECT feed, symbol, SUM(missing) FROM gap WHERE missing IS NOT NULL"
                f" AND feed IN {_FEEDS} GROUP BY feed, symbol"
            )
        },
        dead_letters=ask("SELECT COUNT(*) FROM dead_letter")[0][0],
    )
    for reason, feed, text in ask(
        "SELECT r.reasons, b.feed, r.record FROM ingest_reject r JOIN ingest_batch b ON b.batch = r.batch"
        f" WHERE b.feed IN {_FEEDS}"
    ):
        record = json.loads(text) if isinstance(text, str) else text
        kind = str(record.get("kind"))
        found.rejected[reason] += 1
        found.refused[kind] += 1
        if kind == "trade":
            found.rejected_shares[feed, record.get("symbol") or ""] += int(float(record.get("size") or 0))
    return found


def latency(samples: Iterable[tuple[str, str, int, int]], ask: Any) -> dict[str, Any]:
    """From the moment the simulator made a record until its batch was committed, in ms, and the mean of each step on
    the way: `gathered` until the terminal closed the batch, `sent` until the server had it (spool, fsync, link),
    `stored` until it was committed. `samples` are (TR, symbol, volume after the trade, UTC microseconds); what was
    lost or repeated is left out."""
    made_us = {
        (FEEDS[tr_id[:4]], symbol, volume): made for tr_id, symbol, volume, made in samples if tr_id[:4] in FEEDS
    }
    found = [
        (made_us[key], *stamps)
        for feed, symbol, volume, *stamps in ask(
            "SELECT t.feed, t.symbol, t.cum_volume, b.captured_us, b.received_us, b.committed_us"
            " FROM temp_market_data t JOIN ingest_batch b ON b.batch = t.tick_id >> 13 WHERE t.kind = 'trade'"
        )
        if (key := (feed, symbol, int(volume))) in made_us
    ]
    if not found:
        return {}
    waits = sorted((committed - made) / 1000 for made, *_, committed in found)
    steps = zip(("gathered", "sent", "stored"), zip(*map(itertools.pairwise, found), strict=True), strict=True)
    return {
        "mean": _mean(waits),
        "p50": round(waits[len(waits) // 2], 1),
        "p99": round(waits[len(waits) * 99 // 100], 1),
        "samples": len(waits),
        **{name: _mean([(end - start) / 1000 for start, end in pairs]) for name, pairs in steps},
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 1)


def _by_key(table: Mapping[str, int]) -> Counter[Key]:
    """By feed and symbol, of the TRs of Korean stocks; the keys of the account are `TR symbol`."""
    found: Counter[Key] = Counter()
    for key, count in table.items():
        tr_id, _, symbol = key.partition(" ")
        if tr_id[:4] in FEEDS:
            found[FEEDS[tr_id[:4]], symbol] += count
    return found
