"""Finished days as Parquet files: exported, read back and compared before they count.

`ARCHIVE_DIR/ticks/trade_date=2026-03-16/ticks.parquet`, and beside it `_ticks.json`, which says what is in it
(`manifests`). A file appears whole or not at all, and is only replaced by one that has every tick of it, save for those
that were voided. Ticks that came after those of the day were dropped are a further part beside the first,
`ticks-2.parquet` with `_ticks-2.json`; the parts together are the day.
What a file looks like inside is `marketdata.archive.parquet`'s.
"""

from __future__ import annotations

import datetime
import errno
import functools
import itertools
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata import alarms
from marketdata.archive import files, manifests, parquet, tables, verification
from marketdata.archive.files import ArchiveError
from marketdata.archive.manifests import Manifest, folder_of, manifest_of, path_of
from marketdata.ledger import day_ticks, voided
from marketdata.maintenance import Kept, dropped, leases
from marketdata.models import RolloverRun, Source, VoidedTick
from marketdata.storage import storage
from marketdata.storage.base import TEMP, Progress
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import Mask, Ticks

log = logging.getLogger(__name__)
LEASE, FAILED = "archive", "archive_failed"
TELL_ROWS = 1_000_000
State = RolloverRun.State
_KEPT = gettext_lazy(
    "Was an older database restored, or were ticks deleted or changed? `manage.py verify_day {date}` names what differs"
    " from the ledger. To archive what the database has all the same, move that file and its manifest elsewhere, or"
    " name another folder with `--to DIR`"
)


def silent(_: str) -> None:
    """For work that nobody watches."""


def due() -> list[datetime.date]:
    """The finished days that are not archived, oldest first; those with late ticks wait until these are moved."""
    days = RolloverRun.objects.filter(state=State.DONE, archived_at=None, dropped_at=None).order_by("trade_date")
    waiting = set(storage().dates(TEMP))
    return [date for date in days.values_list("trade_date", flat=True) if date not in waiting]


def run_due(progress: Progress = silent) -> list[datetime.date]:
    """Archive whatever is due, if ARCHIVE says so; returns the days that are archived now. May be called at any time by
    anybody. A day that fails sounds an alarm and holds up no other."""
    done: list[datetime.date] = []
    if not settings.ARCHIVE:
        return done
    try:
        for date in due():
            try:
                make(date, progress=progress)
            except (ArchiveError, parquet.Missing) as error:
                alarms.raise_alarm(FAILED, str(error), subject=date.isoformat())
                continue
            done.append(date)
    except leases.LeaseHeld as error:
        log.info("archive waits reason=%s", error)
    return done


def make(date: datetime.date, *, folder: Path | None = None, progress: Progress = silent) -> Manifest:
    """Archive one finished day, or find that its archive is there and right. Another `folder` than ARCHIVE_DIR gets a
    copy, which does not count as the day's archive."""
    parquet.arrow()
    with leases.hold(LEASE) as lease:

        def tell(words: str) -> None:
            lease.check()
            progress(words)

        run, found = _finished(date)
        part = dropped.ticks_gone(date) + 1
        manifest = _intact(date, folder, part)
        if manifest is None:
            _refuse_fewer(date, folder, part, checksums.total(found.values()))
        elif manifest.figure != checksums.total(found.values()):
            _refuse_loss(date, path_of(date, folder, part), manifest.rows, found)
            manifest = None
        if manifest is None:
            manifest = _export(run, found, folder, part, tell)
        for table in tables.ALL:
            table.make(date, folder=folder, part=part, progress=tell)
        if folder is None or folder.resolve() == Path(settings.ARCHIVE_DIR).resolve():
            lease.check()
            _note(run)
            alarms.resolve(FAILED, subject=date.isoformat())
        log.info("archived date=%s ticks=%d bytes=%d", date, manifest.rows, manifest.bytes)
        return manifest


def make_beside(name: str, dates: Sequence[datetime.date], *, progress: Progress = silent) -> None:
    """Archive what a table beside the ticks (`name`) has of these dates and its newest file of the date has not,
    whether the dates have ticks or not. Kept if that is not possible, or while another archives."""
    [table] = [one for one in tables.ALL if one.table == name]
    try:
        parquet.arrow()
        with leases.hold(LEASE) as lease:
            for date in dates:
                table.make(date, progress=progress)
                lease.check()
    except (ArchiveError, parquet.Missing, leases.LeaseHeld) as error:
        raise Kept(str(error)) from error


def _finished(date: datetime.date) -> tuple[RolloverRun, dict[tuple[str, str], Figure]]:
    """The day's run and figures, if it may be archived."""
    run = RolloverRun.objects.filter(trade_date=date).first()
    if run is None:
        raise ArchiveError(_("{date}: no such day is known. {known}").format(date=date, known=_range()))
    if run.dropped_at is not None:
        raise ArchiveError(
            _(
                "{date}: its ticks were dropped at {dropped_at:%Y-%m-%d %H:%M} UTC "
                "(RETENTION_TICKS_DAYS), there is nothing left to archive"
            ).format(date=date, dropped_at=run.dropped_at)
        )
    if run.state != State.DONE:
        raise ArchiveError(
            _(
                "{date}: is {state}, and only a day that is done is archived: `manage.py rollover "
                "--date {date}` does what is left"
            ).format(date=date, state=run.state)
        )
    found = storage().tick_figures(date)
    total, recorded = checksums.total(found.values()), Figure(run.rows or 0, run.checksum or 0)
    if total != recorded:
        if date in storage().dates(TEMP):
            raise ArchiveError(
                _(
                    "{date}: late ticks wait to be moved, which the rollover does within minutes "
                    "(`manage.py rollover --date {date}` at once); then archive it"
                ).format(date=date)
            )
        raise ArchiveError(
            _(
                "{date}: {rows:,} ticks are stored (checksum {checksum}), {recorded_rows:,} were "
                "counted when the day was done (checksum {recorded_checksum}). `manage.py verify_day "
                "{date}` names what differs"
            ).format(
                date=date,
                rows=total.rows,
                checksum=total.checksum,
                recorded_rows=recorded.rows,
                recorded_checksum=recorded.checksum,
            )
        )
    expected = dropped.expected(date)
    difference = checksums.difference(expected, total)
    if total != expected and run.accepted.partition(": ")[0] != difference:
        raise ArchiveError(
            _(
                "{date}: the ledger has {rows:,} ticks, stored are {total_rows:,} ({difference}). "
                "`manage.py verify_day {date}` names what differs"
            ).format(date=date, rows=expected.rows, total_rows=total.rows, difference=difference)
        )
    return run, found


def _intact(date: datetime.date, folder: Path | None, part: int) -> Manifest | None:
    """What the archive that is there says of itself, if its file is as it was written."""
    try:
        manifest = manifest_of(date, folder, part)
        verification.check_file(path_of(date, folder, part), manifest)
    except ArchiveError:
        return None
    return manifest


def _refuse_fewer(date: datetime.date, folder: Path | None, part: int, total: Figure) -> None:
    """ArchiveError if a file that was damaged or lost, so that its ticks cannot be compared, had more of them than the
    database."""
    path = path_of(date, folder, part)
    try:
        rows = manifest_of(date, folder, part).rows
    except ArchiveError:
        rows = parquet.count(str(path)) if path.exists() else 0
    if rows > total.rows:
        raise ArchiveError(
            _(
                "{date}: {path} has {rows:,} ticks, the database only {total_rows:,}, and the file or "
                "its manifest was changed or lost, so they cannot be compared and stay as they are. "
                "{advice}"
            ).format(date=date, path=path, rows=rows, total_rows=total.rows, advice=_KEPT.format(date=date))
        )


def _refuse_loss(date: datetime.date, path: Path, rows: int, found: dict[tuple[str, str], Figure]) -> None:
    """ArchiveError if an archive has ticks that are neither stored just as they are there nor voided: what it would be
    replaced by is not the whole of it. Memory holds a row group and a few series."""
    senders, lost = day_ticks.sources(), 0

    @functools.lru_cache(maxsize=4)  # a series may go on in the next row group
    def stored(symbol: str, feed: str) -> list[Ticks]:
        return _read(date, (symbol, feed), found[symbol, feed], senders) if (symbol, feed) in found else []

    for part in verification.read(path):
        for index in np.unique(part.symbol).tolist():
            symbol, mine = part.symbols[index], part.take(part.symbol == index)
            mine = mine.take(_not_among(mine, stored(symbol, part.feed)))
            if len(mine):
                taken = VoidedTick.objects.filter(trade_date=date, symbol=symbol, feed=part.feed)
                lost += int(_not_among(mine, voided.parts(list(taken))).sum())
    if lost:
        raise ArchiveError(
            _(
                "{date}: {path} has {rows:,} ticks, and {lost:,} of them are not in the database as "
                "they are there and were not voided, so it is kept as it is. {advice}"
            ).format(date=date, path=path, rows=rows, lost=lost, advice=_KEPT.format(date=date))
        )


def _not_among(ticks: Ticks, parts: Sequence[Ticks]) -> Mask:
    """Which of these ticks of one series are in none of the others with the same tick_id and content."""
    known = np.concatenate([np.zeros(0, np.int64), *(part.tick_id for part in parts)])
    if not len(known):
        return np.ones(len(ticks), bool)
    hashes = np.concatenate([checksums.row_hashes(part) for part in parts])
    order = known.argsort()
    place = order[np.searchsorted(known[order], ticks.tick_id).clip(max=len(known) - 1)]
    differs: Mask = (known[place] != ticks.tick_id) | (hashes[place] != checksums.row_hashes(ticks))
    return differs


def _export(
    run: RolloverRun, found: dict[tuple[str, str], Figure], folder: Path | None, number: int, progress: Progress
) -> Manifest:
    date, place = run.trade_date, folder_of(run.trade_date, folder)
    file, described = path_of(date, folder, number), manifests.manifest_path(date, folder, number)
    part, description = (path.with_name(path.name + files.TEMPORARY) for path in (file, described))
    total = checksums.total(found.values())
    try:
        place.mkdir(parents=True, exist_ok=True)
        try:
            groups = _write(part, date, found, progress)
            progress(_("{date} reading back").format(date=date))
            back = verification.figure_of(part)
            if back != total:
                raise ArchiveError(
                    _(
                        "{date}: the file has {rows:,} ticks (checksum {checksum}), the database "
                        "{total_rows:,} (checksum {total_checksum}); nothing was kept. Ticks that come late do "
                        "that; try again, and if it stays so check the disk"
                    ).format(
                        date=date,
                        rows=back.rows,
                        checksum=back.checksum,
                        total_rows=total.rows,
                        total_checksum=total.checksum,
                    )
                )
            size = part.stat().st_size
            manifest = Manifest(
                trade_date=date.isoformat(),
                rows=back.rows,
                checksum=back.checksum,
                sha256=files.sha256(part),
                bytes=size,
                bytes_per_tick=round(size / back.rows, 2) if back.rows else 0.0,
                row_groups=groups,
                made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                accepted=run.accepted,
                versions={"pyarrow": str(parquet.arrow().__version__), "parquet": "2.6"},
                part=number,
            )
            files.put(description, json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode())
            part.replace(file)
            description.replace(described)
            files.sync(place)
            files.sync(place.parent)
        finally:
            for one in (part, description):
                one.unlink(missing_ok=True)
            if not any(place.iterdir()):
                place.rmdir()
    except OSError as error:
        raise _not_written(date, place, error) from error
    return manifest


def _write(path: Path, date: datetime.date, found: dict[tuple[str, str], Figure], progress: Progress) -> int:
    """Write all series of a day; returns the number of row groups. Memory holds one symbol and one row group."""
    senders, told, rows = day_ticks.sources(), 0, sum(figure.rows for figure in found.values())
    with path.open("wb") as file:
        writer = parquet.Writer(file, sources=dict(Source.objects.values_list("id", "code")))
        try:
            for symbol, pairs in itertools.groupby(sorted(found), key=lambda pair: pair[0]):
                parts = [part for pair in pairs for part in _read(date, pair, found[pair], senders)]
                if parts:
                    writer.add(parts)
                if writer.rows - told >= TELL_ROWS:
                    told = writer.rows
                    progress(
                        _("{date} {symbol}: {told:,} / {rows:,} ticks").format(
                            date=date, symbol=symbol, told=told, rows=rows
                        )
                    )
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        file.flush()
        os.fsync(file.fileno())
    return writer.groups


def _read(date: datetime.date, series: tuple[str, str], figure: Figure, senders: dict[int, int]) -> list[Ticks]:
    try:
        return day_ticks.read(date, *series, figure=figure, sources=senders)
    except day_ticks.SourceUnclear as error:
        raise ArchiveError(
            _(
                "{date}: {series}: has {error}, or changed while it was read: try again; `manage.py "
                "verify_day {date}` says more"
            ).format(date=date, series=" ".join(series), error=error)
        ) from error


def _note(run: RolloverRun) -> None:
    """The day is archived, unless late ticks came or ticks were voided meanwhile: then it is due again."""
    unchanged = RolloverRun.objects.filter(
        pk=run.pk, state=State.DONE, rows=run.rows, checksum=run.checksum, dropped_at=None
    )
    if not unchanged.update(archived_at=datetime.datetime.now(datetime.UTC)):
        raise ArchiveError(
            _(
                "{trade_date}: late ticks came or ticks were voided while it was archived; the "
                "rollover moves those that came, then archive it again"
            ).format(trade_date=run.trade_date)
        )


def _not_written(date: datetime.date, place: Path, error: OSError) -> ArchiveError:
    what = _("no room left") if error.errno in (errno.ENOSPC, errno.EDQUOT) else _("cannot write")
    return ArchiveError(
        f"{date}: {what}: {place} ({error}). Nothing half-written was left. Make room or a right there, or name another"
        " folder: ARCHIVE_DIR, or `--to DIR` for a copy"
    )


def _range() -> str:
    dates = list(RolloverRun.objects.order_by("trade_date").values_list("trade_date", flat=True))
    return _("Known: {dates}").format(dates=manifests.shown(dates))
