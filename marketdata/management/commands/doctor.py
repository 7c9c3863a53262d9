"""`manage.py doctor`: looks at everything the promises rest on, and says what is wrong and how to set it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata import alarms, doctor


class Command(BaseCommand):
    requires_system_checks = ()
    help = _(
        "Check what the promises rest on, and the whole deployment. Status 1 if a promise cannot be kept, 3 if"
        " something is only slower, later or less safe."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help=_("for programs"))

    def handle(self, *args: Any, **options: Any) -> None:
        found = doctor.examine()
        if options["json"]:
            shown = [
                {
                    "what": alarms.english(one.what),
                    "value": alarms.english(one.value),
                    "wanted": alarms.english(one.wanted),
                    "level": one.level.value,
                    "remedy": alarms.english(one.remedy),
                }
                for one in found
            ]
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))
        else:
            for line in doctor.table(found):
                self.stdout.write(line)
        status = doctor.status(found)
        if status:
            wrong = sum(one.level in (doctor.Level.ERROR, doctor.Level.WARNING) for one in found)
            raise CommandError(
                _("{errors} of {number} are wrong; each line says what to do").format(errors=wrong, number=len(found)),
                returncode=status,
            )
