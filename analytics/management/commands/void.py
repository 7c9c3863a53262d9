"""`manage.py void`: takes wrong ticks back, shows what was taken, and puts it back again."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from analytics import voids
from analytics.voids import Selection
from marketdata.maintenance import leases
from marketdata.management.options import batch
from marketdata.models import VoidOrder
from marketdata.storage import StorageError, storage
from marketdata.types.units import microseconds
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Void wrong ticks: kept aside, candles corrected, subscribers told.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch",
            action="append",
            type=batch,
            default=[],
            metavar="STREAM/SEQ",
            help=_("of this batch, repeatable"),
        )
        parser.add_argument("--client", default="", help=_("sent by this client"))
        parser.add_argument("--symbol", action="append", default=[], metavar="CODE", help=_("of this symbol"))
        parser.add_argument("--feed", default="", help=_("of this feed only"))
        parser.add_argument(
            "--from",
            dest="start",
            type=wire.options.moment(None),
            metavar="TIME",
            help=_("from, such as 2026-03-16T09:00+09:00"),
        )
        parser.add_argument(
            "--to", dest="end", type=wire.options.moment(None), metavar="TIME", help=_("to, not included")
        )
        parser.add_argument("--reason", default="", help=_("why; kept with the ticks"))
        parser.add_argument("--dry-run", action="store_true", help=_("only say what would go"))
        parser.add_argument("--list", action="store_true", help=_("the orders so far"))
        parser.add_argument(
            "--restore",
            type=wire.options.between(1, 2**63 - 1),
            metavar="ORDER",
            help=_("put back what an order took"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with storage().long_running():
                self._do(options)
        except (voids.NothingChosen, voids.NotDone) as error:
            raise CommandError(str(error)) from error
        except (leases.LeaseHeld, leases.LeaseLost) as error:
            raise CommandError(
                _(
                    "the rollover or a backup is at it: {error}. The order is kept and gone on with by "
                    "itself within a minute"
                ).format(error=error)
            ) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                _("the database failed: {error}; what is done stays done").format(error=error)
            ) from error

    def _do(self, options: dict[str, Any]) -> None:
        if options["list"]:
            for order in VoidOrder.objects.order_by("pk"):
                state = _("restored") if order.restored_at else _("done") if order.done_at else _("under way")
                self.stdout.write(
                    f"{order.pk:>5} {order.created_at:%Y-%m-%d %H:%M} {order.ticks.count():>9,} {state}"
                    f" {order.ordered_by} {order.reason} {order.selection}"
                )
            return
        by = getpass.getuser()
        if options["restore"] is not None:
            found_order = VoidOrder.objects.filter(pk=options["restore"]).first()
            if found_order is None:
                raise CommandError(_("{restore}: no such order; --list names them").format(restore=options["restore"]))
            count = voids.restore(found_order, by=by, progress=self.stdout.write)
            self.stdout.write(_("{count:,} put back").format(count=count))
        else:
            selection = _selection(options)
            if options["dry_run"]:
                found = voids.preview(selection)
            else:
                if not options["reason"].strip():
                    raise CommandError(_("say why: --reason"))
                found = voids.void(selection, reason=options["reason"], by=by)
            for (date, symbol, feed), count in found.series.items():
                self.stdout.write(f"{date} {feed:<16} {symbol:<24} {count:>9,}")
            done = (
                _("{count:,} ticks would be voided").format(count=found.ticks)
                if options["dry_run"]
                else _("{count:,} ticks voided, order {order}").format(count=found.ticks, order=found.order)
            )
            self.stdout.write(done)
            if found.dropped:
                self.stdout.write(
                    _(
                        "as they are: {number:,} days from {first} to {last}, whose ticks, minute candles or "
                        "ledger rows were dropped (RETENTION_…_DAYS)"
                    ).format(number=len(found.dropped), first=found.dropped[0], last=found.dropped[-1])
                )
            if options["dry_run"]:
                return
        try:
            while voids.announce() == voids.MOST_NOTICES:
                pass
        except redis.RedisError as error:
            self.stderr.write(
                _("subscribers are told later: Redis is away ({reason})").format(reason=type(error).__name__)
            )


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        batches=tuple(options["batch"]),
        client=options["client"],
        symbols=tuple(options["symbol"]),
        feed=options["feed"],
        start_us=microseconds(options["start"]) if options["start"] else None,
        end_us=microseconds(options["end"]) if options["end"] else None,
    )
