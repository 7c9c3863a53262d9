"""`manage.py void`: takes wrong ticks back, shows what was taken, and puts it back again."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from analytics import voids
from analytics.voids import Selection
from marketdata.maintenance import leases
from marketdata.management.options import batch
from marketdata.models import VoidOrder
from marketdata.storage import StorageError, storage
from marketdata.types.ticks import microseconds
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = "잘못된 틱을 무효로 합니다. Void wrong ticks: kept aside, candles corrected, subscribers told."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch",
            action="append",
            type=batch,
            default=[],
            metavar="STREAM/SEQ",
            help="이 배치 / of this batch, repeatable",
        )
        parser.add_argument("--client", default="", help="이 클라이언트 / sent by this client")
        parser.add_argument("--symbol", action="append", default=[], metavar="CODE", help="이 종목 / of this symbol")
        parser.add_argument("--feed", default="", help="이 피드만 / of this feed only")
        parser.add_argument(
            "--from",
            dest="start",
            type=wire.options.moment(None),
            metavar="TIME",
            help="이때부터 / from, such as 2026-03-16T09:00+09:00",
        )
        parser.add_argument(
            "--to", dest="end", type=wire.options.moment(None), metavar="TIME", help="이때 전까지 / to, not included"
        )
        parser.add_argument("--reason", default="", help="사유 / why; kept with the ticks")
        parser.add_argument("--dry-run", action="store_true", help="무엇이 무효가 되는지만 / only say what would go")
        parser.add_argument("--list", action="store_true", help="지금까지의 무효화 / the orders so far")
        parser.add_argument(
            "--restore",
            type=wire.options.between(1, 2**63 - 1),
            metavar="ORDER",
            help="되돌리기 / put back what an order took",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with storage().patient():
                self._do(options)
        except (voids.NothingChosen, voids.NotDone) as error:
            raise CommandError(str(error)) from error
        except (leases.HeldElsewhere, leases.LeaseLost) as error:
            raise CommandError(
                f"다른 유지 작업이 실행 중 / the rollover or a backup is at it: {error}."
                " 지시는 남아 저절로 계속됩니다 / the order is kept and gone on with by itself within a minute"
            ) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(f"데이터베이스 오류 / the database failed: {error}; what is done stays done") from error

    def _do(self, options: dict[str, Any]) -> None:
        if options["list"]:
            for order in VoidOrder.objects.order_by("pk"):
                state = "복원 restored" if order.restored_at else "완료 done" if order.done_at else "진행 중 under way"
                self.stdout.write(
                    f"{order.pk:>5} {order.created_at:%Y-%m-%d %H:%M} {order.ticks.count():>9,} {state}"
                    f" {order.ordered_by} {order.reason} {order.selection}"
                )
            return
        by = getpass.getuser()
        if options["restore"] is not None:
            found_order = VoidOrder.objects.filter(pk=options["restore"]).first()
            if found_order is None:
                raise CommandError(f"{options['restore']}: 그런 지시가 없습니다 / no such order; --list names them")
            count = voids.restore(found_order, by=by, progress=self.stdout.write)
            self.stdout.write(f"{count:,} 복원 / put back")
        else:
            selection = _selection(options)
            if options["dry_run"]:
                found = voids.preview(selection)
            else:
                if not options["reason"].strip():
                    raise CommandError("--reason 이 필요합니다 / say why: --reason")
                found = voids.void(selection, reason=options["reason"], by=by)
            for (date, symbol, feed), count in found.series.items():
                self.stdout.write(f"{date} {feed:<16} {symbol:<24} {count:>9,}")
            done = "무효가 될 틱 / would be voided" if options["dry_run"] else f"무효 / voided, order {found.order}"
            self.stdout.write(f"{found.ticks:,} {done}")
            if found.dropped:
                self.stdout.write(
                    f"그대로 / as they are: {len(found.dropped):,} days from {found.dropped[0]} to {found.dropped[-1]},"
                    " whose ticks, minute candles or ledger rows were dropped (RETENTION_…_DAYS)"
                )
            if options["dry_run"]:
                return
        try:
            while voids.announce() == voids.MOST_NOTICES:
                pass
        except redis.RedisError as error:
            self.stderr.write(
                f"구독자에게는 나중에 / subscribers are told later: Redis is away ({type(error).__name__})"
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
