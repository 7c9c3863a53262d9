"""The only door to `blpapi`: imported when it is needed, and its messages turned into plain records.

Facts of the SDK: its Python sources, 3.26 (msitt/blpapi-python): session, message, element, datetime.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.sources.contract import WrongInput
from terminals.wire.language import gettext as _

MARKET_DATA: Final = "MarketDataEvents"
INDEX: Final = "https://blpapi.bloomberg.com/repository/releases/python/simple/"
INSTALL: Final = f"python -m pip install --index-url={INDEX} blpapi"


def load() -> Any:
    """The module `blpapi`. WrongInput if it is not installed, or its library cannot be loaded; it says what to do."""
    try:
        import blpapi
    except ImportError as error:
        told = _("the Bloomberg SDK cannot be used ({reason}). It is not on PyPI: {install}")
        raise WrongInput(told.format(reason=error, install=INSTALL)) from None
    return blpapi


@dataclass(frozen=True, slots=True)
class Record:
    """One message. `kind` is its type (MarketDataEvents, DataLoss, …), `security` what it is about, as it was
    subscribed (None: the session). `content` as Bloomberg names it: numbers, text, None for a null, times as ISO 8601.
    `recap`: a picture that was asked for, not news; `begins` and `ends` if it is its first and its last message."""

    kind: str
    security: str | None
    content: Mapping[str, Any] = field(default_factory=dict)
    recap: bool = False
    begins: bool = True
    ends: bool = True

    @property
    def is_picture(self) -> bool:
        """Whether it is (part of) the initial paint of its security."""
        return self.kind == MARKET_DATA and (self.recap or self.content.get("MKTDATA_EVENT_SUBTYPE") == "INITPAINT")

    def text(self) -> str:
        """As JSON, for a recording."""
        return json.dumps(
            [self.kind, self.security, dict(self.content), self.recap, self.begins, self.ends], ensure_ascii=False
        )

    @classmethod
    def read(cls, text: str | bytes) -> "Record":
        """What `text` gave. WrongInput if it is something else."""
        try:
            given = json.loads(text)
        except ValueError:
            given = None
        if not (isinstance(given, list) and len(given) == 6 and isinstance(given[2], dict)):
            raise WrongInput(_("{text!r} is no message of Bloomberg").format(text=text[:80]))
        return cls(*given)


def records(sdk: Any, message: Any, securities: Mapping[int, str]) -> Iterator[Record]:
    """A record for each subscription that this message is for, by the numbers they were subscribed with; one without a
    security if it is for none."""
    content = plain(message.toPy())
    recap = message.recapType() != sdk.Message.RECAPTYPE_NONE
    fragment = message.fragmentType()
    begins = fragment in (sdk.Message.FRAGMENT_NONE, sdk.Message.FRAGMENT_START)
    ends = fragment in (sdk.Message.FRAGMENT_NONE, sdk.Message.FRAGMENT_END)
    numbers = [one.value() for one in message.correlationIds()]
    known = [securities[number] for number in numbers if isinstance(number, int) and number in securities]
    about: Sequence[str | None] = known or [None]
    for security in about:
        yield Record(
            str(message.messageType()), security, content if isinstance(content, dict) else {}, recap, begins, ends
        )


def plain(value: Any) -> Any:
    """What `toPy` gave, as JSON can say it. A null of a complex type comes as {}: it is a null."""
    match value:
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
        case list():
            return [plain(one) for one in value]
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
