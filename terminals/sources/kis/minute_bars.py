"""KIS's own minute bars of a stock: of today in calls of 30 bars, of a past day in calls of 120.

A bar is named by the minute in which it begins, Korean time. Facts: KIS portal, FHKST03010200 and FHKST03010230 (past
days are kept for a year).
"""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from terminals.sources.kis import decimals
from terminals.sources.kis.rest import KST, Answer, Client, Endpoint, quotation

log = logging.getLogger("naru.kis")

_TODAY: Final = quotation("inquire-time-itemchartprice", "FHKST03010200")
_PAST: Final = quotation("inquire-time-dailychartprice", "FHKST03010230")
# The day of a stock begins with NXT at 08:00 and ends at 20:00 (since 2026-09-14 at KRX as well).
_FIRST: Final = dt.time(8, 0)
_LAST: Final = dt.time(20, 0)
_MINUTE: Final = dt.timedelta(minutes=1)
_PAGES: Final = 40  # of today's calls, 30 bars each: 20 hours


@dataclass(frozen=True, slots=True)
class MinuteBar:
    """One minute from `start` on. Prices in 1e-8, `volume` in 1e-6, `cum_value` (of the day until then) in 1e-2."""

    symbol: str
    trade_date: dt.date
    start: dt.time
    open: int
    high: int
    low: int
    close: int
    volume: int
    cum_value: int | None = None

    @property
    def start_us(self) -> int:
        """The begin in microseconds since 1970 UTC."""
        return int(dt.datetime.combine(self.trade_date, self.start, KST).timestamp()) * 1_000_000


async def fetch(
    client: Client,
    symbol: str,
    day: dt.date,
    *,
    division: str = "J",
    first: dt.time = _FIRST,
    last: dt.time = _LAST,
    now: dt.datetime | None = None,
) -> list[MinuteBar]:
    """The bars of `day` that begin from `first` to `last`, both included, in the order of time. `division` is J (KRX),
    NX (NXT) or UN (both). A minute that is not over at `now` is left out: its volume may still be the last minute's.
    KisError, OSError."""
    now = now or dt.datetime.now(KST)
    today = now.astimezone(KST).date()
    endpoint = _TODAY if day == today else _PAST
    found: dict[dt.time, MinuteBar] = {}
    upto = min(last, now.astimezone(KST).time().replace(second=0, microsecond=0)) if day == today else last
    for _page in range(_PAGES):
        answer = await client.get(endpoint, _question(endpoint, symbol, day, division, upto))
        bars = [bar for bar in read(symbol, answer) if bar.trade_date == day]
        found |= {bar.start: bar for bar in bars}
        oldest = min((bar.start for bar in bars), default=None)
        if oldest is None or oldest <= first or oldest > upto:
            break
        upto = (dt.datetime.combine(day, oldest) - _MINUTE).time()
    wanted = [bar for start, bar in sorted(found.items()) if first <= start <= last]
    return [bar for bar in wanted if bar.start_us + 60_000_000 <= int(now.timestamp() * 1_000_000)]


def read(symbol: str, answer: Answer) -> list[MinuteBar]:
    """The bars of an answer as they come, newest first; one that cannot be read is told and left out."""
    bars = []
    for record in answer.many("output2"):
        try:
            bars.append(_bar(symbol, record))
        except ValueError as error:
            log.warning("kis_bar_unreadable symbol=%s reason=%s", symbol, error)
    return bars


def _bar(symbol: str, record: Mapping[str, Any]) -> MinuteBar:
    names = ("stck_oprc", "stck_hgpr", "stck_lwpr", "stck_prpr")
    prices = [decimals.price(record, name) for name in names]
    opened, high, low, close = prices
    if opened is None or high is None or low is None or close is None:
        raise ValueError(f"a bar without {names[prices.index(None)]}")
    return MinuteBar(
        symbol=symbol,
        trade_date=decimals.day(str(record.get("stck_bsop_date", ""))),
        start=decimals.time_of_day(str(record.get("stck_cntg_hour", ""))).replace(second=0),
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=decimals.size(record, "cntg_vol") or 0,
        cum_value=decimals.money(record, "acml_tr_pbmn"),
    )


def _question(endpoint: Endpoint, symbol: str, day: dt.date, division: str, upto: dt.time) -> dict[str, str]:
    question = {
        "FID_COND_MRKT_DIV_CODE": division,
        "FID_INPUT_ISCD": symbol,
        "FID_INPUT_HOUR_1": upto.strftime("%H%M%S"),
        "FID_PW_DATA_INCU_YN": "Y",
    }
    if endpoint is _TODAY:
        return {**question, "FID_ETC_CLS_CODE": ""}
    # No bars for minutes without a trade.
    return {**question, "FID_INPUT_DATE_1": day.strftime("%Y%m%d"), "FID_FAKE_TICK_INCU_YN": ""}
