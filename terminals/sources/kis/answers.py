"""What KIS answers to a call, and which kind of error an answer is. Knows no network.

Errors come with two sets of keys: `rt_cd`, `msg_cd`, `msg1` of data calls, `error_code`, `error_description` of the
others, and with any HTTP status, so that the body counts before the status.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from terminals.masking import MASK, masked_start

_TOO_SOON: Final = "EGW00133"
_TOKEN_REFUSED: Final = ("EGW00121", "EGW00123")  # invalid, expired
_KEY_REFUSED: Final = ("EGW00103", "EGW00105")  # appkey, appsecret
_QUOTA: Final = "EGW00201"
_SERVER: Final = ("EGW00002", "EGW003")
_LONGEST_TEXT: Final = 200
_MASKED: Final = 4000  # before its spaces are taken out


class Trouble(StrEnum):
    """Why a call may be worth a repetition; also the label it is counted under."""

    QUOTA = "quota"
    SERVER = "server"
    NO_JSON = "no_json"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UNREACHABLE = "unreachable"
    SHARED_FILES = "shared_files"
    """Those of this machine: a full disk, a folder that may not be written."""


class KisError(Exception):
    """A call to KIS that gave no data: its code, empty if there was none, and KIS's own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code, self.message = code, message


class UnavailableError(KisError):
    """The service cannot be used just now."""

    def __init__(self, trouble: Trouble, code: str, message: str) -> None:
        super().__init__(code, message)
        self.trouble = trouble


class TokenRefusedError(KisError):
    """The token is unknown or too old."""


class TokenTooSoonError(KisError):
    """A token was issued less than a minute ago."""


class KeyRefusedError(KisError):
    """The appkey or its secret is wrong: no call can succeed until a person has changed it."""


class BusinessError(KisError):
    """The call was understood and has no answer: an unknown code, a closed market."""


def read(status: int, content: bytes, secrets: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON object of a good answer. UnavailableError, TokenRefusedError, TokenTooSoonError, KeyRefusedError,
    BusinessError; none of `secrets` is in what they say, whatever the service wrote."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UnavailableError(Trouble.NO_JSON, "", f"status {status} with a body that is no JSON object")
    code = _text(body, ("msg_cd", "error_code"), secrets)
    message = _text(body, ("msg1", "error_description"), secrets)
    if status == 200 and "error_code" not in body and str(body.get("rt_cd", "0")) == "0":
        return body
    raise _error(status, code, message)


def _error(status: int, code: str, message: str) -> KisError:
    if code in _TOKEN_REFUSED:
        return TokenRefusedError(code, message)
    if code == _TOO_SOON:
        return TokenTooSoonError(code, message)
    if code in _KEY_REFUSED:
        return KeyRefusedError(code, message)
    if code == _QUOTA or status == 429:
        return UnavailableError(Trouble.QUOTA, code, message)
    if code.startswith(_SERVER) or status >= 500:
        return UnavailableError(Trouble.SERVER, code, message or f"status {status}")
    return BusinessError(code, message or f"status {status}")


def _text(body: Mapping[str, Any], names: Sequence[str], secrets: Sequence[str]) -> str:
    """The first of the fields that is there, without secrets, known or likely, on one line, and cut last: half a secret
    is one too."""
    text = str(next((body[name] for name in names if body.get(name)), ""))
    for secret in secrets:
        text = text.replace(secret, MASK)
    return " ".join(masked_start(text, _MASKED).split())[:_LONGEST_TEXT]
