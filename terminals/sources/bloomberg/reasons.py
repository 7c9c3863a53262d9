"""Why Bloomberg refused something, in plain words, and whether asking again can help."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from terminals.masking import masked
from terminals.wire.language import gettext as _


class Again(Enum):
    """Never: somebody has to change something. Later: a limit was reached. Slowly: it may pass by itself."""

    NEVER = "never"
    LATER = "later"
    SLOWLY = "slowly"


# Categories met in `reason.category` of a SubscriptionFailure.
_AGAIN: Final = {"BAD_SEC": Again.NEVER, "BAD_FLD": Again.NEVER, "NO_AUTH": Again.NEVER, "LIMIT": Again.LATER}


def category_of(content: Mapping[str, Any]) -> str:
    """The category of the reason in a message; empty if there is none."""
    reason = content.get("reason")
    return str(reason.get("category") or "") if isinstance(reason, Mapping) else ""


def again(category: str) -> Again:
    """Whether asking again can help."""
    return _AGAIN.get(category, Again.SLOWLY)


def describe(content: Mapping[str, Any]) -> str:
    """What Bloomberg says, with its category and subcategory, without what may be a secret; empty if it says
    nothing."""
    reason = content.get("reason")
    if not isinstance(reason, Mapping):
        return masked(str(reason or content.get("description") or ""))
    words = [reason.get(name) for name in ("category", "subcategory", "description")]
    return masked(" / ".join(str(word) for word in words if word))


def explain(category: str) -> str:
    """What a category means to the person at the desk."""
    match category:
        case "NO_AUTH":
            return _("no permission for it: ask the desk's Bloomberg contact for this exchange's real-time data")
        case "BAD_SEC":
            return _("Bloomberg knows no such security: compare it with the Terminal's own spelling")
        case "BAD_FLD":
            return _("Bloomberg knows no such field for it")
        case "LIMIT":
            return _("a limit of this Terminal is reached: subscribe fewer securities, or wait until it is lifted")
        case _:
            return _("it is asked for again from time to time")
