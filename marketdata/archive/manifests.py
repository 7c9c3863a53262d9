"""Where the archives of ticks lie, and what they say of themselves."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from marketdata.archive import tables
from marketdata.archive.files import ArchiveError, Tampered
from marketdata.types.checksums import Figure

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of an archive without opening it. `checksum` is that of `marketdata.types.checksums`; `accepted`
    the difference to the ledger that a person accepted; `part` counts the files of the day from 1."""

    trade_date: str
    rows: int
    checksum: int
    sha256: str
    bytes: int
    bytes_per_tick: float
    row_groups: int
    made_at: str
    accepted: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    part: int = 1

    @property
    def figure(self) -> Figure:
        return Figure(self.rows, self.checksum)


def folder_of(date: datetime.date, folder: Path | None = None) -> Path:
    """Where the archive of a trading date lies."""
    return (folder or Path(settings.ARCHIVE_DIR)) / "ticks" / f"trade_date={date.isoformat()}"


def path_of(date: datetime.date, folder: Path | None = None, part: int = 1) -> Path:
    """The Parquet file of a trading date, or of a further part of it."""
    return folder_of(date, folder) / ("ticks.parquet" if part == 1 else f"ticks-{part}.parquet")


def manifest_path(date: datetime.date, folder: Path | None, part: int) -> Path:
    return folder_of(date, folder) / ("_ticks.json" if part == 1 else f"_ticks-{part}.json")


def parts_of(date: datetime.date, folder: Path | None = None) -> list[int]:
    """The parts of a trading date that are archived; ticks of a day that was dropped before it was archived may have no
    first part."""
    names = [
        re.fullmatch(r"_ticks(?:-(\d+))?\.json", path.name) for path in folder_of(date, folder).glob("_ticks*.json")
    ]
    return sorted(int(name[1] or 1) for name in names if name)


def manifest_of(date: datetime.date, folder: Path | None = None, part: int = 1) -> Manifest:
    """What an archive says of itself; ArchiveError if there is none, Tampered if that cannot be read."""
    path = manifest_path(date, folder, part)
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise ArchiveError(f"{path} has format {values['format']}; this version reads {FORMAT}")
        known = {one.name for one in fields(Manifest)}
        manifest = Manifest(**{name: value for name, value in values.items() if name in known})
    except FileNotFoundError:
        raise ArchiveError(
            _("{date}: is not archived in {folder}. There: {shown}").format(
                date=date, folder=path.parents[1], shown=shown(archived(folder))
            )
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Tampered(_("{path} cannot be read: {error}").format(path=path, error=error)) from error
    if (manifest.trade_date, manifest.part) != (date.isoformat(), part):
        raise Tampered(
            _("{path} is the manifest of {trade_date}, part {part}").format(
                path=path, trade_date=manifest.trade_date, part=manifest.part
            )
        )
    return manifest


def archived(folder: Path | None = None, table: str = "ticks") -> list[datetime.date]:
    """The days that have an archive of ticks, or of another table, in a folder, oldest first."""
    found = set()
    for path in (folder or Path(settings.ARCHIVE_DIR)).glob(f"{table}/trade_date=*/_*.json"):
        try:
            found.add(datetime.date.fromisoformat(path.parent.name.removeprefix("trade_date=")))
        except ValueError:
            continue
    return sorted(found)


def without_ticks(folder: Path | None = None) -> list[datetime.date]:
    """The days that have an archive of other tables and none of ticks, oldest first."""
    beside = {date for table in tables.ALL for date in archived(folder, table.table)}
    return sorted(beside.difference(archived(folder)))


def shown(dates: Sequence[datetime.date]) -> str:
    if not dates:
        return _("none")
    return _("{first} to {last} ({number} days)").format(first=dates[0], last=dates[-1], number=len(dates))
