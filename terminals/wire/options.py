"""Numbers, names, dates and times on a command line: what they allow is all they take. For `type=` of argparse."""

import argparse
import datetime
import math
import re
from collections.abc import Callable

from terminals.wire import numbers
from terminals.wire.batch_header import BatchError, check_feed
from terminals.wire.language import gettext as _

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MARKET = re.compile(r"[A-Z0-9_]{1,16}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def between(low: int, high: int) -> Callable[[str], int]:
    """A whole number from `low` to `high`."""

    def number(text: str) -> int:
        try:
            return numbers.whole(text, low, high)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return number


def decimal(low: float, high: float = math.inf) -> Callable[[str], float]:
    """A number from `low` to `high`, in digits with a point if it has to be."""

    def number(text: str) -> float:
        try:
            return numbers.plain(text, low, high)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return number


def port(text: str) -> int:
    """A TCP port."""
    return between(1, 65535)(text)


def feed(text: str) -> str:
    """The name of a feed. ArgumentTypeError if it can be none."""
    try:
        check_feed(text)
    except BatchError:
        raise argparse.ArgumentTypeError(_("{text!r} is no feed: 1 to 16 of a-z, 0-9, _").format(text=text)) from None
    return text


def client(text: str) -> str:
    """The name of a client, as HELLO takes it. ArgumentTypeError if it can be none."""
    if not 1 <= len(text) <= 64 or not text.isprintable():
        raise argparse.ArgumentTypeError(_("{text!r} is no client: 1 to 64 printable characters").format(text=text))
    return text


def market(text: str) -> str:
    """The code of a market, or - for none. ArgumentTypeError if HELLO would not take it."""
    if text != "-" and not _MARKET.fullmatch(text):
        raise argparse.ArgumentTypeError(_("{text!r} is no market: 1 to 16 of A-Z, 0-9, _").format(text=text))
    return text


def date(text: str) -> datetime.date:
    """A day written YYYY-MM-DD. ArgumentTypeError for anything else."""
    if _DATE.fullmatch(text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:  # no such day
            pass
    raise argparse.ArgumentTypeError(_("{text!r}: a date is written YYYY-MM-DD, such as 2026-03-16").format(text=text))


def moment(zone: datetime.tzinfo | None) -> Callable[[str], datetime.datetime]:
    """A time written YYYY-MM-DDThh:mm, with seconds if it has to be, and its offset; in `zone` where the offset is left
    out, and there a day alone is its midnight. Without a zone the offset must be there."""

    def aware(text: str) -> datetime.datetime:
        if not _MOMENT.fullmatch(text) and not (zone and _DATE.fullmatch(text)):
            example = "2026-03-16" if zone else "2026-03-16T09:00+09:00"
            raise argparse.ArgumentTypeError(
                _("{text!r}: no time such as {example}").format(text=text, example=example)
            )
        try:
            found = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise argparse.ArgumentTypeError(_("{text!r}: there is no such time").format(text=text)) from None
        if found.tzinfo is None and zone is None:
            raise argparse.ArgumentTypeError(_("{text!r}: say the time zone, such as +09:00").format(text=text))
        return found if found.tzinfo else found.replace(tzinfo=zone)

    return aware
