"""Which days the market is open, as KIS has it. KIS asks for no more than one call a day, so the answer is kept.

Virtual accounts do not have this call. Facts: KIS portal, CTCA0903R.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from terminals import private
from terminals.sources.kis import decimals, shared_files
from terminals.sources.kis.answers import KisError, Trouble, UnavailableError
from terminals.sources.kis.rest import Client, quotation

_HOLIDAYS: Final = quotation("chk-holiday", "CTCA0903R")
_FLAGS: Final = ("bzdy_yn", "tr_day_yn", "opnd_yn", "sttl_day_yn")


@dataclass(frozen=True, slots=True)
class Holiday:
    """What KIS says of one day; `is_open` decides whether there is trading."""

    day: dt.date
    business_day: bool
    trading_day: bool
    is_open: bool
    settlement_day: bool


async def fetch(client: Client, folder: Path, *, today: dt.date | None = None) -> list[Holiday]:
    """The days from `today` on (some weeks), in their order. Asked once a Korean day by all processes that use
    `folder`, also when the answer was an error: then an empty list for the rest of the day. KisError, OSError; a
    question that did not reach the service may be put again."""
    today = today or client.today()
    private.make(folder)
    file = folder / "holidays.json"
    async with shared_files.held(file.with_name("holidays.lock"), every_s=0.05):
        kept = _load(file, today)
        if kept is None:
            # So that the question alone can fail from here on: written down before it, it counts whatever comes of it.
            await client.tokens.access_token()
            _store(file, today, [])
            try:
                records = await _ask(client, today)
            except KisError as error:
                if not _was_asked(error):
                    file.unlink(missing_ok=True)
                raise
            _store(file, today, records)
            kept = records
    return sorted({one.day: one for one in map(_read, kept)}.values(), key=lambda one: one.day)


async def _ask(client: Client, today: dt.date) -> list[Mapping[str, Any]]:
    question = {"BASS_DT": today.strftime("%Y%m%d"), "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
    answer = await client.get(_HOLIDAYS, question, once=True)
    records = [record for record in answer.many() if _readable(record)]
    return [{name: record[name] for name in ("bass_dt", *_FLAGS)} for record in records]


def _was_asked(error: KisError) -> bool:
    """Whether the question may have got to the service; not if there was no way to it, or no limit to keep."""
    return not isinstance(error, UnavailableError) or error.trouble not in (Trouble.UNREACHABLE, Trouble.SHARED_FILES)


def _readable(record: Mapping[str, Any]) -> bool:
    try:
        decimals.day(str(record.get("bass_dt", "")))
    except ValueError:
        return False
    return all(record.get(name) in ("Y", "N") for name in _FLAGS)


def _read(record: Mapping[str, Any]) -> Holiday:
    return Holiday(decimals.day(str(record["bass_dt"])), *(record[name] == "Y" for name in _FLAGS))


def _load(file: Path, today: dt.date) -> list[Mapping[str, Any]] | None:
    """What was kept today; None if nothing was."""
    try:
        found = json.loads(shared_files.read(file) or b"{}")
        if found.get("asked") != today.isoformat():
            return None
        return [record for record in found["records"] if _readable(record)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _store(file: Path, today: dt.date, records: list[Mapping[str, Any]]) -> None:
    shared_files.replace(file, json.dumps({"asked": today.isoformat(), "records": records}).encode())
