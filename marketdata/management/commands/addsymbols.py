"""`manage.py addsymbols`: registers the symbols of a CSV file (code, name, English name) and takes over new names."""

from __future__ import annotations

import csv
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils.translation import gettext as _

from marketdata.models import Market, Symbol
from marketdata.models.reference import FEED_PATTERN, SYMBOL_MEANING, SYMBOL_PATTERN
from marketdata.types import categories
from terminals.wire import codes, tables

# What the first cell of a heading says.
HEADINGS = {"code", "symbol", "ticker", "isin", "종목코드", "단축코드", "종목", "코드"}
TOLD = 20


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Register the symbols of a CSV file: code[,name[,English name]].")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help=_("CSV (UTF-8, UTF-16, cp949) or -"))
        parser.add_argument("--market", default="KRX", help=_("market (KRX)"))
        parser.add_argument("--feed", default="krx", help=_("primary feed (krx)"))
        parser.add_argument("--category", default="", help=_("category of all, such as kospi, etf, futures"))
        parser.add_argument(
            "--strict",
            action="store_true",
            help=_("register nothing if a line is wrong"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        market, feed = options["market"], options["feed"]
        if not Market.objects.filter(code=market).exists():
            known = ", ".join(Market.objects.values_list("code", flat=True))
            raise CommandError(_("{market}: no such market. Known: {known}").format(market=market, known=known))
        if not re.fullmatch(FEED_PATTERN, feed):
            raise CommandError(_("{feed!r} is no feed: 1 to 16 of a-z, 0-9, _").format(feed=feed))
        if options["category"] and not re.fullmatch(categories.PATTERN, options["category"]):
            told = _("{category!r} is no category: 1 to 16 of a-z, 0-9, _")
            raise CommandError(told.format(category=options["category"]))
        try:
            file = options["file"]
            text = tables.text_of(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
        except FileNotFoundError as error:
            told = _("{file}: there is no such file; give the path of a CSV file, or - to read the standard input")
            raise CommandError(told.format(file=options["file"])) from error
        except OSError as error:
            told = _("{file} cannot be read: {reason}").format(file=options["file"], reason=error.strerror)
            raise CommandError(told) from error
        except tables.TableError as error:
            raise CommandError(f"{options['file']}: {error}") from error
        named: dict[str, tuple[str, str]] = {}  # a code that comes twice has its last name
        wrong = []
        for number, cells in _lines(text):
            try:
                code = codes.read_code(cells[0], market)
                if not re.fullmatch(SYMBOL_PATTERN, code):
                    raise ValueError(
                        _("{code!r} is no symbol code ({meaning})").format(code=code, meaning=SYMBOL_MEANING)
                    )
                named[code] = (cells[1][:80], cells[2][:80])
            except ValueError as error:
                wrong.append(_("line {number}: {error}").format(number=number, error=error))
        for line in wrong[:TOLD]:
            self.stderr.write(line)
        if len(wrong) > TOLD:
            self.stderr.write(_("… {number:,} more lines are wrong").format(number=len(wrong) - TOLD))
        if wrong and (options["strict"] or not named):
            raise CommandError(_("{number:,} lines are wrong; nothing was registered").format(number=len(wrong)))
        _register(named, market, feed, options["category"])
        left_out = _(", {number:,} lines left out").format(number=len(wrong)) if wrong else ""
        self.stdout.write(_("{number:,} symbols registered{left_out}").format(number=len(named), left_out=left_out))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The number and three cells of each line, without blank ones and the heading."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(tables.SEPARATORS, key=first.count)
    reader = csv.reader(text.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines(keepends=True), delimiter=separator)
    heading = True
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not (heading and cells[0].lower() in HEADINGS):
                yield reader.line_num, [*cells, "", "", ""][:3]
            heading = False
    except csv.Error as error:
        raise CommandError(_("line {number}: {error}").format(number=reader.line_num, error=error)) from error


def _register(named: dict[str, tuple[str, str]], market: str, feed: str, category: str) -> None:
    # MariaDB finds the conflicting key by itself and refuses to be told.
    unique = ["code"] if connection.features.supports_update_conflicts_with_target else None
    Symbol.objects.bulk_create(
        [
            Symbol(code=code, name=name, name_en=name_en, market_id=market, primary_feed=feed, category=category)
            for code, (name, name_en) in named.items()
        ],
        update_conflicts=True,
        update_fields=["name", "name_en", *(["category"] if category else [])],
        unique_fields=unique,
        batch_size=1000,
    )
