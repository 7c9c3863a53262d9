"""What no log, error report or trace may tell: passwords in addresses, what stands behind the name of a secret, and the
secrets that this process was given."""

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "***"
_SHORTEST: Final = 8
"""Shorter ones are not looked for by their letters: they would be found within ordinary words."""
_ADDRESS: Final = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@")
# `password: YES` is MariaDB's word on whether one was given.
_NAMED: Final = re.compile(
    r"((?:[\w-]*(?:secret|password|passwd|token|authorization|cookie|sessionid|signature|ticket|dsn)"
    r"|app-?_?key|api-?_?key)[\w-]*[\"']?\s*[=:]\s*)(?!yes\b|no\b)"
    r"(?:[\"'][^\"']*[\"']?|(?:bearer\s+|basic\s+|token\s+)?[^\s\"'&,;)}\]]+)",
    re.ASCII | re.IGNORECASE,
)
_CANDIDATE: Final = re.compile(
    r"://|secret|passw|token|authori|cookie|session|signature|ticket|dsn|app-?_?key|api-?_?key",
    re.ASCII | re.IGNORECASE,
)


class Redaction:
    """Takes out of a text what may be a secret. `known` are this process' own, found wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        # The longest first: one may be a part of another.
        words = sorted({word for word in known if len(word) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if _CANDIDATE.search(text) is None:
            return text
        return _NAMED.sub(rf"\g<1>{MASK}", _ADDRESS.sub(rf"\g<1>:{MASK}@", text))
