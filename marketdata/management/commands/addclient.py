"""`manage.py addclient`: a new client by hand. Its secret is printed once and stored nowhere."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.models import Client, Source
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Register a client; its secret is shown this once.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help=_("name, such as desk3-infomax"))
        parser.add_argument("--source", help=_("what it sends: INFOMAX, BLOOMBERG, KIS, REPLAY, SIMULATOR"))
        parser.add_argument("--register", action="store_true", help=_("may register unknown symbols"))
        parser.add_argument(
            "--quota",
            action="append",
            default=[],
            metavar="NAME=N",
            help=_("a limit of its own, such as symbols=50000 (spools, symbols, dates)"),
        )
        parser.add_argument("--feeds", default="", help=_("feeds it may write (those of its source)"))
        parser.add_argument("--markets", default="*", help=_("markets whose symbols it may send (*)"))
        parser.add_argument("--kinds", default="*", help=_("kinds of ticks it may send (*)"))
        parser.add_argument(
            "--unique-by",
            choices=("seq", "cum_volume"),
            default="",
            help=_("what differs between any two of its trades, so that a repeated record is recognised"),
        )
        parser.add_argument("--share", action="store_true", help=_("may send what others own"))
        parser.add_argument("--read", action="store_true", help=_("may read although it sends"))
        parser.add_argument("--no-read", action="store_true", help=_("may not read by REST and WebSocket"))

    def handle(self, *args: Any, **options: Any) -> None:
        source = None
        if options["source"]:
            source = Source.objects.filter(code=options["source"]).first()
            if source is None:
                known = ", ".join(Source.objects.values_list("code", flat=True))
                raise CommandError(
                    _("{source}: no such source. Known: {known}").format(source=options["source"], known=known)
                )
        if options["read"] and options["no_read"]:
            raise CommandError(_("--read or --no-read, not both"))
        if options["register"] and source is None:
            raise CommandError(_("--register needs --source"))
        known_client = Client.objects.filter(name=options["name"]).first()
        if known_client is not None:
            raise CommandError(
                _(
                    "client {name} is there already (key id {key_id}, source {source}): use its key, give it a new one"
                    " in the admin, or choose another name"
                ).format(name=known_client.name, key_id=known_client.key_id, source=known_client.source or "-")
            )
        try:
            client, secret = Client.objects.create_with_secret(
                name=options["name"],
                source=source,
                may_send=source is not None,
                may_read=options["read"] or (source is None and not options["no_read"]),
                feeds=options["feeds"],
                markets=options["markets"],
                kinds=options["kinds"],
                unique_by=options["unique_by"],
                shares_feeds=options["share"],
                may_register=options["register"],
                quotas=_quotas(options["quota"]),
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(f"name    {client.name}\nkey id  {client.key_id}\nsecret  {secret}")
        self.stderr.write(_("The secret cannot be shown again."))


def _quotas(given: list[str]) -> dict[str, int]:
    found = {}
    for text in given:
        name, _equals, limit = text.partition("=")
        try:
            found[name] = wire.numbers.whole(limit, 0, 2**31 - 1)
        except ValueError:
            raise CommandError(_("{text}: must be NAME=N, such as symbols=50000").format(text=text)) from None
    return found
