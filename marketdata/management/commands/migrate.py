"""Django's `migrate`, with the patience that a table of millions of rows wants."""

from typing import Any

from django.core.management.commands import migrate

from marketdata.storage import storage


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with storage(options["database"]).patient():
            super().handle(*args, **options)
