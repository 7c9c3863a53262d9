"""When a trading day is over and its rollover due, and which days there are to do."""

from __future__ import annotations

import datetime

from django.conf import settings

from marketdata.calendar import trading_dates
from marketdata.models import Market, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import TEMP, Window
from marketdata.types.units import SEOUL

MARKET = "KRX"  # whose trading days decide when a day is over
State = RolloverRun.State


def current_date(now: datetime.datetime) -> datetime.date:
    """The trading day that is current at `now`: the days before it are due. It changes on trading days only, at
    ROLLOVER_TIME and the grace; over a weekend Friday stays current."""
    moment = (now - datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)).astimezone(SEOUL)
    day = moment.date() if moment.time() >= settings.ROLLOVER_TIME else moment.date() - datetime.timedelta(days=1)
    calendar = trading_dates.calendar(MARKET)
    while not calendar.is_session(day):
        day -= datetime.timedelta(days=1)
    return day


def due_at(date: datetime.date) -> datetime.datetime:
    """When the rollover of a trading date is due: ROLLOVER_TIME and the grace of the next trading day."""
    following = trading_dates.calendar(MARKET).next_session(date)
    at = datetime.datetime.combine(following, settings.ROLLOVER_TIME, SEOUL)
    return (at + datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)).astimezone(datetime.UTC)


def windows(date: datetime.date) -> list[Window]:
    """The regular sessions of all markets on a trading date; markets without one are left out."""
    found = []
    for market in Market.objects.order_by("code").values_list("code", flat=True):
        bounds = trading_dates.calendar(market).regular_window(date)
        if bounds is not None:
            found.append(Window(market=market, start_us=bounds[0], end_us=bounds[1]))
    return found


def register_days(now: datetime.datetime) -> None:
    """Know every day there is: those with ticks, and from the first call on each trading day, for a day on which
    nothing came is a finding and not a gap in the list."""
    current, newest = current_date(now), _newest_expected()
    expected = {current} if newest is None else _sessions(newest, current)
    known = set(RolloverRun.objects.values_list("trade_date", flat=True))
    new = (expected | set(storage().dates(TEMP))) - known
    RolloverRun.objects.bulk_create([RolloverRun(trade_date=date) for date in sorted(new)], ignore_conflicts=True)
    if newest is None or newest < current:
        RolloverRun.objects.filter(trade_date__in=expected).update(expected=True)


def unregistered(now: datetime.datetime) -> set[datetime.date]:
    """The trading days that are over and that nobody registered, because no rollover ran since."""
    newest = _newest_expected()
    if newest is None:
        return set()
    found = {date for date in _sessions(newest, current_date(now)) if date < current_date(now)}
    return found - set(RolloverRun.objects.filter(trade_date__in=found).values_list("trade_date", flat=True))


def _newest_expected() -> datetime.date | None:
    expected = RolloverRun.objects.filter(expected=True).order_by("-trade_date")
    return expected.values_list("trade_date", flat=True).first()


def _sessions(first: datetime.date, last: datetime.date) -> set[datetime.date]:
    return set(trading_dates.calendar(MARKET).sessions(first, last))


def due(now: datetime.datetime) -> list[RolloverRun]:
    """What there is to do at `now`: the day that became due last, then the others, newest first. Days that are over and
    not done, and done ones with late ticks, which wait until the day is over in every market they are of."""
    before, newest = current_date(now), newest_due(now)
    waiting = set(storage().dates(TEMP))
    runs = RolloverRun.objects.filter(trade_date__lt=before).order_by("-trade_date")
    chosen = runs.exclude(state=State.DONE) | runs.filter(state=State.DONE, trade_date__in=waiting)
    ready = [run for run in chosen if run.retry_at is None or run.retry_at <= now]
    found = [run for run in ready if run.state != State.DONE or going_on(run.trade_date, now) is None]
    return sorted(found, key=lambda run: run.trade_date != newest)


def newest_due(now: datetime.datetime) -> datetime.date:
    """The trading day that became due last; what is older than it is done a few at a time."""
    return trading_dates.calendar(MARKET).previous_session(current_date(now))


def going_on(date: datetime.date, now: datetime.datetime) -> datetime.datetime | None:
    """Until when ticks of a trading date may still be coming that are not late: of the markets that have ticks in TEMP,
    the last at which the date is over, and the grace. None when that is past. The evening of New York is after 08:00 in
    Seoul: its day is moved once at 08:00 and once when it has ended, not every minute in between."""
    if now >= datetime.datetime.combine(date + datetime.timedelta(days=2), datetime.time(), datetime.UTC):
        return None  # nowhere on earth
    codes = {symbol for symbol, _ in storage().tick_figures(date, tables=[TEMP])}
    markets = Symbol.objects.filter(code__in=codes).order_by().values_list("market_id", flat=True).distinct()
    ends = [trading_dates.calendar(market).ends_us(date) for market in markets]
    if not ends:
        return None
    until = datetime.datetime.fromtimestamp(max(ends) / 1e6, datetime.UTC)
    until += datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)
    return until if until > now else None
