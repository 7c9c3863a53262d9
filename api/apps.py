"""The API as a Django application: everything that people and programs see."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks
from django.http import HttpRequest

from api.auth.checks import check_second_factor


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "API"

    def ready(self) -> None:
        user_logged_in.connect(note_login)
        checks.register(check_second_factor, checks.Tags.security, deploy=True)


def note_login(request: HttpRequest, **_: object) -> None:
    """Receives Django's signal of a login."""
    from api.auth import sessions  # its table is there only now

    sessions.note_login(request)
