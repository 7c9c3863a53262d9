"""Whether a restored database is what the original was while the backup was made (docs/backups.md). Writers went on, so
it is some moment between two looks at the original; what did not change between them must be the same, and what did is
proved by the restored database itself: ticks by its ledger, candles by its ticks."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Mod
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.maintenance import dropped
from marketdata.models import IngestBatch, IngestBatchDay, IngestRequeue, RolloverRun, VoidedTick
from marketdata.models.texts import Text
from marketdata.storage import Storage, storage_of
from marketdata.storage.backups import Progress
from marketdata.storage.base import BOOKS, EVENTS, HISTORY, MINUTES, PRICES, TEMP
from marketdata.types import checksums
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT, TICK_BITS, Ticks
from marketdata.types.tick_arrays import trades as trades_of
from marketdata.types.units import MINUTE_US

Looks = dict[str, dict[str, list[int]]]
"""Rows and checksum by table and trading date ("" for a table that has none)."""

LEDGER, DAYS = "ingest_batch", "ingest_batch_day"
# Rows are only added to these while a backup is made: whoever removes them, or changes what is settled, waits for the
# lease that the backup holds.
GROWING = (TEMP, HISTORY, MINUTES, BOOKS, EVENTS, PRICES, LEDGER, DAYS, "ingest_reject", "dead_letter", "gap")
# Rows that come and go within seconds: whether a copy has some says nothing of the copy.
FLEETING = ("feed_pending", "feed_notice", "feed_change")
PROOF = {TEMP: "ledger", HISTORY: "ledger", LEDGER: "ledger", DAYS: "ledger", MINUTES: "ticks"}
SETTLE_US = 120_000_000
"""No transaction lasts longer, so what the ledger has of before that is complete."""
Row = tuple[Any, ...]
FIXED = ("batch", "checksum", "received_us", "committed_us")
"""What never changes of a row of the ledger."""
PIECE = 2_000
MOST_PROBLEMS = 50


def look(
    store: Storage,
    tables: Sequence[str],
    *,
    step: str,
    progress: Progress,
    known: Mapping[datetime.date, Figure] | None = None,
) -> Looks:
    """Rows and checksum of all these tables. Reads every row, save for the days of history that are `known`: that they
    are still what they were is found in the restored copy."""
    found: Looks = {}
    for at, table in enumerate(tables):
        progress(step, at, len(tables))
        if table == HISTORY:
            figures_by_date = _history(store, known or {}, lambda words: progress(f"{step} {words}"))
        else:
            figures_by_date = store.table_figures(table)
        found[table] = {date: [one.rows, one.checksum] for date, one in figures_by_date.items()}
    return found


def _history(
    store: Storage, known: Mapping[datetime.date, Figure], progress: Callable[[str], None]
) -> dict[str, Figure]:
    """Day by day: all of a year in one statement would take longer than a statement may."""
    found = {}
    for date in sorted({*store.dates(HISTORY), *known}):
        if date not in known:
            progress(f"{date}")
        found[date.isoformat()] = known.get(date) or checksums.total(
            store.tick_figures(date, tables=[HISTORY]).values()
        )
    return found


def rolled_over() -> dict[datetime.date, Figure]:
    """The days that are done, as the rollover found them: from then on nothing changes them but the next rollover, for
    which whoever looks holds the lease."""
    runs = RolloverRun.objects.filter(state=RolloverRun.State.DONE, rows__gt=0, dropped_at=None)
    return {
        date: Figure(rows or 0, checksum or 0)
        for date, rows, checksum in runs.values_list("trade_date", "rows", "checksum")
    }


def ledger_now(alias: str, now_us: int) -> dict[str, Any]:
    """What must be in every backup that begins now: sums of what is settled, and by number what came last."""
    until_us = now_us - SETTLE_US
    recent = _batches(alias).filter(committed_us__gte=until_us).order_by("batch")
    return {
        "until_us": until_us,
        "old": _sums(alias, until_us),
        "recent": list(recent.values_list("batch", flat=True)),
    }


def excluded(kept: Mapping[str, Any]) -> list[str]:
    """The tables that a backup leaves out, as its manifest or report has them; `unkept` in those of before."""
    return list(kept.get("excluded_tables", kept.get("unkept", ())))


def naming(tables: Sequence[str]) -> dict[str, list[str]]:
    """The tables that a backup leaves out, for its manifest or report: by the name of today and by that of before, so
    that Naru of the version before can verify a backup of this one."""
    return {"excluded_tables": list(tables), "unkept": list(tables)}


def first(
    taken: Mapping[str, Any], restored: BaseDatabaseWrapper, original: str | None, *, progress: Progress
) -> dict[str, Any]:
    """Compare a restored database with the two looks at its original (`before`, `after`, `ledger` and the excluded
    tables of `taken`); with `original`, an alias, also each batch with its row there. Returns the report: `problems` of
    the copy, and in `changed` the days of history that are no longer what their rollover found, in the original as
    well."""
    before: Looks = taken["before"]
    after: Looks = taken["after"]
    store = storage_of(restored)
    tables = sorted(before)
    missing = sorted(set(tables) - set(restored.introspection.table_names()))
    problems: list[Text] = [format_lazy(gettext_lazy("{table} is missing"), table=table) for table in missing]
    mine = look(store, [table for table in tables if table not in missing], step=_("comparing"), progress=progress)
    report: dict[str, Any] = {"tables": {}, **naming(excluded(taken)), "checks": {}, "changed": []}
    moved: set[str] = set()
    for table, dates in mine.items():
        verdicts: dict[str, list[Any]] = {}
        for date in sorted(before[table].keys() | after[table].keys() | dates.keys()):
            left, right, here = (
                tuple(looks.get(date, (0, 0))) for looks in (before[table], after[table], dates)
            )  # fmt: skip
            verdict = "equal"
            if left != right and table in (TEMP, HISTORY, MINUTES, DAYS):
                moved.add(date)
            if table == HISTORY and left == right != here and _same_there(original, date, here):
                told = gettext_lazy(
                    "{date}: {rows:,} ticks (checksum {checksum}), its rollover found {then:,} ticks (checksum"
                    " {before})"
                )
                figures = {"rows": here[0], "checksum": here[1], "then": left[0], "before": left[1]}
                report["changed"].append(format_lazy(told, date=date, **figures))
            elif here not in (left, right):
                if table in FLEETING:
                    verdict = "read"
                elif left == right:
                    verdict = "different"
                    if table == HISTORY:
                        told = gettext_lazy(
                            "{table} {date}: {rows:,} rows, not {wanted:,}, or others than in the original or than the"
                            " rollover of that day found"
                        )
                    else:
                        told = gettext_lazy(
                            "{table} {date}: {rows:,} rows, not {wanted:,}, or others than in the original"
                        )
                    problems.append(format_lazy(told, table=table, date=date, rows=here[0], wanted=left[0]))
                elif table in GROWING and not left[0] <= here[0] <= right[0]:
                    verdict = "different"
                    told = gettext_lazy("{table} {date}: {rows:,} rows, neither {least:,} nor up to {most:,}")
                    problems.append(
                        format_lazy(told, table=table, date=date, rows=here[0], least=left[0], most=right[0])
                    )
                else:
                    verdict = PROOF.get(table, "read")
            verdicts[date] = [here[0], here[1], verdict]
        report["tables"][table] = verdicts
    if not missing:
        problems += _compare_ledger(taken["ledger"], restored.alias, original, report["checks"], progress)
        for day in sorted(datetime.date.fromisoformat(text) for text in moved if text):
            progress(_("comparing {day}").format(day=day))
            problems += _compare_ticks(store, day, report["checks"]) + _compare_candles(store, day, report["checks"])
    report["problems"] = problems[:MOST_PROBLEMS]
    return report


def _same_there(original: str | None, date: str, here: tuple[int, ...]) -> bool:
    """Whether the original has this of a day of history: then the copy is good, and the day is not what its rollover
    found."""
    if original is None:
        return False
    store = storage_of(connections[original])
    with store.long_running():
        told = checksums.total(store.tick_figures(datetime.date.fromisoformat(date), tables=[HISTORY]).values())
    return (told.rows, told.checksum) == here


def again(report: Mapping[str, Any], restored: BaseDatabaseWrapper, *, progress: Progress) -> dict[str, Any]:
    """Compare a restored database with what was found the first time."""
    wanted: dict[str, dict[str, list[Any]]] = report["tables"]
    missing = sorted(set(wanted) - set(restored.introspection.table_names()))
    problems: list[Text] = [format_lazy(gettext_lazy("{table} is missing"), table=table) for table in missing]
    there = [table for table in sorted(wanted) if table not in missing]
    mine = look(storage_of(restored), there, step=_("comparing"), progress=progress)
    tables: dict[str, dict[str, list[Any]]] = {}
    for table, dates in mine.items():
        tables[table] = {}
        for date in sorted(dates.keys() | wanted[table].keys()):
            here, then = dates.get(date, [0, 0]), wanted[table].get(date, [0, 0])[:2]
            tables[table][date] = [*here, "equal" if here == then else "different"]
            if here != then:
                told = gettext_lazy(
                    "{table} {date}: {rows:,} rows, not {wanted:,}, or others than when it was verified"
                )
                problems.append(format_lazy(told, table=table, date=date, rows=here[0], wanted=then[0]))
    return {**report, "tables": tables, "problems": problems[:MOST_PROBLEMS]}


@contextmanager
def opened(entry: Mapping[str, Any]) -> Iterator[BaseDatabaseWrapper]:
    """A connection to a restored database under an alias of its own, as long as the block runs."""
    alias = f"restored_{secrets.token_hex(4)}"
    plain = {
        "ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False,
        "TIME_ZONE": None, "NAME": "", "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "OPTIONS": {},
        "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": True, "MIRROR": None, "NAME": None},
    }  # fmt: skip
    connections.settings[alias] = plain | dict(entry)
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


# --- the ledger -------------------------------------------------------------------------------------------------------


def _batches(alias: str) -> QuerySet[IngestBatch]:
    return IngestBatch.objects.using(alias)


def _sums(alias: str, until_us: int) -> list[int]:
    """Sums that any difference in the rows of the ledger before a time would change."""
    # Reduced before they are added up: a sum of 64-bit numbers would not fit.
    wide = {name: Sum(Mod(F(name), PRIME)) for name in ("batch", "checksum", "received_us", "committed_us")}
    plain = {name: Sum(name) for name in ("rows", "stored", "rejected")}
    sums = _batches(alias).filter(committed_us__lt=until_us).aggregate(count=Count("batch"), **_named(wide | plain))
    return [int(sums[key] or 0) for key in sorted(sums)]


def _named(sums: Mapping[str, Any]) -> dict[str, Any]:
    """An aggregate may not be called like a column."""
    return {f"sum_{name}": value for name, value in sums.items()}


def _compare_ledger(
    then: Mapping[str, Any], alias: str, original: str | None, checks: dict[str, Any], progress: Progress
) -> list[Text]:
    problems: list[Text] = []
    if _sums(alias, then["until_us"]) != list(then["old"]):
        problems.append(gettext_lazy("ingest_batch: the settled part is not what it was when the backup began"))
    mine = _rows(_batches(alias).filter(committed_us__gte=then["until_us"]))
    lost = sorted(set(then["recent"]) - mine.keys())
    if lost:
        told = gettext_lazy("ingest_batch: {count:,} batches that were committed before are missing, first {first}")
        problems.append(format_lazy(told, count=len(lost), first=lost[0]))
    checks["batches"] = then["old"][0] + len(mine)
    if original is None:
        return problems
    numbers = sorted(mine)
    for start in range(0, len(numbers), PIECE):
        progress(_("ledger"), start, len(numbers))
        chosen = numbers[start : start + PIECE]
        theirs = _rows(_batches(original).filter(batch__in=chosen))
        wrong = {number for number in chosen if theirs.get(number) != mine[number]}
        theirs_by_day, mine_by_day = _days(original, chosen), _days(alias, chosen)
        wrong |= {key[0] for key in theirs_by_day.keys() | mine_by_day.keys()
                  if theirs_by_day.get(key) != mine_by_day.get(key)}  # fmt: skip
        wrong -= _changed_since(alias, original, wrong, mine, theirs)
        if wrong:
            told = gettext_lazy("ingest_batch: {count:,} batches are not what the original has, first {first}")
            problems.append(format_lazy(told, count=len(wrong), first=min(wrong)))
    checks["batches_compared"] = len(numbers)
    return problems


def _changed_since(
    alias: str, original: str, wrong: Iterable[int], mine: Mapping[int, Row], theirs: Mapping[int, Row]
) -> set[int]:
    """Those of the batches whose ticks were voided, put back or added by a requeue after the copy was made: their
    figures are others by now, and the rest of their rows is the same."""
    fixed = [at for at, field in enumerate(IngestBatch._meta.concrete_fields) if field.attname in FIXED]
    return {
        number
        for number in wrong
        if number in theirs
        and all(theirs[number][at] == mine[number][at] for at in fixed)
        and _corrections(alias, number) != _corrections(original, number)
    }


def _corrections(alias: str, batch: int) -> tuple[set[int], set[int]]:
    """What was done to a batch after it was stored: its requeues, and its ticks that are voided."""
    requeues = IngestRequeue.objects.using(alias).filter(batch=batch)
    voided = VoidedTick.objects.using(alias).filter(
        tick_id__gte=batch << TICK_BITS, tick_id__lt=(batch + 1) << TICK_BITS
    )
    return set(requeues.values_list("pk", flat=True)), set(voided.values_list("pk", flat=True))


def _rows(batches: QuerySet[IngestBatch]) -> dict[int, Row]:
    return {row[0]: row for row in batches.values_list(*(field.attname for field in IngestBatch._meta.concrete_fields))}


def _days(alias: str, numbers: Sequence[int]) -> dict[tuple[int, datetime.date], tuple[int, int]]:
    rows = IngestBatchDay.objects.using(alias).filter(batch__in=numbers)
    return {
        (batch, date): (count, checksum)
        for batch, date, count, checksum in rows.values_list("batch", "trade_date", "rows", "checksum")
    }


# --- ticks and candles ------------------------------------------------------------------------------------------------


def _compare_ticks(store: Storage, date: datetime.date, checks: dict[str, Any]) -> list[Text]:
    """Ticks and ledger commit together: a restored day has exactly the rows its ledger says, less what retention
    dropped; or the difference that a person accepted."""
    alias = store.connection.alias
    told = dropped.expected(date, using=alias)
    found = checksums.total(store.tick_figures(date).values())
    checks["ticks"] = checks.get("ticks", 0) + found.rows
    accepted = RolloverRun.objects.using(alias).filter(trade_date=date).values_list("accepted", flat=True).first()
    if told == found or (accepted and accepted.partition(": ")[0] == checksums.difference(told, found)):
        return []
    words = gettext_lazy("ticks {date}: {rows:,} rows, the ledger restored with them says {wanted:,}, or others")
    return [format_lazy(words, date=date, rows=found.rows, wanted=told.rows)]


def _compare_candles(store: Storage, date: datetime.date, checks: dict[str, Any]) -> list[Text]:
    """What the restored trades make is what the restored minute candles say; of a day of which retention dropped the
    ticks, the candles or the ledger neither is the whole."""
    wrong: list[Text] = []
    if dropped.kinds(date, using=store.connection.alias):
        return wrong
    candles: dict[str, Bars] = {}
    for symbol, feed in store.day_series(date):
        if feed not in candles:
            candles[feed] = store.read_day_minutes(date, feed)
        bars = candles[feed]
        mine = bars.take(np.isin(bars.symbol, [at for at, code in enumerate(bars.symbols) if code == symbol]))
        told = dict(_by_minute(mine))
        made = dict(_made(store.read_day_ticks(date, symbol, feed)))
        checks["candles"] = checks.get("candles", 0) + len(made)
        if told != made:
            words = gettext_lazy("market_data_minute {date} {feed}/{symbol}: not what the restored ticks make")
            wrong.append(format_lazy(words, date=date, feed=feed, symbol=symbol))
    return wrong


def _by_minute(bars: Bars) -> Iterable[tuple[int, tuple[int, ...]]]:
    for row in zip(*(getattr(bars, name).tolist() for name in ("time_us", "n", "volume", "high", "low")), strict=True):
        yield row[0], row[1:]


def _made(ticks: Ticks) -> Iterable[tuple[int, tuple[int, ...]]]:
    """n, volume, high and low of each minute."""
    trades = ticks.take(trades_of(ticks))
    if not len(trades):
        return
    order = np.argsort(trades.time_us, kind="stable")
    minute, price = trades.time_us[order] // MINUTE_US, trades.price[order]
    size = np.where(trades.size == ABSENT, 0, trades.size)[order]
    starts = np.flatnonzero(np.concatenate([[True], minute[1:] != minute[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(minute)]]))
    high, low = np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts)
    columns = (minute[starts] * MINUTE_US, counts, np.add.reduceat(size, starts), high, low)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        yield row[0], row[1:]
