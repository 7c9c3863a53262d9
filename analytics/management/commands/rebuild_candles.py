"""`manage.py rebuild_candles`: makes the minute candles of trading days what their ticks make, then the daily ones."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from analytics.integrity import consistency, repair
from analytics.integrity.repair import Rebuilt
from analytics.management import dates
from marketdata.maintenance import leases
from marketdata.storage import StorageError, storage


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Make candles anew from the ticks; only what is wrong is written.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        dates.add_arguments(parser)
        parser.add_argument("--symbol", action="append", metavar="CODE", help=_("only this one, repeatable"))
        parser.add_argument("--feed", help=_("only this feed"))
        parser.add_argument("--dry-run", action="store_true", help=_("say what would change, write nothing"))
        dates.add_findings(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        progress = dates.progress(self, options)
        wrong = False
        try:
            with storage().long_running():
                for date in dates.chosen(options):
                    rebuilt = repair.rebuild_candles(
                        date,
                        symbols=options["symbol"],
                        feed=options["feed"],
                        dry_run=options["dry_run"],
                        most=options["most"],
                        progress=progress,
                    )
                    wrong |= bool(rebuilt.counts)
                    if options["json"]:
                        self.stdout.write(json.dumps(rebuilt.as_json(), ensure_ascii=False))
                    else:
                        self._print(rebuilt)
        except (consistency.UnknownDay, repair.NothingToBuildFrom) as error:
            raise CommandError(str(error)) from error
        except (leases.LeaseHeld, leases.LeaseLost) as error:
            raise CommandError(
                _("the rollover or a backup is at it: {error}. Try again in a minute").format(error=error)
            ) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                _("the database failed: {error}. Run it again, what is done stays done").format(error=error)
            ) from error
        if wrong and options["dry_run"]:
            raise CommandError(_("there are candles that would change; without --dry-run they do"))

    def _print(self, rebuilt: Rebuilt) -> None:
        for line in dates.lines(rebuilt.findings, rebuilt.counts):
            self.stdout.write(line)
        daily = "" if rebuilt.daily is None else _(", {daily:,} daily candles made anew").format(daily=rebuilt.daily)
        what = (
            _("nothing written")
            if rebuilt.dry_run
            else _("{changed:,} minute candles put right").format(changed=rebuilt.changed)
        )
        self.stdout.write(
            _("{date}: {series:,} series, {what}{daily}").format(
                date=rebuilt.date, series=rebuilt.series, what=what, daily=daily
            )
        )
