"""The terminals of the drill: three simulated markets on the same symbols and one replayed file."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from terminals import wire
from terminals.connection import Address
from terminals.link import Config, Failed, Identity
from terminals.link import Terminal as Link
from terminals.sources import replay
from tests.drill import sample
from tests.drill.accounting import MINUTE_US, Tick, breaks, turned_back
from tests.drill.programs import ROOT
from tests.drill.recorded_state import Sent, sources_words
from tests.drill.stack import Terminal

REAL_TRADES = ROOT.parent / "shared/data/es_trades.csv"
SIMULATORS = 3
WITH_BOOKS = 3
"""The market that sends order books, events and snapshots, too."""
SYMBOLS = 200
QUOTES = 1.3  # rows a simulated trade makes on average


def enlist(
    folder: Path,
    *,
    servers: Sequence[str],
    rate: int,
    seed: int,
    simulators: int = SIMULATORS,
    options: Sequence[str] = (),
) -> list[Terminal]:
    """Register the clients in the database of the settings; `rate` is rows a second of all of them. They take turns
    with `servers`, each of which is one address or several with commas between."""
    import django

    django.setup()
    from django.db import connections

    (folder / "terminals").mkdir()
    file = REAL_TRADES if REAL_TRADES.is_file() else sample.write(folder / "terminals/trades.csv", seed=seed)
    content = replay.examine(file)
    share = rate / (simulators + 1)
    speed = max(1.0, share * content.span_us / 1e6 / content.rows)
    crew = []
    turns = itertools.cycle(servers)
    beside = ["--books-per-s", str(round(share / 4)), "--snapshots-per-s", str(round(share / 10))]
    for number in range(1, simulators + 1):
        market = ["--symbols", str(SYMBOLS), "--rate", str(round(share / QUOTES)), "--seed", str(seed * 10 + number)]
        market += beside if number == WITH_BOOKS else []
        what = ["simulate", *market, *options]
        crew.append(_member(folder, f"market{number}", "SIMULATOR", "sim", "KRX", next(turns), what))
    what = ["replay", str(file), "--speed", f"{speed:.1f}", "--loop", *options]
    crew.append(_member(folder, "replay", "REPLAY", "replay", "CME", next(turns), what))
    connections.close_all()
    return crew


def _member(folder: Path, name: str, source: str, feed: str, market: str, server: str, what: list[str]) -> Terminal:
    from marketdata.models import Client, Source

    _, secret = Client.objects.create_with_secret(
        name=name,
        source=Source.objects.get(code=source),
        may_send=True,
        may_register=True,
        shares_feeds=True,  # the simulated markets have the same symbols
    )
    home = folder / "terminals"
    spool, key_file, journal = home / name, home / f"{name}.key", home / f"{name}.journal"
    key_file.write_text(secret, encoding="ascii")
    command = [
        sys.executable, "-m", "terminals", *what, "--server", server, "--client", name, "--feed", feed,
        "--key-file", str(key_file), "--spool", str(spool), "--journal", str(journal), "--register-market", market,
    ]  # fmt: skip
    return Terminal(name, source, feed, command, spool, key_file, journal, market)


def enlist_reader() -> tuple[str, str]:
    """Key id and secret of a client that may only read; after `enlist`."""
    from django.db import connections

    from marketdata.models import Client

    client, secret = Client.objects.create_with_secret(name="reader", may_send=False, may_read=True)
    connections.close_all()
    return client.key_id, secret


def deliver(
    crew: list[Terminal], *, server: str, seconds: float, plain: bool = False, ca_file: str | None = None
) -> list[str]:
    """Open every spool once more and wait until the server has committed all of it; answers what went wrong."""
    limit, trouble = time.monotonic() + seconds, []
    address, *others = Address.parse_all(server, plain=plain, ca_file=ca_file)
    with ExitStack() as stack:
        links = []
        for member in crew:
            secret = member.key_file.read_text(encoding="ascii")
            identity = Identity(member.name, secret, member.source, member.register_market)
            config = Config(address, identity, member.feed, member.spool, journal=member.journal, others=tuple(others))
            links.append(stack.enter_context(Link(config)))
        for member, link in zip(crew, links, strict=True):
            try:
                if not link.wait_committed(max(0.0, limit - time.monotonic())):
                    trouble.append(f"{member.name}: {link.stats()} after {seconds:g} s")
            except Failed as failure:
                trouble.append(f"{member.name}: {failure}")
    return trouble


def skipped(member: Terminal, sent: Sent) -> int:
    """How often a terminal that was killed did not go on with its source where its spool ended. One that sends more
    than ticks goes on behind the number of all its rows."""
    if "--books-per-s" in member.command:
        return turned_back(tick.seq for tick in sources_words(sent))
    if member.source == "SIMULATOR":
        return breaks(tick.seq for tick in sources_words(sent))
    return sum(one != told for one, told in zip(sources_words(sent), _told(member), strict=False))


def _told(member: Terminal) -> Iterator[Tick]:
    """The file's rows, over and over, each pass moved on by the span of the file."""
    file = Path(member.command[member.command.index("replay") + 1])
    rows = list(replay.read(file))
    times = [row["time_us"] for row in rows]
    span_us = ((max(times) - min(times)) // MINUTE_US + 1) * MINUTE_US
    for number in itertools.count():
        for row in rows:
            yield Tick(
                member.feed, row["symbol"], row["time_us"] + number * span_us, wire.Kind.TRADE, row["price"],
                row["size"], row["side"] or None, row["seq"], None, None, None, None, None,
            )  # fmt: skip
