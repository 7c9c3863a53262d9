"""`manage.py load_factors`: takes corporate actions over from a CSV file, by which earlier prices are adjusted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.reference import corporate_actions
from terminals.wire import tables

TOLD = 20


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Take corporate actions over from a CSV file: symbol, ex_date, kind, old_rate, new_rate[, cash, source].")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help=_("CSV (UTF-8, UTF-16, cp949) or -"))
        parser.add_argument("--plan", action="store_true", help=_("only tell what would change"))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            file = options["file"]
            text = tables.text_of(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
        except (OSError, tables.TableError) as error:
            raise CommandError(_("cannot be read: {error}").format(error=error)) from error
        planned = corporate_actions.plan(text)
        for line in planned.wrong[:TOLD]:
            self.stderr.write(line)
        if len(planned.wrong) > TOLD:
            self.stderr.write(_("{count:,} more are wrong").format(count=len(planned.wrong) - TOLD))
        if planned.wrong:
            raise CommandError(_("{count:,} lines are wrong; nothing was taken over").format(count=len(planned.wrong)))
        for one in planned.new[:TOLD]:
            self.stdout.write(f"+ {one}")
        for before, one in planned.changed[:TOLD]:
            self.stdout.write(f"~ {before} -> {one.old_rate}:{one.new_rate}")
        more = len(planned.new[TOLD:]) + len(planned.changed[TOLD:])
        if more:
            self.stdout.write(_("{count:,} more").format(count=more))
        if not options["plan"]:
            corporate_actions.take(planned)
        told = _("{new:,} new, {changed:,} changed, {unchanged:,} as before")
        self.stdout.write(
            told.format(new=len(planned.new), changed=len(planned.changed), unchanged=planned.unchanged)
            + (_("; nothing was written") if options["plan"] else "")
        )
