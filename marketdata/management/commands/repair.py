"""`manage.py repair`: fetches the vendor's minute bars for the minutes of a trading date in which something was
lost."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.maintenance import leases, rollover
from marketdata.storage import storage
from marketdata.vendors import kis, repair
from marketdata.vendors.errors import NotConfigured, UnusableKeys, VendorAway
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Fetch the vendor's minute bars for the minutes in which something was lost.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--date", type=wire.options.date, required=True, metavar="DATE", help=_("trading date (YYYY-MM-DD)")
        )
        parser.add_argument("--symbol", metavar="CODE", help=_("only this symbol"))
        parser.add_argument("--again", action="store_true", help=_("also the minutes that were answered before"))

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()

        def progress(words: str) -> None:
            self.stdout.write(f"{time.monotonic() - began:8.2f} s  {words}")

        try:
            with storage().long_running(), kis.Service(kis.account()) as service:
                outcome = repair.run(
                    options["date"],
                    service,
                    rollover.utc_now(),
                    symbol=options["symbol"],
                    again=options["again"],
                    progress=progress,
                )
        except (NotConfigured, UnusableKeys) as error:
            raise CommandError(_("nothing was fetched: {error}").format(error=error)) from error
        except leases.LeaseHeld as error:
            raise CommandError(_("another process is at it: {error}").format(error=error)) from error
        except (VendorAway, leases.LeaseLost) as error:
            raise CommandError(_("{error}; run it again, it goes on where it was").format(error=error)) from error
        for stretch in outcome.differing:
            self.stdout.write(_("differs: {words}").format(words=repair.disagreement(stretch)))
        for series, reason in outcome.refused.items():
            self.stdout.write(_("no answer: {series}: {reason}").format(series=series, reason=reason))
        self.stdout.write(
            _(
                "{date}: {fetched:,} minutes fetched, {replaced:,} replaced, {questions:,} questions; {left:,} left, "
                "{agreeing:,} stretches agree, {differing:,} do not"
            ).format(
                date=outcome.date,
                fetched=outcome.fetched,
                replaced=outcome.replaced,
                questions=outcome.questions,
                left=outcome.left,
                agreeing=outcome.agreeing,
                differing=len(outcome.differing),
            )
        )
        if outcome.refused:
            raise CommandError(_("{number:,} series were not answered").format(number=len(outcome.refused)))
