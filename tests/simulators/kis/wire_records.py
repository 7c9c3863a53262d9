"""Records of KIS's WebSocket as text, by the tables of its documents; with none of the code that reads them."""

import datetime
import zoneinfo
from collections.abc import Sequence

from tests.simulators.kis.market import KRX, Book, Stock, Trade

WIDTHS = {"CNT0": 47, "ASP0": 63, "ANC0": 45, "MKO0": 10}
"""What each kind of TR sends unless a script says otherwise."""
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")


def trade(one: Trade, stock: Stock, book: Book, *, width: int = 47, hour_class: str = "0") -> list[str]:
    """H0STCNT0 and its like. `hour_class` other than 0 makes an expected price of it."""
    day = stock.day(one.venue, one.date)
    change = one.price - stock.base
    values = [
        stock.code,
        one.time,
        str(one.price),
        _sign(change),
        str(change),
        f"{100 * change / stock.base:.2f}",
        f"{day.value / day.volume:.2f}" if day.volume else "0.00",
        *(str(price) for price in (day.open, day.high, day.low)),
        str(book.asks[0][0]),
        str(book.bids[0][0]),
        str(one.size),
        str(one.volume),
        str(one.value),
        str(day.sells),
        str(day.buys),
        str(day.buys - day.sells),
        f"{100 * day.bought / day.sold:.2f}" if day.sold else "0.00",
        str(day.sold),
        str(day.bought),
        "1" if one.buyer else "5",
        "52.91",
        "3.21",
        *(day.open_time, _sign(one.price - day.open), str(one.price - day.open)),
        *(day.high_time, _sign(one.price - day.high), str(one.price - day.high)),
        *(day.low_time, _sign(one.price - day.low), str(one.price - day.low)),
        one.date.strftime("%Y%m%d"),
        "20" if hour_class == "0" else "10",
        "Y" if stock.halted else "N",
        str(book.asks[0][1]),
        str(book.bids[0][1]),
        str(sum(volume for _, volume in book.asks)),
        str(sum(volume for _, volume in book.bids)),
        "0.01",
        "0",
        "96.40",
        hour_class,
        "",
        str(stock.base),
        "2",
    ]
    return _wide(values, width)


def book(stock: Stock, depth: Book, moment: datetime.datetime, volume: int, *, width: int = 63) -> list[str]:
    """H0STASP0 and its like; without an expected price, which makes its change nonsense as it does at KIS."""
    values = [
        stock.code,
        moment.strftime("%H%M%S"),
        "0",
        *_prices(depth.asks),
        *_prices(depth.bids),
        *_volumes(depth.asks),
        *_volumes(depth.bids),
        str(sum(one for _, one in depth.asks)),
        str(sum(one for _, one in depth.bids)),
        *("0", "0", "0", "0", "0"),
        *(str(-stock.base), "5", "-100.00"),
        str(volume),
        *("0", "0", "0", "0", ""),
        *(str((depth.asks[0][0] + depth.bids[0][0]) // 2), "0", "0", "2"),
    ]
    return _wide(values, width)


def status(stock: Stock, *, vi: str = "N") -> list[str]:
    """H0STMKO0 as it was seen: ten fields, some of them the word (null)."""
    return [stock.code, "Y" if stock.halted else "N", "(null)", "", "311", "", "", "55", vi, "N"]


def index(code: str, value: float, moment: datetime.datetime) -> list[str]:
    """H0UPCNT0."""
    figures = [f"{value:.2f}", "2", "1.12", "10234", "845120", "0", "0", "0.22", *[f"{value:.2f}"] * 3]
    return _wide([code, moment.strftime("%H%M%S"), *figures], 30)


def futures(code: str, price: float, size: int, volume: int, moment: datetime.datetime) -> list[str]:
    """H0IFCNT0."""
    text = f"{price:.2f}"
    values = [code, moment.strftime("%H%M%S"), "1.25", "2", "0.25", *[text] * 4, str(size), str(volume), "0"]
    values += ["0"] * (34 - len(values)) + [f"{price + 0.05:.2f}", text, "12", "8"]
    return _wide(values, 50)


def option(code: str, price: float, size: int, volume: int, moment: datetime.datetime) -> list[str]:
    """H0IOCNT0."""
    text = f"{price:.2f}"
    values = [code, moment.strftime("%H%M%S"), text, "2", "0.25", "0.1", *[text] * 3, str(size), str(volume), "0"]
    values += ["0"] * (41 - len(values)) + [f"{price + 0.05:.2f}", text, "12", "8"]
    return _wide(values, 58)


def stock_future(code: str, price: float, size: int, volume: int, moment: datetime.datetime) -> list[str]:
    """H0ZFCNT0."""
    text = f"{price:.0f}"
    values = [code, moment.strftime("%H%M%S"), text, "2", "100", "0.1", *[text] * 3, str(size), str(volume), "0"]
    values += ["0"] * (34 - len(values)) + [f"{price + 100:.0f}", text, "12", "8"]
    return _wide(values, 49)


def night_future(code: str, price: float, size: int, volume: int, moment: datetime.datetime) -> list[str]:
    """H0MFCNT0: as of the day without its 47th value."""
    values = futures(code, price, size, volume, moment)
    return values[:46] + values[47:]


def derivative_book(code: str, price: float, levels: int, moment: datetime.datetime) -> list[str]:
    """H0IFASP0, H0IOASP0, H0MFASP0 of five levels, H0ZFASP0 of ten."""
    asks = [f"{price + step:.2f}" for step in range(1, levels + 1)]
    bids = [f"{price - step:.2f}" for step in range(levels)]
    counts, sizes = ["3"] * 2 * levels, [str(10 + level) for level in range(2 * levels)]
    return [code, moment.strftime("%H%M%S"), *asks, *bids, *counts, *sizes, "15", "15", "60", "85", "0", "0"]


def overseas(key: str, price: float, size: int, volume: int, moment: datetime.datetime) -> list[str]:
    """HDFSCNT0 of an exchange in New York: its own date and time, daylight saving time included, and Seoul's."""
    local, text = moment.astimezone(NEW_YORK), f"{price:.4f}"
    stamps = [local.strftime("%Y%m%d"), local.strftime("%Y%m%d"), local.strftime("%H%M%S")]
    stamps += [moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")]
    quote = [text, f"{price + 0.01:.4f}", "100", "200"]
    rest = [str(size), str(volume), "301465728", "6012", "5988", "100.40", "1"]
    return [key, key[4:], "4", *stamps, *[text] * 4, "2", "1.5000", "0.60", *quote, *rest]


def venue_letters(venue: str) -> str:
    """What the TRs of a venue have behind H0."""
    return "ST" if venue == KRX else "NX"


def _sign(change: int) -> str:
    return "2" if change > 0 else "5" if change < 0 else "3"


def _prices(levels: Sequence[tuple[int, int]]) -> list[str]:
    return [str(price) for price, _ in levels]


def _volumes(levels: Sequence[tuple[int, int]]) -> list[str]:
    return [str(volume) for _, volume in levels]


def _wide(values: list[str], width: int) -> list[str]:
    return (values + ["0"] * (width - len(values)))[:width]
