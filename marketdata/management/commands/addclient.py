"""`manage.py addclient`: a new client by hand. Its secret is printed once and stored nowhere."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from marketdata.models import Client, Source


class Command(BaseCommand):
    help = "클라이언트를 등록하고 키를 한 번만 보여줍니다. Register a client; its secret is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="이름 / name, such as desk3-infomax")
        parser.add_argument("--source", help="보낼 소스 / what it sends: INFOMAX, BLOOMBERG, KIS, REPLAY, SIMULATOR")
        parser.add_argument("--register", action="store_true", help="종목 등록 허용 / may register unknown symbols")
        parser.add_argument("--no-read", action="store_true", help="조회 금지 / may not read by REST and WebSocket")

    def handle(self, *args: Any, **options: Any) -> None:
        source = None
        if options["source"]:
            source = Source.objects.filter(code=options["source"]).first()
            if source is None:
                known = ", ".join(Source.objects.values_list("code", flat=True))
                raise CommandError(f"{options['source']}: 그런 소스가 없습니다 / no such source. Known: {known}")
        if options["register"] and source is None:
            raise CommandError("--register 에는 --source 가 필요합니다 / --register needs --source")
        try:
            client, secret = Client.objects.create_with_secret(
                name=options["name"],
                source=source,
                may_send=source is not None,
                may_read=not options["no_read"],
                may_register=options["register"],
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(f"name    {client.name}\nkey id  {client.key_id}\nsecret  {secret}")
        self.stderr.write("비밀 키는 다시 볼 수 없습니다. The secret cannot be shown again.")
