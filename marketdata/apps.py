"""Django's entry for the marketdata package."""

import datetime
from collections.abc import Callable, Sequence

from django.apps import AppConfig
from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from marketdata.maintenance import before_drop


class MarketdataConfig(AppConfig):
    name = "marketdata"
    verbose_name = _("Market data")

    def ready(self) -> None:
        connection_created.connect(notice_silence)
        before_drop.connect(archive_first)
        post_migrate.connect(make_roles, sender=self)


def notice_silence(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Receives Django's signal of a new connection: every one fails when its server falls silent."""
    from marketdata.storage import storage_of  # only whoever makes a connection waits for it

    storage_of(connection).notice_silence()


def archive_first(*, table: str, dates: Sequence[datetime.date], progress: Callable[[str], None], **_: object) -> None:
    """Receives the signal that prices, order books or events go. Kept if they cannot be archived."""
    from marketdata.archive import exports  # only whoever drops something waits for it

    exports.make_beside(table, dates, progress=progress)


def make_roles(*, apps: Apps | None = None, **_: object) -> None:
    """Receives Django's signal after migrate, when all permissions are there: the groups of the roles. `apps` is how
    far the migrations went (all the way, where `flush` sends the signal); some of them alone make no table of
    permissions."""
    try:
        if apps is not None:
            apps.get_model("auth", "Permission")
    except LookupError:
        return
    from marketdata.reference import roles  # its models are there only now

    roles.make_groups()
