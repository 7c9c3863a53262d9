"""Issuing, rotating and revoking named keys. A secret is told once, by the function that made it."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from typing import Any

from django.db import IntegrityError, transaction

from marketdata.models import ApiKey
from marketdata.types import scopes

LONGEST_OVERLAP = datetime.timedelta(days=30)


class NotIssued(Exception):
    """A key that cannot be as it was asked for."""


def issue(**fields: Any) -> tuple[ApiKey, str]:
    """A new key and its secret. ValidationError for fields that cannot be, NotIssued when its owner has one of this
    name, made at the same moment."""
    key = ApiKey(**fields)
    secret = prepare(key)
    key.full_clean()
    try:
        with transaction.atomic():
            key.save()
    except IntegrityError as error:
        raise NotIssued(f"there is a key {key.name} already") from error
    return key, secret


def prepare(key: ApiKey) -> str:
    """Give an unsaved key its id and a secret, which is the answer."""
    key.key_id = ApiKey.PREFIX + secrets.token_hex(9).upper()
    key.feeds = scopes.tidy(key.feeds)
    secret = _new_secret()
    key.secret_hash = digest(secret)
    return secret


def rotate(key: ApiKey, overlap: datetime.timedelta, now: datetime.datetime) -> str:
    """A new secret; the one of before works for `overlap` longer, an older one no more. ValueError for an overlap that
    is negative or longer than LONGEST_OVERLAP."""
    if not datetime.timedelta() <= overlap <= LONGEST_OVERLAP:
        raise ValueError(f"an overlap lasts from 0 to {LONGEST_OVERLAP.days} days")
    secret = _new_secret()
    key.previous_hash, key.previous_until = (key.secret_hash, now + overlap) if overlap else (None, None)
    key.secret_hash = digest(secret)
    key.save(update_fields=["secret_hash", "previous_hash", "previous_until"])
    return secret


def revoke(key: ApiKey, now: datetime.datetime) -> bool:
    """End a key for good; whether it was not so already."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now))


def matches(key: ApiKey, secret: str, now: datetime.datetime) -> bool:
    """Whether this is the key's secret, or the one of before within the overlap."""
    presented = digest(secret)
    is_current = hmac.compare_digest(presented, bytes(key.secret_hash))
    is_previous = hmac.compare_digest(presented, bytes(key.previous_hash or b""))
    return is_current or (is_previous and key.previous_until is not None and now < key.previous_until)


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _new_secret() -> str:
    return secrets.token_urlsafe(32)
