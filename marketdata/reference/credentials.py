"""Checks a key id and secret against what is stored of them. The same answer, in the same time, for an unknown id."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets

from marketdata.models import ApiKey, Client
from marketdata.reference import api_keys
from terminals import wire

_NOBODY = wire.verifier(wire.new_secret())
_NO_KEY = ApiKey(secret_hash=secrets.token_bytes(32))


def verify(key_id: str, secret: str) -> Client | ApiKey | None:
    """The active client of this key, or the named key itself, or None."""
    asked = key_id.replace("\0", "")  # PostgreSQL refuses a question with NUL; no key has one
    if key_id.startswith(ApiKey.PREFIX):
        return _named_key(key_id, asked, secret)
    client = Client.objects.select_related("source").filter(key_id=asked, is_active=True).first()
    client = client if client and client.key_id == key_id else None
    stored_key = bytes(client.stored_key) if client else _NOBODY.stored_key
    try:
        presented = wire.verifier(secret).stored_key
    except ValueError:
        presented = secrets.token_bytes(32)
    matches = hmac.compare_digest(hashlib.sha256(presented).digest(), hashlib.sha256(stored_key).digest())
    return client if client and matches else None


def _named_key(key_id: str, asked: str, secret: str) -> ApiKey | None:
    now = datetime.datetime.now(datetime.UTC)
    key = ApiKey.objects.select_related("client", "user").filter(key_id=asked).first()
    key = key if key and key.key_id == key_id else None
    is_right = api_keys.matches(key or _NO_KEY, secret, now)
    return key if key and is_right and key.is_usable(now) else None
