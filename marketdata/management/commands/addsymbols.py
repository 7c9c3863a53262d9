"""`manage.py addsymbols`: registers the symbols of a CSV file (code, name, English name) and takes over new names."""

from __future__ import annotations

import csv
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from marketdata.models import Market, Symbol
from marketdata.models.reference import FEED_PATTERN, SYMBOL_PATTERN


class Command(BaseCommand):
    help = "CSV 파일의 종목을 등록합니다. Register the symbols of a CSV file: code[,name[,English name]]."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="CSV (UTF-8) 또는 - / or -")
        parser.add_argument("--market", default="KRX", help="시장 / market (KRX)")
        parser.add_argument("--feed", default="krx", help="주 피드 / primary feed (krx)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not Market.objects.filter(code=options["market"]).exists():
            known = ", ".join(Market.objects.values_list("code", flat=True))
            raise CommandError(f"{options['market']}: 그런 시장이 없습니다 / no such market. Known: {known}")
        if not re.fullmatch(FEED_PATTERN, options["feed"]):
            raise CommandError(f"{options['feed']!r} is no feed: 1 to 16 of a-z, 0-9, _")
        try:
            text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        symbols = []
        for number, row in enumerate(csv.reader(text.splitlines()), start=1):
            code, name, name_en = (*(field.strip() for field in row), "", "", "")[:3]
            if not code:
                continue
            if not re.fullmatch(SYMBOL_PATTERN, code):
                raise CommandError(f"line {number}: {code!r} is no symbol code (1 to 24 of 0-9 A-Z a-z . _ : / -)")
            symbols.append(
                Symbol(
                    code=code,
                    name=name[:80],
                    name_en=name_en[:80],
                    market_id=options["market"],
                    primary_feed=options["feed"],
                )
            )
        # MariaDB finds the conflicting key by itself and refuses to be told.
        named = ["code"] if connection.features.supports_update_conflicts_with_target else None
        Symbol.objects.bulk_create(
            symbols, update_conflicts=True, update_fields=["name", "name_en"], unique_fields=named, batch_size=1000
        )
        self.stdout.write(f"{len(symbols)} 종목 등록 / symbols registered")
