"""`manage.py feeds`: which client each feed belongs to, and giving it to another one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from django.utils.translation import gettext as _

from marketdata.models import Client, Feed, FeedOwner
from marketdata.reference import owners


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Which client owns the symbols of a feed; release them, or give them to another.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "action",
            choices=("list", "release", "transfer", "share", "unshare"),
            nargs="?",
            default="list",
            help=_("what to do (list)"),
        )
        parser.add_argument("--client", metavar="NAME", help=_("who owns them now"))
        parser.add_argument("--to", metavar="NAME", help=_("who is to own them (transfer)"))
        parser.add_argument("--feed", metavar="NAME", help=_("of this feed only"))
        parser.add_argument("--symbol", action="append", default=[], metavar="CODE", help=_("only this symbol"))

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        shared = dict(Feed.objects.values_list("name", "shared"))
        rows = FeedOwner.objects.order_by().values_list("feed", "client__name").annotate(Count("id"))
        for feed, name, count in sorted(rows, key=lambda row: (row[0], row[1] or "")):
            if options["feed"] in (None, feed):
                note = _("  shared") if shared.get(feed) else ""
                self.stdout.write(
                    _("{feed:<16} {name:<32} {count:>7,} symbols{note}").format(
                        feed=feed, name=name or "-", count=count, note=note
                    )
                )
        for feed in sorted(name for name, is_shared in shared.items() if is_shared):
            self.stdout.write(_("{feed:<16} shared").format(feed=feed))

    def _release(self, options: dict[str, Any]) -> None:
        client = self._client(options["client"], "--client")
        count = owners.release(client, feed=options["feed"], symbols=options["symbol"])
        self.stdout.write(_("{count:,} released").format(count=count))

    def _transfer(self, options: dict[str, Any]) -> None:
        client, to = self._client(options["client"], "--client"), self._client(options["to"], "--to")
        if options["feed"] and not to.may_write(options["feed"]):
            raise CommandError(
                _("{name} may not write {feed}; it may write: {feeds}").format(
                    name=to.name, feed=options["feed"], feeds=to.feeds or "none"
                )
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
            raise CommandError(_("--feed {feed}: no such feed. Known: {known}").format(feed=feed or "", known=known))
        Feed.objects.filter(name=feed).update(shared=shared)
        state = _("shared") if shared else _("owned")
        self.stdout.write(f"{feed} {state}")

    def _client(self, name: str | None, option: str) -> Client:
        client = Client.objects.filter(name=name or "").first()
        if client is None:
            raise CommandError(_("{option} {name}: no such client").format(option=option, name=name or ""))
        return client
