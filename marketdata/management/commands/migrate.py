"""Django's `migrate`, with the patience that a table of millions of rows wants."""

from typing import Any

from django.core.checks import Tags
from django.core.management.commands import migrate

from marketdata.storage import storage


class Command(migrate.Command):
    requires_system_checks = (Tags.database, Tags.models)  # the others load every URL

    def handle(self, *args: Any, **options: Any) -> None:
        with storage(options["database"]).long_running():
            super().handle(*args, **options)
