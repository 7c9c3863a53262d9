"""`manage.py requeue`: judges refused rows and dead letters again, and stores what passes now."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from collections import Counter
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from ingest import requeue
from marketdata.maintenance import leases
from marketdata.management.options import batch
from marketdata.models import Client
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import SEQ_BITS
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _(
        "Judge refused rows and dead letters again: what passes now is stored under its own "
        "number, once, however often this runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        moment = wire.options.moment(timezone.get_default_timezone())
        parser.add_argument(
            "--batch", action="append", type=batch, default=[], metavar="STREAM/SEQ", help=_("this batch")
        )
        parser.add_argument("--client", default="", help=_("of this client"))
        parser.add_argument("--reason", default="", help=_("rows with this reason, such as time_future"))
        parser.add_argument(
            "--code", default="", help=_("dead letters: {codes}").format(codes=", ".join(requeue.CODES))
        )
        parser.add_argument("--from", dest="since", type=moment, metavar="TIME", help=_("refused from"))
        parser.add_argument("--to", dest="until", type=moment, metavar="TIME", help=_("refused before"))
        parser.add_argument("--all", action="store_true", help=_("everything that was refused"))
        parser.add_argument("--dry-run", action="store_true", help=_("judge, store nothing"))
        parser.add_argument("--by", default="", metavar="NAME", help=_("who asks (the user of this machine)"))

    def handle(self, *args: Any, **options: Any) -> None:
        selection = _selection(options)
        if str(selection) == "everything" and not options["all"]:
            raise CommandError(_("say what: --batch, --client, --reason, --code, --from, --to, or --all"))
        total: Counter[str] = Counter()
        failed = 0
        reasons: Counter[str] = Counter()
        held: leases.LeaseHeld | None = None
        try:
            for result in requeue.run(
                selection, asked_by=options["by"] or getpass.getuser(), dry_run=options["dry_run"]
            ):
                name = f"{result.batch >> SEQ_BITS}/{result.batch & ((1 << SEQ_BITS) - 1)}"
                if result.error:
                    failed += 1
                    self.stderr.write(f"{name}: {result.error}")
                elif result.judged or result.stored:
                    total.update(judged=result.judged, stored=result.stored, batches=1)
                    reasons.update(result.reasons)
                    if options["verbosity"] > 1:
                        self.stdout.write(f"{name}: {result.stored} of {result.judged} {dict(result.reasons) or ''}")
        except leases.LeaseHeld as error:
            held = error
        except redis.RedisError as error:
            self.stderr.write(_("stored; subscribers hear of it when Redis is back: {error}").format(error=error))
        done = _("would be stored") if options["dry_run"] else _("stored")
        judged = _("batches {batches:,}, judged again {judged:,}").format(
            batches=total["batches"], judged=total["judged"]
        )
        self.stdout.write(f"{judged}, {done} {total['stored']:,}")
        if reasons:
            shown = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common())
            self.stdout.write(_("still refused: {shown}").format(shown=shown))
        if held is not None:
            raise CommandError(
                _("the rollover or a backup is at it: {held}. What was stored stays; run it again for the rest").format(
                    held=held
                )
            ) from held
        if failed:
            raise CommandError(_("{failed} batches could not be judged; they are as they were").format(failed=failed))


def _selection(options: dict[str, Any]) -> requeue.Selection:
    known = {fault.name.lower() for fault in Fault if fault.name}
    if options["reason"] and options["reason"] not in known:
        raise CommandError(f"--reason {options['reason']}: one of {', '.join(sorted(known))}")
    if options["code"] and options["code"] not in requeue.CODES:
        raise CommandError(f"--code {options['code']}: one of {', '.join(requeue.CODES)}")
    if options["client"] and not Client.objects.filter(name=options["client"]).exists():
        raise CommandError(_("--client {client}: there is no such client").format(client=options["client"]))
    return requeue.Selection(
        batches=tuple(options["batch"]),
        client=options["client"],
        reason=options["reason"],
        code=options["code"],
        since=options["since"],
        until=options["until"],
    )
