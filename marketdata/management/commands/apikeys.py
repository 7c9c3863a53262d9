"""`manage.py apikeys`: named keys by hand. A secret is printed once and stored nowhere; the audit log has the rest."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from marketdata.models import ApiKey, Client
from marketdata.reference import api_keys
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("List, issue, rotate and revoke named keys of clients and people.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        whole = wire.options.between
        commands = parser.add_subparsers(dest="action", required=True)
        commands.add_parser("list", help=_("every key, without its secret"))
        issue = commands.add_parser("issue", help=_("a new key; its secret is shown this once"))
        issue.add_argument("name", help=_("what it is for, such as notebook"))
        owner = issue.add_mutually_exclusive_group(required=True)
        owner.add_argument("--client", metavar="NAME", help=_("the client whose key it is"))
        owner.add_argument("--user", metavar="NAME", help=_("the person whose key it is"))
        issue.add_argument("--feeds", default="*", help=_("feeds it may read (*)"))
        issue.add_argument("--expires", metavar="DATE", help=_("the first day it works no more, such as 2027-01-31"))
        issue.add_argument("--limit", type=whole(1, 10_000_000), help=_("requests a minute (API_RATE_LIMIT)"))
        rotate = commands.add_parser("rotate", help=_("a new secret; the present one works on for a while"))
        rotate.add_argument("key_id", help=_("key id"))
        longest = int(api_keys.LONGEST_OVERLAP.total_seconds()) // 3600
        rotate.add_argument(
            "--overlap-h", type=whole(0, longest), default=24, help=_("hours the present secret still works (24)")
        )
        revoke = commands.add_parser("revoke", help=_("end a key for good"))
        revoke.add_argument("key_id", help=_("key id"))

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.select_related("client", "user").order_by("id"):
            state = "revoked" if key.revoked_at else "usable" if key.is_usable(timezone.now()) else "ended"
            used = key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else "-"
            self.stdout.write(f"{key.key_id}  {key.owner}  {key.name}  {state}  feeds={key.feeds}  used={used}")

    def _issue(self, options: dict[str, Any]) -> None:
        fields: dict[str, Any] = {"name": options["name"], "feeds": options["feeds"], "rate_limit": options["limit"]}
        if options["client"]:
            fields["client"] = Client.objects.filter(name=options["client"]).first()
        else:
            fields["user"] = get_user_model().objects.filter(username=options["user"]).first()
        if fields.get("client") is None and fields.get("user") is None:
            raise CommandError(
                _("{name}: there is nobody of this name").format(name=options["client"] or options["user"])
            )
        if options["expires"]:
            fields["expires_at"] = _midnight(options["expires"])
        try:
            key, secret = api_keys.issue(**fields)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        except api_keys.NotIssued as error:
            raise CommandError(str(error)) from error
        self._show(key, secret)

    def _rotate(self, options: dict[str, Any]) -> None:
        key = _found(options["key_id"])
        self._show(key, api_keys.rotate(key, datetime.timedelta(hours=options["overlap_h"]), timezone.now()))

    def _revoke(self, options: dict[str, Any]) -> None:
        if not api_keys.revoke(_found(options["key_id"]), timezone.now()):
            raise CommandError(_("it was revoked before"))

    def _show(self, key: ApiKey, secret: str) -> None:
        self.stdout.write(f"name    {key.name}\nkey id  {key.key_id}\nsecret  {secret}")
        self.stderr.write(_("The secret cannot be shown again."))


def _found(key_id: str) -> ApiKey:
    key = ApiKey.objects.filter(key_id=key_id).first()
    if key is None:
        raise CommandError(_("{key_id}: there is no such key").format(key_id=key_id))
    return key


def _midnight(text: str) -> datetime.datetime:
    """The beginning of a day where the server is."""
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise CommandError(_("{text}: a day is written as 2027-01-31").format(text=text))
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))
