"""`manage.py gaps`: the minutes of a trading date in which something was lost, by symbol, and what the vendor has
there."""

from __future__ import annotations

import datetime
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from marketdata.ledger import gap_reasons
from marketdata.storage import storage
from marketdata.types.tick_arrays import decimal_text
from marketdata.types.units import MINUTE_US, SEOUL
from marketdata.vendors import gap_minutes
from marketdata.vendors.gap_minutes import Stretch
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("The minutes of a trading date in which something was lost, by symbol.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--date", type=wire.options.date, required=True, metavar="DATE", help=_("trading date (YYYY-MM-DD)")
        )
        parser.add_argument("--symbol", metavar="CODE", help=_("only this symbol"))
        parser.add_argument("--json", action="store_true", help=_("one JSON object for each line"))

    def handle(self, *args: Any, **options: Any) -> None:
        number = minutes = covered = 0
        with storage().long_running():
            feeds = gap_minutes.feeds_with_gaps(options["date"])
            for stretch in gap_minutes.find(options["date"], symbol=options["symbol"], feeds=feeds):
                number += 1
                minutes += len(stretch.minutes)
                covered += len(stretch.minutes) - len(stretch.uncovered)
                if options["json"]:
                    self.stdout.write(json.dumps(stretch.as_json(), ensure_ascii=False))
                else:
                    self.stdout.write(_line(stretch))
            for stretch in gap_minutes.find(
                options["date"], symbol=options["symbol"], feeds=feeds, ours=False, others=True
            ):
                if options["json"]:
                    self.stdout.write(json.dumps(stretch.as_json(), ensure_ascii=False))
                else:
                    self.stdout.write(_other_line(stretch))
        if not options["json"]:
            self.stdout.write(
                _("{date}: {number:,} stretches, {minutes:,} minutes, {covered:,} with the vendor's answer").format(
                    date=options["date"], number=number, minutes=minutes, covered=covered
                )
            )


def _line(stretch: Stretch) -> str:
    first, last = (datetime.datetime.fromtimestamp(at // 1_000_000, SEOUL) for at in _bounds(stretch))
    answered = len(stretch.minutes) - len(stretch.uncovered)
    return _(
        "{feed:<8} {symbol:<8} {first:%H:%M}-{last:%H:%M}  missing {missing}, vendor {answered}/{minutes}{words}"
    ).format(
        feed=stretch.feed,
        symbol=stretch.symbol,
        first=first,
        last=last,
        missing="?" if stretch.missing is None else decimal_text(stretch.missing, wire.SIZE_SCALE),
        answered=answered,
        minutes=len(stretch.minutes),
        words=_words(stretch),
    )


def _other_line(stretch: Stretch) -> str:
    first, last = (datetime.datetime.fromtimestamp(at // 1_000_000, SEOUL) for at in _bounds(stretch))
    reasons = ", ".join(map(gap_reasons.words, stretch.reasons))
    return f"{stretch.feed:<8} {stretch.symbol:<8} {first:%H:%M}-{last:%H:%M}  {reasons}"


def _bounds(stretch: Stretch) -> tuple[int, int]:
    return stretch.minutes[0].minute_us, stretch.minutes[-1].minute_us + MINUTE_US


def _words(stretch: Stretch) -> str:
    if stretch.difference is None:
        return ""
    if stretch.difference == 0:
        return _(", agrees")
    return _(", differs by {shares}").format(shares=decimal_text(stretch.difference, wire.SIZE_SCALE))
