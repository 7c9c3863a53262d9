"""What a stream has to know: which securities are which of our symbols, and how to read their times."""

import argparse
import datetime
import re
import zoneinfo
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.sources.contract import WrongInput
from terminals.wire import codes
from terminals.wire.language import gettext as _

SERVICE: Final = "//blp/mktdata"
FIELDS: Final = (
    "LAST_PRICE", "BID", "ASK", "BID_SIZE", "ASK_SIZE", "SIZE_LAST_TRADE", "VOLUME", "OPEN", "HIGH", "LOW",
    "PREV_CLOSE_VALUE_REALTIME", "RT_PX_CHG_PCT_1D", "EVT_TRADE_PRICE_RT", "EVT_TRADE_SIZE_RT", "EVT_TRADE_DATE_RT",
    "EVT_TRADE_TIME_RT", "TRADE_UPDATE_STAMP_RT", "BID_UPDATE_STAMP_RT", "ASK_UPDATE_STAMP_RT", "RT_TIME_OF_TRADE",
    "IS_DELAYED_STREAM",
)  # fmt: skip
_OFFSET: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def zone(text: str) -> datetime.tzinfo:
    """UTC, an offset such as +09:00, or a zone of the time-zone database. ArgumentTypeError for anything else."""
    if text == "UTC":
        return datetime.UTC
    if match := _OFFSET.fullmatch(text):
        offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        return datetime.timezone(-offset if match[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        # Windows has none of them without the package tzdata.
        raise argparse.ArgumentTypeError(
            _("{text!r} is no time zone here: write UTC or an offset such as +09:00").format(text=text)
        ) from None


@dataclass(frozen=True, slots=True)
class Settings:
    """`securities`: our symbol by Bloomberg's name. Times in seconds."""

    securities: dict[str, str]
    host: str = "localhost"
    port: int = 8194
    interval_s: int = 0
    recover_s: float = 60.0
    queue_events: int = 100_000
    time_zone: datetime.tzinfo = field(default=datetime.UTC)

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Settings":
        """From the options and the table [securities]. WrongInput if that says nothing usable."""
        given = arguments
        return cls(
            read_securities(given.tables.get("securities"), given.register_market),
            given.host,
            given.port,
            given.interval,
            given.recover_s,
            given.queue_events,
            given.time_zone,
        )


def read_securities(table: Any, market: str | None) -> dict[str, str]:
    """The table [securities]: `"005930 KS Equity" = "005930"`. WrongInput if it is missing or a line is none."""
    if not isinstance(table, dict) or not table:
        raise WrongInput(
            _('the file of --config needs a table [securities] with lines such as "005930 KS Equity" = "005930"')
        )
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for security, symbol in table.items():
        try:
            if not isinstance(symbol, str) or not security.strip():
                raise ValueError(_("a line is text = text"))
            code = codes.read_code(symbol, market)
        except ValueError as error:
            raise WrongInput(f"[securities] {security!r}: {error}") from None
        if code in owners:
            raise WrongInput(
                _("[securities] {one!r} and {other!r} are both {symbol}: their trades would be added").format(
                    one=owners[code], other=security, symbol=code
                )
            )
        found[security], owners[code] = code, security
    return found
