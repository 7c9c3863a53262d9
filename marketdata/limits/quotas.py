"""How much clients may name into being. One mechanism for every kind of name: a limit, the current use, a metric, an
alarm near the limit and at it, and words that say what to do.

What is beyond a quota is refused and kept like any other refused row. Two processes that ask at the same moment may go
beyond a limit by what each of them was just granted; the limit guards against a flood, not against one more.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Q
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms, metrics
from marketdata.models import Alarm, Client, Feed, Gap, IngestStream, RolloverRun, Symbol, TradeDate
from marketdata.types.tick_arrays import SEQ_BITS, STREAM_BITS

DAY = datetime.timedelta(days=1)
NEAR, REACHED = "quota_near", "quota_reached"
FEW_GAPS = 1000


class QuotaReached(Exception):
    """There may be no more; the message names the quota and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """`limit` and `used` take the client (None for a quota of the whole installation); `share` is when the alarm
    begins; `own` is the key in `Client.quotas` of a limit of the client's own."""

    name: str
    what: Promise
    limit: Callable[[], int]
    used: Callable[[Client | None], int]
    advice: Promise
    own: str = ""
    share: float = 0.8

    def limit_of(self, client: Client | None) -> int:
        """How many there may be."""
        own = client.quotas.get(self.own) if client is not None and self.own else None
        return int(own) if own is not None else self.limit()

    def take(self, wanted: int, client: Client | None = None) -> int:
        """How many of `wanted` new names are granted. Tells metrics and alarms; call it outside a transaction."""
        of = client if self.own else None
        used, limit = self.used(of), self.limit_of(of)
        granted = max(min(wanted, limit - used), 0)
        if granted < wanted:
            metrics.QUOTA_REFUSED.labels(self.name).inc(wanted - granted)
        self.tell(used + granted, limit, of, refused=wanted - granted, by=client)
        return granted

    def tell(
        self, used: int, limit: int, client: Client | None = None, *, refused: int = 0, by: Client | None = None
    ) -> None:
        """Show the use of this quota, and raise or resolve its alarms (an active one at most once a minute)."""
        name = client.name if client is not None else ""
        metrics.QUOTA_USED.labels(self.name, name).set(used)
        metrics.QUOTA_LIMIT.labels(self.name, name).set(limit)
        subject = f"{self.name} {name}".strip()
        message = format_lazy(
            _("{used:,} of {limit:,} {what} by {client}. {advice}")
            if name
            else _("{used:,} of {limit:,} {what}. {advice}"),
            used=used, limit=limit, what=self.what, client=name, advice=self.advice,
        )  # fmt: skip
        if refused:
            more = format_lazy(
                _("{refused:,} more of {client} refused: {message}")
                if by is not None and client is None
                else _("{refused:,} more refused: {message}"),
                refused=refused, client=by.name if by is not None else "", message=message,
            )  # fmt: skip
            alarms.raise_often(REACHED, more, subject=subject)
        elif used >= limit * self.share:
            alarms.raise_often(NEAR, message, subject=subject)

    def reached(self, client: Client | None = None) -> QuotaReached:
        """The error for whoever asked for more."""
        limit = self.limit_of(client if self.own else None)
        return QuotaReached(f"there may be {limit:,} {alarms.english(self.what)}. {alarms.english(self.advice)}")


def _since() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - DAY


def _dates(_: Client | None) -> int:
    dropped = RolloverRun.objects.exclude(dropped_at=None).values("trade_date")
    return TradeDate.objects.exclude(trade_date__in=dropped).count()


def _gaps(client: Client | None) -> int:
    """Of the spools that may have sent since: those begun within the time, and the one before. One more than the limit
    tells as much as all of them, so no more are looked at."""
    since, most, found = _since(), GAPS.limit_of(client) + 1, 0
    for stream, begun in IngestStream.objects.filter(client=client).order_by("-pk").values_list("pk", "created_at"):
        found += _gaps_of(stream, since, most - found)
        if begun < since or found >= most:
            break
    return found


def _gaps_of(stream: int, since: datetime.datetime, most: int) -> int:
    """How many gaps a spool reported since, at most `most`: of its newest ones, a few first, for its batches come in
    order and are kept for longer than a year."""
    told = Gap.objects.filter(batch__gte=stream << SEQ_BITS, batch__lt=(stream + 1) << SEQ_BITS)
    found = 0
    for read in sorted({min(FEW_GAPS, most), most}):
        newest = told.order_by("-batch", "-idx")[:read]
        found = newest.aggregate(since=Count("pk", filter=Q(created_at__gt=since)))["since"]
        if found < read:
            break
    return found


def _raise(setting: str, own: str = "") -> Promise:
    return format_lazy(
        _(
            "If that is on purpose, raise {setting}, or the client's own limit `{own}` in the admin; else look at what"
            " the client sends"
        )
        if own
        else _("If that is on purpose, raise {setting}; else look at what the client sends"),
        setting=setting, own=own,
    )  # fmt: skip


SPOOLS = Quota(
    name="spools",
    what=_("new spools within 24 h"),
    limit=lambda: settings.QUOTA_SPOOLS_PER_DAY,
    used=lambda client: IngestStream.objects.filter(client=client, created_at__gt=_since()).count(),
    own="spools",
    advice=format_lazy(
        _("A terminal that loses its spool at each start should keep it on a lasting disk. {more}"),
        more=_raise("QUOTA_SPOOLS_PER_DAY", "spools"),
    ),
)
STREAMS = Quota(
    name="streams",
    what=_("numbers of spools"),
    limit=lambda: (1 << STREAM_BITS) - 1,
    used=lambda _: int(IngestStream.objects.order_by("-pk").values_list("pk", flat=True).first() or 0),
    advice=_("They are given once. Find the client that begins so many spools (admin, ingest streams) and mend it"),
    share=0.5,
)
SYMBOLS = Quota(
    name="symbols",
    what=_("registered symbols"),
    limit=lambda: settings.QUOTA_SYMBOLS_PER_CLIENT,
    used=lambda client: Symbol.objects.filter(registered_by=client).count(),
    own="symbols",
    advice=format_lazy(
        _("{raise_it}; `manage.py addsymbols` has no limit"), raise_it=_raise("QUOTA_SYMBOLS_PER_CLIENT", "symbols")
    ),
)
DATES_OF_CLIENT = Quota(
    name="dates_per_day",
    what=_("trading dates first written within 24 h"),
    limit=lambda: settings.QUOTA_DATES_PER_DAY,
    used=lambda client: TradeDate.objects.filter(client=client, created_at__gt=_since()).count(),
    own="dates",
    advice=format_lazy(
        _("{raise_it}. A long history is loaded in portions, a day each"),
        raise_it=_raise("QUOTA_DATES_PER_DAY", "dates"),
    ),
)
DATES = Quota(
    name="dates",
    what=_("trading dates with ticks"),
    limit=lambda: settings.QUOTA_DATES,
    used=_dates,
    advice=format_lazy(
        _("{raise_it}, or keep ticks for a shorter time (RETENTION_TICKS_DAYS)"), raise_it=_raise("QUOTA_DATES")
    ),
)
GAPS = Quota(
    name="gaps_per_day",
    what=_("gaps reported within 24 h"),
    limit=lambda: settings.QUOTA_GAPS_PER_DAY,
    used=_gaps,
    own="gaps",
    advice=_raise("QUOTA_GAPS_PER_DAY", "gaps"),
)
FEEDS = Quota(
    name="feeds",
    what=_("feeds"),
    limit=lambda: settings.QUOTA_FEEDS,
    used=lambda _: Feed.objects.count(),
    advice=format_lazy(
        _("{raise_it}; a feed that is not used any more is deleted in the admin"), raise_it=_raise("QUOTA_FEEDS")
    ),
)
OF_ALL = (STREAMS, DATES, FEEDS)
OF_CLIENT = {quota.name: quota for quota in (SPOOLS, SYMBOLS, DATES_OF_CLIENT, GAPS)}


def watch() -> None:
    """Show every quota of the installation, and clear the alarms of those that are below their share again."""
    active = [one for one in alarms.active() if one.code in (NEAR, REACHED)]
    for quota in OF_ALL:
        used, limit = quota.used(None), quota.limit_of(None)
        quota.tell(used, limit)
        if used < limit * quota.share:
            _clear(active, quota.name)
    for subject in {one.subject for one in active}:
        name, _space, who = subject.partition(" ")
        client = Client.objects.filter(name=who).first()
        if client is not None and name in OF_CLIENT:
            used, limit = OF_CLIENT[name].used(client), OF_CLIENT[name].limit_of(client)
            OF_CLIENT[name].tell(used, limit, client)
            if used < limit * OF_CLIENT[name].share:
                _clear(active, subject)


def _clear(active: list[Alarm], subject: str) -> None:
    for one in active:
        if one.subject == subject:
            alarms.resolve(one.code, subject=subject)
