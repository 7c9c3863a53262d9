"""Messages that are kept in English, and by language beside it."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import get_language


def in_language(message: str, texts: Mapping[str, str] | None) -> str:
    """The message in the reader's language, if `texts` has it in that one."""
    return (texts or {}).get(get_language() or "", message)
