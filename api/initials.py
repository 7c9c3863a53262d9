"""Names found by the initial consonants of their syllables, as Korean desks look them up."""

from __future__ import annotations

import re

# Consonants of the keyboard in the order of the syllables that begin with them: 588 each, from U+AC00 on.
_CONSONANTS = "".join(
    map(chr, (0x3131, 0x3132, 0x3134, 0x3137, 0x3138, 0x3139, 0x3141, 0x3142, 0x3143, *range(0x3145, 0x314F)))
)
_FIRST, _EACH = 0xAC00, 588


def pattern(word: str) -> str | None:
    """A regular expression of any database that finds a word in which consonants stand for the syllables that begin
    with them; None if there is no such consonant."""
    if not any(letter in _CONSONANTS for letter in word):
        return None
    return "".join(_syllables(letter) if letter in _CONSONANTS else re.escape(letter) for letter in word)


def _syllables(consonant: str) -> str:
    first = _FIRST + _EACH * _CONSONANTS.index(consonant)
    return f"[{consonant}{chr(first)}-{chr(first + _EACH - 1)}]"
