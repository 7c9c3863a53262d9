"""A vendor of minute bars that answers from a list, for tests of what is done with its answers."""

import datetime
from collections.abc import Mapping

from marketdata.models import Gap
from marketdata.types.units import MINUTE_US
from marketdata.vendors.errors import VendorAway, VendorRefused
from marketdata.vendors.minutes import VendorBar
from tests.market import NINE_US, price, size

Answers = Mapping[tuple[str, str], list[VendorBar]]


def bar(minute: int, volume: str, *, close: str = "70000", value: str | None = None) -> VendorBar:
    """The vendor's bar of a minute after nine, at one price."""
    at = price(close)
    traded = int(float(value)) if value else int(float(close) * float(volume)) * 100
    return VendorBar(minute_us=minute_us(minute), open=at, high=at, low=at, close=at, volume=size(volume), value=traded)


def minute_us(minute: int) -> int:
    """The begin of a minute after nine."""
    return NINE_US + minute * MINUTE_US


def lose(
    batch: int, first_us: int, last_us: int, missing: str | None, *, symbol: str | None = "005930", **more: object
) -> Gap:
    """A gap as it is stored."""
    fields = {"feed": "krx", "rows": 0, "reason": "volume_hole", "trade_date": None, **more}
    return Gap.objects.create(
        batch=batch, from_us=first_us, to_us=last_us, symbol=symbol or "",
        missing=None if missing is None else size(missing), **fields,
    )  # fmt: skip


class Vendor:
    """Has `bars` by symbol and feed; refuses every other series. Is away after `until` questions."""

    def __init__(self, bars: Answers, *, until: int | None = None) -> None:
        self._bars, self._until = bars, until
        self.questions: list[tuple[str, str, int, int]] = []

    def bars(self, symbol: str, feed: str, date: datetime.date, first_us: int, last_us: int) -> list[VendorBar]:
        if self._until is not None and len(self.questions) >= self._until:
            raise VendorAway("cut off")
        self.questions.append((symbol, feed, first_us, last_us))
        if (symbol, feed) not in self._bars:
            raise VendorRefused(f"{symbol} is unknown")
        return [one for one in self._bars[symbol, feed] if first_us <= one.minute_us <= last_us]
