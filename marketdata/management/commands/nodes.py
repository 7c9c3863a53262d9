"""manage.py nodes DATE: what the nodes of a database cluster hold differently of a trading date."""

from __future__ import annotations

import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from marketdata.maintenance import nodes


class Command(BaseCommand):
    """Status 1 when they differ, or when one could not be asked."""

    help = _("Compare all nodes of a database cluster, by partitions, number of rows and checksum.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("date", type=datetime.date.fromisoformat, metavar="DATE")

    def handle(self, *args: Any, **options: Any) -> None:
        found = nodes.compare_day(options["date"])
        for line in found:
            self.stderr.write(line)
        if found:
            raise CommandError(_("the nodes differ on {date}; see docs/operations.md").format(date=options["date"]))
        self.stdout.write(_("{date}: nothing differs between nodes").format(date=options["date"]))
