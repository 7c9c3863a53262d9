"""`manage.py rollover`: moves the trading days that are over to history, or one day, or says what that would do."""

from __future__ import annotations

import datetime
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from marketdata.maintenance import leases, rollover
from marketdata.models import RolloverRun
from marketdata.storage import StorageError, storage
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Move the trading days that are over to history.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--plan", action="store_true", help=_("print what would be done, do nothing"))
        parser.add_argument("--date", type=wire.options.date, help=_("only this trading date (YYYY-MM-DD), due or not"))
        parser.add_argument(
            "--accept",
            default="",
            metavar="REASON",
            help=_("move in spite of a difference, and why"),
        )
        parser.add_argument(
            "--threads",
            type=wire.options.between(1, 64),
            default=2,
            help=_("connections that count (2)"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["accept"] and not options["date"]:
            raise CommandError(_("--accept goes with --date: one day at a time"))
        began = time.monotonic()

        def progress(words: str) -> None:
            self.stdout.write(f"{time.monotonic() - began:8.2f} s  {words}")

        try:
            with storage().long_running():
                if options["plan"]:
                    self._plan()
                elif options["date"]:
                    date = options["date"]
                    if not _known(date):
                        raise CommandError(f"{date}: {_UNKNOWN} {_range()}")
                    run = rollover.run_one(
                        date, progress=progress, accept=options["accept"], threads=options["threads"]
                    )
                    self.stdout.write(
                        _("{trade_date} {state}: {rows:,} ticks, {daily:,} daily candles").format(
                            trade_date=run.trade_date, state=run.state, rows=run.rows, daily=run.daily
                        )
                    )
                else:
                    done = rollover.run_due(progress=progress, threads=options["threads"], old_days=sys.maxsize)
                    failed = self._failed()
                    shown = ", ".join(str(date) for date in done) or _("nothing was due")
                    self.stdout.write(_("done: {shown}").format(shown=shown))
                    if failed:
                        raise CommandError(failed)
        except leases.LeaseHeld as error:
            raise CommandError(_("another process is at it: {error}").format(error=error)) from error
        except leases.LeaseLost as error:
            raise CommandError(_("{error}; run it again, it goes on where it was").format(error=error)) from error
        except (rollover.Mismatch, StorageError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                _("the database failed: {error}. Nothing is lost; run it again, it goes on where it was.").format(
                    error=error
                )
            ) from error

    def _plan(self) -> None:
        for line in rollover.plan_lines(rollover.utc_now()):
            self.stdout.write(line)

    def _failed(self) -> str:
        runs = rollover.due(rollover.utc_now()) or list(
            RolloverRun.objects.exclude(state=RolloverRun.State.DONE).filter(retry_at__isnull=False)
        )
        return "\n".join(f"{run.trade_date} {run.state}: {run.shown or _('not done')}" for run in runs)


_UNKNOWN = _("no tick, ledger entry or rollover of this date is known.")


def _known(date: datetime.date) -> bool:
    return RolloverRun.objects.filter(trade_date=date).exists() or bool(storage().tick_figures(date))


def _range() -> str:
    dates = list(RolloverRun.objects.order_by("trade_date").values_list("trade_date", flat=True))
    return _("Known: {first} to {last}").format(first=dates[0], last=dates[-1]) if dates else _("No day is known yet.")
