"""Trading dates on a command line, and how findings are told: what `verify_day` and `rebuild_candles` share."""

from __future__ import annotations

import datetime
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from analytics.integrity import consistency
from analytics.integrity.differences import Finding
from terminals import wire


def add_arguments(parser: ArgumentParser) -> None:
    """Dates one by one, or a range."""
    parser.add_argument(
        "dates", nargs="*", type=wire.options.date, metavar="DATE", help=_("trading dates (YYYY-MM-DD)")
    )
    parser.add_argument(
        "--from",
        dest="first",
        type=wire.options.date,
        metavar="DATE",
        help=_("every day known from here"),
    )
    parser.add_argument("--to", dest="last", type=wire.options.date, metavar="DATE", help=_("to this one, included"))


def add_findings(parser: ArgumentParser) -> None:
    """How findings are told: as JSON, and how many of a kind."""
    parser.add_argument("--json", action="store_true", help=_("one JSON object a day, progress on stderr"))
    parser.add_argument(
        "--most",
        type=wire.options.between(0, 10**6),
        default=consistency.MOST,
        metavar="N",
        help=_("of each kind so many are named, the others counted (100)"),
    )


def progress(command: BaseCommand, options: Mapping[str, Any]) -> Callable[[str], None]:
    """Writes what is done with the seconds since now; beside JSON, which has the output to itself, on stderr."""
    began = time.monotonic()
    out = command.stderr if options["json"] else command.stdout
    return lambda words: out.write(f"{time.monotonic() - began:8.2f} s  {words}")


def chosen(options: Mapping[str, Any]) -> list[datetime.date]:
    """The dates that were asked for; CommandError if that makes no sense."""
    first, last = options["first"], options["last"]
    if bool(options["dates"]) == bool(first or last):
        raise CommandError(_("either dates, or --from and --to, such as 2026-03-16"))
    if options["dates"]:
        return list(options["dates"])
    if first and last and first > last:
        raise CommandError(_("--from {first} is later than --to {last}").format(first=first, last=last))
    known = consistency.known_dates(first, last)
    if not known:
        every = consistency.known_dates()
        there = (
            _("Known: {first} to {last}").format(first=every[0], last=every[-1]) if every else _("No day is known yet.")
        )
        raise CommandError(_("no day is known in that range. {there}").format(there=there))
    return known


def lines(findings: Sequence[Finding], counts: Mapping[str, int]) -> Iterator[str]:
    """Each finding, then what is counted only."""
    named: dict[str, int] = {}
    for finding in findings:
        named[finding.code] = named.get(finding.code, 0) + 1
        yield f"  {finding}"
    for code, count in counts.items():
        if count > named.get(code, 0):
            yield _("  {code}  … {count:,} more of these").format(code=code, count=count - named.get(code, 0))
