"""The second factor of a login: six digits of an authenticator app (RFC 6238), or one of the recovery codes that were
shown when it was enrolled. Each is accepted once. Knows no request and no session."""

from __future__ import annotations

import base64
import datetime
import secrets
from typing import Any

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac
from pyotp.exceptions import OTPVerificationError

from marketdata.models import RecoveryCode, SecondFactor

ISSUER = "Naru"
RECOVERY_CODES = 10
STEPS_AROUND = 1  # a clock may be this many steps of 30 s ahead or behind
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another


def new_secret() -> str:
    """For an app that is about to be enrolled; 160 bits in base32."""
    return pyotp.random_base32()


def address(secret: str, account: str) -> str:
    """What the app reads from the picture: otpauth://totp/…"""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def enrol(person: Any, secret: str, code: str, now: datetime.datetime) -> list[str] | None:
    """Give a person the app that shows this code now. His recovery codes, told only now; None for a wrong code, or
    when he has an app already."""
    step = _step_of(secret, code, now)
    if step is None:
        return None
    try:
        with transaction.atomic():
            factor = SecondFactor.objects.create(user=person, sealed=seal(secret), last_step=step, enrolled_at=now)
            return _new_codes(factor)
    except IntegrityError:
        return None


def accept(person: Any, text: str, now: datetime.datetime) -> bool:
    """Whether this is a code of the person's app or one of his recovery codes. It is none from then on."""
    factor = of(person)
    if factor is None:
        return False
    secret = unseal(factor.sealed)
    step = _step_of(secret, text, now) if secret is not None else None
    mine = SecondFactor.objects.filter(pk=factor.pk)
    # One statement each, so that of two logins with the same code one is refused.
    if step is not None and mine.filter(last_step__lt=step).update(last_step=step):
        return True
    deleted, _ = RecoveryCode.objects.filter(factor=factor, digest=_digest(person, text)).delete()
    return deleted > 0


def of(person: Any) -> SecondFactor | None:
    """The second factor of a person, if he has one."""
    return SecondFactor.objects.filter(user_id=person.pk).first()


def renew_codes(factor: SecondFactor) -> list[str]:
    """Other recovery codes in place of those of before, told only now."""
    with transaction.atomic():
        factor.recovery_codes.all().delete()
        return _new_codes(factor)


def remove(person: Any) -> bool:
    """Let the password be enough again; whether there was a second factor."""
    deleted, _ = SecondFactor.objects.filter(user_id=person.pk).delete()
    return deleted > 0


def seal(secret: str) -> str:
    """The secret as it may lie in the database; only who has SECRET_KEY reads it."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str | None:
    """What was sealed; None when it was with another SECRET_KEY."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _box() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(salted_hmac("naru.second_factor.seal", b"", algorithm="sha256").digest()))


def _step_of(secret: str, code: str, now: datetime.datetime) -> int | None:
    """The step of time that this is the code of."""
    plain = "".join(code.split())
    if not (plain.isascii() and plain.isdecimal()):
        return None
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(plain, for_time=now, valid_window=STEPS_AROUND)
    except OTPVerificationError:
        return None


def _new_codes(factor: SecondFactor) -> list[str]:
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create([RecoveryCode(factor=factor, digest=_digest(factor.user, code)) for code in codes])
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _digest(person: Any, code: str) -> str:
    """50 bits, hashed with SECRET_KEY, need no slow hash."""
    plain = "".join(code.split()).replace("-", "").lower()
    return salted_hmac("naru.second_factor.recovery", f"{person.pk}:{plain}", algorithm="sha256").hexdigest()
