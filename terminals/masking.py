"""Words from outside on their way to a log: what may be a key, a token or the number of an account is taken out."""

import re
import string
from typing import Final

MASK: Final = "***"
_LOOKED_AT: Final = 4096
# An approval key is a UUID, an appkey has 36 characters, an appsecret 180, a token three parts of base64; all have
# digits, which no word of a message has. The number of an account is 8 digits, or 10, with or without a hyphen.
_LONG: Final = re.compile(r"[A-Za-z0-9+/_.~-]{20,}={0,2}", re.ASCII)
_DIGIT: Final = re.compile(r"[0-9]", re.ASCII)
_ACCOUNT: Final = re.compile(r"(?<![0-9])[0-9]{8}(?:-?[0-9]{2})?(?![0-9])", re.ASCII)
_OF_A_KEY: Final = string.ascii_letters + string.digits + "+/_.~-="


def masked(text: str) -> str:
    """The same text without what may be a secret: 20 and more characters of a key with a digit among them, and 8 or 10
    digits. A date written in 8 digits goes with them."""
    return _ACCOUNT.sub(MASK, _LONG.sub(_without_key, text))


def masked_start(text: str, most: int) -> str:
    """The first `most` characters of `masked`; of a text of megabytes only the first 4,096 are looked at, and the word
    that ends there in the middle is taken out, for half a secret is one too."""
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT].rstrip(_OF_A_KEY) + MASK
    return masked(text)[:most]


def _without_key(found: re.Match[str]) -> str:
    return MASK if _DIGIT.search(found[0]) else found[0]
