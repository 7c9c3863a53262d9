"""Archives of ticks read and checked, row by row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

from marketdata.archive import files, parquet, tables
from marketdata.archive.files import ArchiveError, Tampered
from marketdata.archive.manifests import Manifest, manifest_of, path_of
from marketdata.maintenance import dropped
from marketdata.models import RolloverRun
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import Ticks


def verify(date: datetime.date, *, folder: Path | None = None, part: int = 1) -> Manifest:
    """Check a part of an archive: its hash, then every row of it, and the files of other tables beside it; and that the
    day has not changed since. Tampered if a file is not what was written, ArchiveError if the day has changed since."""
    parquet.arrow()
    manifest, path = manifest_of(date, folder, part), path_of(date, folder, part)
    check_file(path, manifest)
    found = figure_of(path)
    if found != manifest.figure:
        raise Tampered(
            _(
                "{path} has {rows:,} ticks (checksum {checksum}), not {manifest_rows:,} (checksum "
                "{manifest_checksum}) as it says"
            ).format(
                path=path,
                rows=found.rows,
                checksum=found.checksum,
                manifest_rows=manifest.rows,
                manifest_checksum=manifest.checksum,
            )
        )
    run = RolloverRun.objects.filter(trade_date=date, state=RolloverRun.State.DONE, dropped_at=None).first()
    current = part == dropped.ticks_gone(date) + 1
    if current and run is not None and Figure(run.rows or 0, run.checksum or 0) != found:
        raise ArchiveError(
            _(
                "{date}: the day has {rows:,} ticks by now, its archive {found_rows:,}: `manage.py "
                "archive {date}` makes it anew"
            ).format(date=date, rows=run.rows, found_rows=found.rows)
        )
    verify_beside(date, folder=folder)
    return manifest


def verify_beside(date: datetime.date, *, folder: Path | None = None) -> None:
    """Check the files of other tables that a day has. Tampered if one is not what was written."""
    for table in tables.ALL:
        for part in table.parts_of(date, folder):
            table.verify(date, folder=folder, part=part)


def read(path: Path) -> Iterator[Ticks]:
    """The ticks of an archive in its order (symbol, time, tick_id), in parts of one feed and source. Tampered if it is
    no such file."""
    try:
        yield from parquet.read(str(path))
    except parquet.Unreadable as error:
        raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error


def check_file(path: Path, manifest: Manifest) -> None:
    try:
        size = path.stat().st_size
        if size != manifest.bytes:
            raise Tampered(
                _("{path} has {size:,} bytes, not {bytes:,} as written").format(
                    path=path, size=size, bytes=manifest.bytes
                )
            )
        if files.sha256(path) != manifest.sha256:
            raise Tampered(_("{path} was changed since it was written: another SHA-256").format(path=path))
    except FileNotFoundError:
        raise Tampered(_("{path} is not there, but its manifest is").format(path=path)) from None
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error


def figure_of(path: Path) -> Figure:
    return checksums.total(figure for part in read(path) for figure in checksums.of_ticks(part).values())
