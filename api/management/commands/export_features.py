"""`manage.py export_features`: candles, indicators and what is made of them as one file, each row of what was known at
its time."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from marketdata.models import Symbol
from marketdata.storage import StorageError, storage


def indicator(text: str) -> dict[str, str]:
    """`rsi:period=14` as the parameters of a request. ArgumentTypeError for anything else."""
    name, _colon, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part]
    if not name or not all(key and equals and value for key, equals, value in pairs):
        raise ArgumentTypeError(_("{text!r}: NAME or NAME:PARAMETER=NUMBER, such as rsi:period=14").format(text=text))
    return {"name": name, **{f"{name}.{key}": value for key, _equals, value in pairs}}


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Export candles, indicators and what is made of them, each row of what was known at its time.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=_("what to write: FILE.parquet, FILE.arrow or FILE.csv"))
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--symbol", action="append", metavar="CODE", help=_("this one, repeatable"))
        which.add_argument("--market", metavar="CODE", help=_("every symbol of this market"))
        parser.add_argument("--start", help=_("first time, included: a date or a time such as 2026-03-16T09:00:00Z"))
        parser.add_argument("--end", help=_("last time, included; a date means its whole day"))
        parser.add_argument("--feed", help=_("only this feed; the primary one of each symbol unless told"))
        parser.add_argument("--timeframe", default="1Min", help=_("width of candles: 1Min to 23Hour"))
        parser.add_argument(
            "--indicator", action="append", type=indicator, default=[], metavar="NAME[:PARAMETER=NUMBER,…]",
            help=_("repeatable; all of them unless told"),
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        from api import feature_files  # the pages' world: not before a command begins

        path, market = options["file"], options["market"]
        codes = options["symbol"] or list(
            Symbol.objects.filter(market_id=market).order_by("code").values_list("code", flat=True)
        )
        if not codes:
            raise CommandError(_("{market}: no symbol of this market is registered").format(market=market))
        given = {name: options[name] for name in ("start", "end", "feed", "timeframe") if options[name]}
        named = options["indicator"]
        if named:
            given["name"] = ",".join(one["name"] for one in named)
        for one in named:
            given |= {key: value for key, value in one.items() if key != "name"}
        began = time.monotonic()

        def told(rows: int, symbol: str) -> None:
            self.stdout.write(f"{time.monotonic() - began:8.2f} s  {rows:,} rows, {symbol}")

        try:
            with storage().long_running():
                rows = feature_files.write(path, codes, given, told)
        except feature_files.Impossible as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(_("{file} cannot be written: {error}").format(file=path, error=error.strerror)) from None
        except (DatabaseError, StorageError) as error:
            raise CommandError(_("the database failed: {error}. Run it again").format(error=error)) from error
        self.stdout.write(f"{time.monotonic() - began:8.2f} s  {rows:,} rows: {path}")
