"""`manage.py second_factors`: who logs in with one, and taking it from who lost the app and the recovery codes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from api.auth import sessions
from marketdata.models import SecondFactor
from marketdata.reference import second_factors


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("List second factors of logins, and reset that of a person.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        commands.add_parser("list", help=_("who has one, since when, and how many recovery codes are left"))
        reset = commands.add_parser("reset", help=_("take it from a person, whose sessions end"))
        reset.add_argument("name", help=_("name of the person"))

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for factor in SecondFactor.objects.select_related("user").order_by("user__username"):
            codes = factor.recovery_codes.count()
            self.stdout.write(f"{factor}  since={factor.enrolled_at.isoformat(timespec='seconds')}  codes={codes}")

    def _reset(self, options: dict[str, Any]) -> None:
        person = get_user_model().objects.filter(username=options["name"]).first()
        if person is None:
            raise CommandError(_("{name}: there is nobody of this name").format(name=options["name"]))
        if not second_factors.remove(person):
            raise CommandError(_("{name}: has no second factor").format(name=options["name"]))
        sessions.end_others(person.pk, None)
