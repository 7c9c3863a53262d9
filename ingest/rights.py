"""What a client may write of what it sends: judged in the worker before anything is stored. What it may not is refused
like any other row, with its reason.

A worker remembers what it was told for some seconds; what is remembered too long is only too strict or one of a few too
many, and the database has the last word where two may not have the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ingest.batch_decoding import Batch
from ingest.validation import Faults
from marketdata import alarms
from marketdata.limits import quotas
from marketdata.models import Client, Feed, IngestStream, TradeDate
from marketdata.reference.owners import Owners
from marketdata.reference.symbols import Directory, Rules
from marketdata.types import reject_reasons, scopes, tick_arrays
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import SEQ_BITS, STREAM_SHIFT, Mask, Ticks
from marketdata.types.units import date_of, day_of
from terminals import wire

NEAR_DAYS = 10  # dates this near to today are ordinary business and use up no quota
REMEMBERED = 10_000
Find = Callable[[list[str]], Mapping[str, Rules]]


@dataclass(slots=True)
class _Known:
    """A client as it was in the database some seconds ago."""

    client: Client
    read_at: float


class Rights:
    """The rights of all clients as one worker process knows them."""

    def __init__(self, *, keep_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s, self._clock = keep_s, clock
        self._client_of: dict[int, int] = {}
        self._clients: dict[int, _Known] = {}
        self._feeds: dict[str, bool] = {}  # name -> shared
        self._feeds_read_at = float("-inf")
        self._owners = Owners(keep_s=min(keep_s, 2.0), clock=clock)
        self._dates: set[int] = set()

    def client(self, stream: int) -> Client | None:
        """Whose spool this is; None if nobody knows it."""
        number = self._client_of.get(stream)
        if number is None:
            number = IngestStream.objects.filter(pk=stream).values_list("client", flat=True).first()
            if number is None:
                return None
            if len(self._client_of) >= REMEMBERED:
                self._client_of.clear()
            self._client_of[stream] = number
        self._read_clients({number})
        return self._clients[number].client

    def _read_clients(self, numbers: set[int]) -> None:
        """Read these clients if one of them has to be read, and all others that are known with them, so that their
        turns do not come one by one. Client.DoesNotExist if there is none of such a number."""
        now = self._clock()
        if all(n in self._clients and now - self._clients[n].read_at <= self._keep_s for n in numbers):
            return
        found = Client.objects.in_bulk(numbers | self._clients.keys())
        self._clients = {number: _Known(client, now) for number, client in found.items()}
        if missing := numbers - found.keys():
            raise Client.DoesNotExist(f"no client {sorted(missing)}")

    # --- whole batches ------------------------------------------------------------------------------------------------

    def refuse(self, batches: Iterable[Batch]) -> None:
        """Mark the batches of feeds that may not be written as refused."""
        of_stream: dict[tuple[int, str], list[Batch]] = {}
        for batch in batches:
            if batch.decoded is not None:
                of_stream.setdefault((batch.number >> SEQ_BITS, batch.feed), []).append(batch)
        self._read_clients({number for stream, _ in of_stream if (number := self._client_of.get(stream)) is not None})
        for (stream, feed), sent in of_stream.items():
            if error := self._feed(feed, self.client(stream)):
                for batch in sent:
                    batch.refusal, batch.decoded = error, None

    def _feed(self, name: str, client: Client | None) -> wire.BatchError | None:
        if client is not None and not client.may_write(name):
            told = f"this client may not write the feed {name}, but: {client.feeds or 'none'}"
            message = format_lazy(
                _("{client} sends to {feed} and may write: {feeds}. If that is right, allow it in the admin (clients)"),
                client=client.name, feed=name, feeds=client.feeds or _("none"),
            )  # fmt: skip
            alarms.raise_often("feed_refused", message, subject=f"{client.name} {name}")
            return wire.BatchError("feed_refused", f"{told}. An administrator may allow it")
        if name not in self._feeds:
            self._read_feeds()
        if name not in self._feeds:
            if not quotas.FEEDS.take(1, client):
                return wire.BatchError("quota_reached", f"no new feed {name}: {quotas.FEEDS.reached()}")
            Feed.objects.get_or_create(name=name, defaults={"created_by": client})
            self._read_feeds()
        return None

    def _read_feeds(self) -> None:
        self._feeds = dict(Feed.objects.values_list("name", "shared"))
        self._feeds_read_at = self._clock()

    # --- symbols ------------------------------------------------------------------------------------------------------

    def register(self, batch: Batch, directory: Directory) -> None:
        """Register the symbols a batch brings, as far as its client's quota goes."""
        if not batch.register_market or batch.decoded is None:
            return
        wanted = batch.named
        known = directory.find(wanted)
        unknown = [code for code in wanted if code not in known and directory.can_register(code, batch.register_market)]
        if not unknown:
            return
        client = self.client(batch.number >> SEQ_BITS)
        granted = quotas.SYMBOLS.take(len(unknown), client) if client is not None else len(unknown)
        if granted:
            directory.register(unknown[:granted], batch.register_market, batch.feed, client)
        batch.over_quota.update(unknown[granted:])

    # --- gaps ---------------------------------------------------------------------------------------------------------

    def judge_gaps(self, batches: Iterable[Batch], find: Find) -> None:
        """Note on batches of gaps which of them their client may not report: of a symbol that it may not write, or more
        than its quota of a day. A gap of a whole feed is judged with its batch (`refuse`). `find` gives the rules of
        symbols. The quota is asked once for all batches of a client, for that counts rows in the database."""
        of_client: dict[int, list[Batch]] = {}
        for batch in batches:
            if batch.decoded is not None and batch.decoded.gaps:
                client = self.client(batch.number >> SEQ_BITS)
                batch.refuse_gaps(_named(self._gap_faults(batch, batch.decoded.gaps, client, find)))
                if client is not None:
                    of_client.setdefault(client.pk, []).append(batch)
        for sent in of_client.values():
            granted = quotas.GAPS.take(sum(len(batch.gaps) for batch in sent), self.client(sent[0].number >> SEQ_BITS))
            for batch in sent:
                may = list(batch.gaps)
                if len(may) > granted:
                    over = dict.fromkeys(may[granted:], Fault.QUOTA_REACHED)
                    batch.refuse_gaps(batch.refused_gaps | _named(over))
                granted -= len(batch.gaps)

    def _gap_faults(
        self, batch: Batch, gaps: Sequence[wire.Gap], client: Client | None, find: Find
    ) -> dict[int, Fault]:
        of_symbol = self._symbol_faults(batch, client, find)
        return {place: of_symbol[gap.symbol] for place, gap in enumerate(gaps) if gap.symbol in of_symbol}

    def _symbol_faults(self, batch: Batch, client: Client | None, find: Find) -> dict[str | None, Fault]:
        """Of the symbols that a batch names, those that its client may not write, and why."""
        rules = find(batch.named)
        faults: dict[str | None, Fault] = {}
        for code in batch.named:
            rule = rules.get(code)
            if code in batch.over_quota:
                faults[code] = Fault.QUOTA_REACHED
            elif rule is None:
                faults[code] = Fault.SYMBOL_UNKNOWN
            elif client is not None and not scopes.allows(client.markets, rule.market):
                faults[code] = Fault.MARKET_REFUSED
        if client is not None:
            left = [code for code in batch.named if code not in faults]
            # Only rows make an owner: one that stands by tells of gaps too.
            others = [] if self._is_shared(batch.feed, client) else self._owners.of_others(batch.feed, left, client)
            self._tell_others(batch.feed, sorted(others), client)
            faults |= dict.fromkeys(others, Fault.FEED_REFUSED)
        return faults

    # --- rows ---------------------------------------------------------------------------------------------------------

    def judge(self, batches: list[Batch], ticks: Ticks, faults: Faults, find: Find) -> None:
        """Add to the rows' faults what their client may not write. `ticks` are those of `batches`, of one feed; `find`
        gives the rules of symbols."""
        stream = ticks.tick_id >> STREAM_SHIFT
        of_stream: dict[int, list[Batch]] = {}
        for batch in batches:
            of_stream.setdefault(batch.number >> SEQ_BITS, []).append(batch)
        dates_known = self._dates.issuperset(tick_arrays.trading_dates(ticks))
        for number, sent in sorted(of_stream.items()):
            client = self.client(number)
            if dates_known and self._may_send_all(client, sent, ticks.feed):
                continue
            mine = stream == number
            over = set().union(*(one.over_quota for one in sent))
            if over:
                named = np.array([code in over for code in ticks.symbols] + [False])
                faults |= np.where(mine & named[ticks.symbol], np.uint64(Fault.QUOTA_REACHED), np.uint64(0))
            if client is not None:
                self._judge_scope(client, ticks, mine, faults, find)
            self._judge_dates(client, ticks, mine & (faults == 0), faults)
            if client is not None:
                self._judge_owner(client, ticks, mine & (faults == 0), faults)

    def _may_send_all(self, client: Client | None, batches: list[Batch], feed: str) -> bool:
        """Whether nothing of these batches need be looked at, whatever their rows are: nearly always so, and quick to
        say."""
        if any(batch.over_quota for batch in batches):
            return False
        if client is None:
            return True
        if client.kinds != scopes.ANY or client.markets != scopes.ANY:
            return False
        if self._is_shared(feed, client):
            return True
        named = {code for batch in batches if batch.decoded is not None for code in batch.decoded.symbols}
        return self._owners.owns(feed, named, client)

    def _judge_scope(self, client: Client, ticks: Ticks, rows: Mask, faults: Faults, find: Find) -> None:
        refused = []
        if client.kinds != scopes.ANY:
            kinds = [kind for kind in wire.Kind if scopes.allows(client.kinds, kind.name.lower())]
            wrong = rows & (faults == 0) & ~np.isin(ticks.kind, kinds)
            faults |= np.where(wrong, np.uint64(Fault.KIND_REFUSED), np.uint64(0))
            refused += ["kinds"] if wrong.any() else []
        if client.markets != scopes.ANY:
            rules = find(ticks.symbols)
            allowed = [code in rules and scopes.allows(client.markets, rules[code].market) for code in ticks.symbols]
            # An event may be of no symbol, and so of no market; ticks of none were refused before.
            wrong = rows & (faults == 0) & ~np.array([*allowed, True])[ticks.symbol]
            faults |= np.where(wrong, np.uint64(Fault.MARKET_REFUSED), np.uint64(0))
            refused += ["markets"] if wrong.any() else []
        for name in refused:
            message = format_lazy(
                _(
                    "{client} sends other {what} than it may: {known}."
                    " If that is right, allow it in the admin (clients)"
                ),
                client=client.name, what=name, known=getattr(client, name) or _("none"),
            )  # fmt: skip
            alarms.raise_often("scope_refused", message, subject=f"{client.name} {name}")

    def _judge_owner(self, client: Client, ticks: Ticks, rows: Mask, faults: Faults) -> None:
        sent = np.unique(ticks.symbol[rows & (ticks.symbol >= 0)]).tolist()
        others = self._owned_by_others(ticks.feed, [ticks.symbols[index] for index in sent], client)
        if others:
            indices = [index for index in sent if ticks.symbols[index] in others]
            faults |= np.where(rows & np.isin(ticks.symbol, indices), np.uint64(Fault.FEED_REFUSED), np.uint64(0))

    def _owned_by_others(self, feed: str, codes: Sequence[str], client: Client) -> list[str]:
        """The symbols whose feed belongs to another client, with an alarm; what belongs to nobody is this one's now."""
        if self._is_shared(feed, client):
            return []
        owned = self._owners.owned(feed, codes, client)
        others = [code for code in codes if code not in owned]
        self._tell_others(feed, others, client)
        return others

    def _tell_others(self, feed: str, others: Sequence[str], client: Client) -> None:
        """Raise the alarm that a client sends what belongs to others, if it does."""
        if others:
            alarms.raise_often(
                "feed_refused",
                format_lazy(
                    _(
                        "{client} sends {number:,} symbols of {feed} that belong to other clients ({first}, …). If it"
                        " is to take over: `manage.py feeds transfer`; if both are to send: *shared* in the admin"
                    ),
                    client=client.name,
                    number=len(others),
                    feed=feed,
                    first=", ".join(others[:5]),
                ),
                subject=f"{client.name} {feed}",
            )

    def _is_shared(self, feed: str, client: Client) -> bool:
        """Whether nobody owns what this client sends of a feed."""
        if client.shares_feeds:
            return True
        if self._clock() - self._feeds_read_at > self._keep_s:
            self._read_feeds()
        return self._feeds.get(feed, False)

    def _judge_dates(self, client: Client | None, ticks: Ticks, rows: Mask, faults: Faults) -> None:
        days = np.unique(ticks.trade_date[rows]).tolist()
        new = [day for day in days if day not in self._dates]
        if not new:
            return
        dates = {day: date_of(day) for day in new}
        known = TradeDate.objects.filter(trade_date__in=dates.values()).values_list("trade_date", flat=True)
        self._dates |= {day_of(date) for date in known}
        new = [day for day in new if day not in self._dates]
        today = int(time.time()) // 86_400
        near = [day for day in new if abs(day - today) <= NEAR_DAYS]
        far = [day for day in new if abs(day - today) > NEAR_DAYS]
        if far and client is not None:
            far = far[: quotas.DATES_OF_CLIENT.take(len(far), client)]
        if far:
            far = far[: quotas.DATES.take(len(far), client)]
        granted = [*near, *far]
        TradeDate.objects.bulk_create(
            [TradeDate(trade_date=dates[day], client=client if day in far else None) for day in granted],
            ignore_conflicts=True,
        )
        self._dates |= set(granted)
        refused = [day for day in new if day not in self._dates]
        if refused:
            faults |= np.where(rows & np.isin(ticks.trade_date, refused), np.uint64(Fault.QUOTA_REACHED), np.uint64(0))


def _named(faults: Mapping[int, Fault]) -> dict[int, str]:
    """The reason of each."""
    return {place: reject_reasons.names(int(fault))[0] for place, fault in faults.items()}
