"""`manage.py feeds`: which client each feed belongs to, and giving it to another one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count

from marketdata.models import Client, Feed, FeedOwner
from marketdata.reference import owners


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = "피드의 소유 클라이언트. Which client owns the symbols of a feed; release them, or give them to another."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "action",
            choices=("list", "release", "transfer", "share", "unshare"),
            nargs="?",
            default="list",
            help="보기, 해제, 이전, 공유 / what to do (list)",
        )
        parser.add_argument("--client", metavar="NAME", help="지금 소유자 / who owns them now")
        parser.add_argument("--to", metavar="NAME", help="새 소유자 / who is to own them (transfer)")
        parser.add_argument("--feed", metavar="NAME", help="그 피드만 / of this feed only")
        parser.add_argument(
            "--symbol", action="append", default=[], metavar="CODE", help="그 종목만 / only this symbol"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        shared = dict(Feed.objects.values_list("name", "shared"))
        rows = FeedOwner.objects.order_by().values_list("feed", "client__name").annotate(Count("id"))
        for feed, name, count in sorted(rows, key=lambda row: (row[0], row[1] or "")):
            if options["feed"] in (None, feed):
                note = "  공유 shared" if shared.get(feed) else ""
                self.stdout.write(f"{feed:<16} {name or '-':<32} {count:>7,} 종목 symbols{note}")
        for feed in sorted(name for name, is_shared in shared.items() if is_shared):
            self.stdout.write(f"{feed:<16} 공유 shared")

    def _release(self, options: dict[str, Any]) -> None:
        client = self._client(options["client"], "--client")
        count = owners.release(client, feed=options["feed"], symbols=options["symbol"])
        self.stdout.write(f"{count:,} 해제 / released")

    def _transfer(self, options: dict[str, Any]) -> None:
        client, to = self._client(options["client"], "--client"), self._client(options["to"], "--to")
        if options["feed"] and not to.may_write(options["feed"]):
            raise CommandError(
                f"{to.name} 은 {options['feed']} 에 쓸 수 없습니다 / may not write it: {to.feeds or 'none'}"
            )
        count = owners.transfer(client, to, feed=options["feed"], symbols=options["symbol"])
        self.stdout.write(f"{count:,} {client.name} → {to.name}")

    def _share(self, options: dict[str, Any]) -> None:
        self._set_shared(options["feed"], shared=True)

    def _unshare(self, options: dict[str, Any]) -> None:
        self._set_shared(options["feed"], shared=False)

    def _set_shared(self, feed: str | None, *, shared: bool) -> None:
        if not feed or not Feed.objects.filter(name=feed).exists():
            known = ", ".join(Feed.objects.values_list("name", flat=True))
            raise CommandError(f"--feed {feed or ''}: 그런 피드가 없습니다 / no such feed. Known: {known}")
        Feed.objects.filter(name=feed).update(shared=shared)
        self.stdout.write(f"{feed} {'공유 shared' if shared else '소유 owned'}")

    def _client(self, name: str | None, option: str) -> Client:
        client = Client.objects.filter(name=name or "").first()
        if client is None:
            raise CommandError(f"{option} {name or ''}: 그런 클라이언트가 없습니다 / no such client")
        return client
