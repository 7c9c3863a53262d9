"""Messages that are kept in English, and by language beside it; what errors say, in whichever language it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from django.utils.functional import Promise, lazy
from django.utils.text import format_lazy
from django.utils.translation import get_language

Text = str | Promise
"""One of the catalogues, which is put into words by who reads it, or one that is in a single language anyway."""


ENGLISH = "en"
"""Under which `texts` may have the message that they are of: then one that somebody writes who knows of no texts (a
worker of the version before, while an upgrade goes on) is told as it is."""


def in_language(message: str, texts: Mapping[str, str] | None) -> str:
    """The message in the reader's language, if `texts` has it in that one."""
    return others(message, texts).get(get_language() or "", message)


def others(message: str, texts: Mapping[str, str] | None) -> dict[str, str]:
    """The message by language without English; none where `texts` are of another one, and of no message."""
    found = dict(texts or {})
    return found if found.pop(ENGLISH, message) == message and message else {}


def kept(message: str, texts: Mapping[str, str] | None) -> Promise:
    """A message that is kept, for a text of which it becomes a part."""
    return cast(Promise, lazy(in_language, str)(message, texts))  # its types say what it will be


def of_error(error: BaseException) -> Text:
    """What an error says; of one without a word its name."""
    said = error.args[0] if len(error.args) == 1 else None
    return said if isinstance(said, Promise) else str(error) or type(error).__name__


def with_kind(error: BaseException) -> Promise:
    """What an error says, behind what kind of error it is."""
    return format_lazy("{kind}: {said}", kind=type(error).__name__, said=of_error(error))


def joined(texts: Sequence[Text], by: str = "; ") -> Text:
    """Texts as one."""
    return format_lazy(by.join("{}" for _ in texts), *texts) if texts else ""
