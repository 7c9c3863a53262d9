"""Where copies of backups go, for whom they are encrypted and who signs them, as the settings have it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from marketdata.backups.offsite.bucket import Bucket
from marketdata.backups.offsite.folder import MountedFolder
from marketdata.backups.offsite.places import Place, PlaceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsite:
    """`url` is a folder or `s3://bucket/prefix`. `keep` is None where nothing is ever deleted there."""

    url: str
    recipients: tuple[str, ...] = ()
    sign_command: tuple[str, ...] = ()
    signers: Path | None = None
    keep: datetime.timedelta | None = None
    prove_every: datetime.timedelta = datetime.timedelta(days=7)
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    def place(self) -> Place:
        """The place itself, not yet asked for anything. PlaceUnavailable for an address that is none, or where a
        package is missing."""
        scheme, _colon, rest = self.url.partition("://")
        if scheme == "s3" and rest.strip("/"):
            bucket, _slash, prefix = rest.partition("/")
            return Bucket(
                bucket, prefix.strip("/"), endpoint=self.endpoint, region=self.region, access_key=self.access_key,
                secret_key=self.secret_key,
            )  # fmt: skip
        path = Path(rest if scheme == "file" and rest else self.url)
        if not path.is_absolute():
            raise PlaceUnavailable(
                _("{url} is no place for copies: name a folder from / on, or s3://bucket/prefix"), url=self.url
            )
        return MountedFolder(path)


def offsite(url: str = "") -> Offsite | None:
    """What BACKUP_OFFSITE and its companions say, with another place where `url` names one; None without any."""
    url = url or settings.BACKUP_OFFSITE
    if not url:
        return None
    days = settings.RETENTION_BACKUPS_OFFSITE_DAYS
    return Offsite(
        url=url,
        recipients=tuple(settings.BACKUP_RECIPIENTS),
        sign_command=tuple(settings.BACKUP_SIGN_COMMAND),
        signers=Path(settings.BACKUP_SIGNERS_FILE) if settings.BACKUP_SIGNERS_FILE else None,
        keep=datetime.timedelta(days=days) if days else None,
        prove_every=datetime.timedelta(days=settings.BACKUP_OFFSITE_PROVE_DAYS),
        endpoint=settings.BACKUP_OFFSITE_ENDPOINT,
        region=settings.BACKUP_OFFSITE_REGION,
        access_key=settings.BACKUP_OFFSITE_ACCESS_KEY,
        secret_key=settings.BACKUP_OFFSITE_SECRET_KEY,
    )
