"""`manage.py recompute`: makes statistics and cached candles, or the quality of a day, anew from what is stored; the
content is the same as before."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from analytics.quality import due as quality
from analytics.statistics import due
from marketdata.maintenance import rollover
from marketdata.storage import StorageError, storage
from terminals import wire

LONGEST_S = 6 * 3600.0


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Compute statistics and cached candles, or the quality of a day, anew from what is stored.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--symbol", action="append", metavar="CODE", help=_("only this one, repeatable"))
        parser.add_argument("--feed", help=_("only this feed"))
        parser.add_argument(
            "--day",
            type=wire.options.date,
            metavar="DATE",
            help=_("only what traded on this trading date (YYYY-MM-DD)"),
        )

        parser.add_argument(
            "--quality",
            type=wire.options.date,
            metavar="DATE",
            help=_("not statistics, but the quality of this trading date (YYYY-MM-DD), of all symbols and feeds"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["quality"] is not None:
            self._quality(options)
            return
        try:
            with storage().long_running():
                found = due.recompute(
                    symbols=options["symbol"] or (), feed=options["feed"], date=options["day"], longest_s=LONGEST_S
                )
        except redis.RedisError as error:
            raise CommandError(_("Redis does not answer: {error}").format(error=type(error).__name__)) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                _("the database failed: {error}. Run it again, what is done stays done").format(error=error)
            ) from error
        self.stdout.write(_("statistics of {count:,} series computed").format(count=found))

    def _quality(self, options: dict[str, Any]) -> None:
        date = options["quality"]
        if options["symbol"] or options["feed"] or options["day"]:
            raise CommandError(_("--quality is of a whole day: leave out --symbol, --feed and --day"))
        try:
            with storage().long_running():
                found = quality.recompute(date, rollover.utc_now(), progress=self.stdout.write)
        except (LookupError, ValueError, quality.Moved) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                _("the database failed: {error}. Run it again, what is done stays done").format(error=error)
            ) from error
        self.stdout.write(_("quality of {count:,} series of {date} computed").format(count=found, date=date))
