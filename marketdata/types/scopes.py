"""Which feeds, markets and kinds a client may send, as words separated by blanks: `*` is any, and `sim*` whatever
begins with sim."""

from __future__ import annotations

import re
from collections.abc import Iterable

ANY = "*"
FEEDS_OF_SOURCE = {
    "INFOMAX": "infomax*",
    "BLOOMBERG": "bloomberg*",
    "KIS": "krx nxt unified kis*",
    "REPLAY": "replay*",
    "SIMULATOR": "sim*",
}
"""What a new client of a source may write unless something else is said. A source that is not here: its own name."""
_WORD = re.compile(r"[0-9A-Za-z_]{0,16}\*?", re.ASCII)


def feeds_of_source(code: str) -> str:
    """The feeds of a new client of this source."""
    return FEEDS_OF_SOURCE.get(code, f"{code.lower()[:15]}*")


def allows(words: str, name: str) -> bool:
    """Whether a scope has this name."""
    return any(
        name.startswith(word[:-1]) if word.endswith(ANY) else name == word for word in words.replace(",", " ").split()
    )


def malformed(words: str, names: Iterable[str] | None = None) -> list[str]:
    """The words of a scope that mean nothing; with `names`, also those that none of them fits."""
    given = words.replace(",", " ").split()
    wrong = [word for word in given if not _WORD.fullmatch(word)]
    if names is not None:
        known = list(names)
        wrong += [word for word in given if word not in wrong and not any(allows(word, name) for name in known)]
    return wrong


def tidy(words: str) -> str:
    """The same scope, written as it is kept."""
    return " ".join(dict.fromkeys(words.replace(",", " ").split()))
