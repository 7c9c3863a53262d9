"""What the server asks Korea Investment & Securities (KIS), in the words of this room. The only module of the server
that knows of KIS's client (docs/adr/0019). Opening it takes httpx along, so whoever may not need it imports it when he
does."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from django.conf import settings

from marketdata.maintenance.rollover import utc_now
from marketdata.types.units import SEOUL
from marketdata.vendors import keys
from marketdata.vendors.errors import NotConfigured, UnusableKeys, VendorAway, VendorRefused
from marketdata.vendors.masters import MOST_GONE_SHARE, Listing, Master
from marketdata.vendors.minutes import VendorBar
from terminals.sources.kis import answers, credentials, holidays, minute_bars, quotes, rest
from terminals.sources.kis import masters as master_files
from terminals.sources.kis.minute_bars import MinuteBar
from terminals.wire import SIZE_SCALE, codes

T = TypeVar("T")
DIVISIONS = {"krx": "J", "nxt": "NX", "unified": "UN"}
CATEGORIES = {"kospi_code": "kospi", "kosdaq_code": "kosdaq", "konex_code": "konex"}
CATEGORIES_OF_GROUPS = {"EF": "etf", "EN": "etn"}
FUTURES = "futures"
MASTERS = ("kospi_code", "kosdaq_code", "fo_idx_code_mts")
"""What is loaded each morning."""
_ELW = "EW"
_MOST_EXPIRED = 0.7  # of a file of derivatives may be gone at once: whole series end on one day
_FEED, _MARKET = "krx", "KRX"
_BACK = datetime.timedelta(
    minutes=29
)  # further than the first minute asked for, and still in the same answer of 30 bars
_FIRST, _LAST = datetime.time(8, 0), datetime.time(20, 1)


def account() -> credentials.Account:
    """The account that the server asks with: the first one that is configured. NotConfigured without any;
    UnusableKeys."""
    if not keys.are_there():
        raise NotConfigured(keys.MISSING)
    file = settings.NARU_KIS_KEYS_FILE
    try:
        return credentials.load(Path(file) if file else None)[0]
    except credentials.CredentialsError as error:
        raise UnusableKeys(str(error)) from error


class Service:
    """KIS, asked with one account. `with Service(account()) as service:`, in one thread; its calls are bounded by the
    limiter that all processes of this machine share."""

    def __init__(
        self, with_account: credentials.Account, *, clock: Callable[[], datetime.datetime] = utc_now, **options: Any
    ) -> None:
        """`clock` decides which day is today; `options` are those of `rest.Client`."""
        self._account, self._clock, self._options = with_account, clock, options
        self._folder = Path(settings.NARU_KIS_STATE_DIR)
        self._runner = asyncio.Runner()
        self._client: rest.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()

    def bars(self, symbol: str, feed: str, date: datetime.date, first_us: int, last_us: int) -> list[VendorBar]:
        """The bars of the minutes first_us to last_us, both included, in the order of time. VendorAway; VendorRefused
        also where KIS has no bar of that day at all: that nothing was traded cannot be told from a day it has lost."""
        first, last = _local(first_us), _local(last_us)
        early = max(datetime.datetime.combine(date, _FIRST, SEOUL), first - _BACK)
        found = self._fetch(symbol, feed, date, early.time(), last.time())
        if not found and not self._fetch(symbol, feed, date, _FIRST, _LAST):
            raise VendorRefused(f"KIS has no minute bar of {date}")
        wanted = [bar for bar in found if bar.start_us >= first_us]
        before = [bar for bar in found if bar.start_us < first_us]
        if wanted and not before and early.time() > _FIRST:  # a quiet stock: its trade before is further away
            before = self._fetch(symbol, feed, date, _FIRST, (early - datetime.timedelta(minutes=1)).time())
        return _with_values(before[-1:], wanted)

    def _fetch(
        self, symbol: str, feed: str, date: datetime.date, first: datetime.time, last: datetime.time
    ) -> list[MinuteBar]:
        async def fetch() -> list[MinuteBar]:
            return await minute_bars.fetch(
                self._opened(), symbol, date, division=DIVISIONS[feed], first=first, last=last, now=self._clock()
            )

        try:
            return self._runner.run(fetch())
        except answers.BusinessError as error:
            raise VendorRefused(str(error)) from error
        except (answers.KisError, OSError) as error:
            raise VendorAway(f"KIS cannot be asked: {error}") from error

    def limits(self, codes: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Today's lower and upper limit (1e-8) of shares and funds, of those that KIS tells. VendorAway; VendorRefused
        where the account has no such call."""

        async def fetch() -> list[quotes.Pictures]:
            client = self._opened()
            if not client.offers_multi_quote:
                raise VendorRefused("a virtual account has no multi-quote")
            parts = [codes[at : at + quotes.MOST_CODES] for at in range(0, len(codes), quotes.MOST_CODES)]
            return list(await asyncio.gather(*(self._pictures(client, part) for part in parts)))

        try:
            found = self._runner.run(fetch())
        except (answers.KisError, OSError) as error:
            raise VendorAway(f"KIS cannot be asked: {error}") from error
        limits: dict[str, tuple[int, int]] = {}
        for pictures in found:
            for code, row in pictures.rows.items():
                lower, upper = row.get("lower_limit"), row.get("upper_limit")
                if lower is not None and upper is not None:
                    limits[code] = (lower, upper)
        return limits

    @staticmethod
    async def _pictures(client: rest.Client, codes: Sequence[str]) -> quotes.Pictures:
        try:
            return await quotes.multi_quote(client, codes)
        except answers.BusinessError:  # none of them has a price
            return quotes.Pictures()

    def opens(self, today: datetime.date) -> Mapping[datetime.date, bool]:
        """Whether the market opens, for the dates from `today` on that KIS tells. VendorAway; VendorRefused where the
        account has no such call or nothing was told."""

        async def fetch() -> list[holidays.Holiday]:
            return await holidays.fetch(self._opened(), self._folder, today=today)

        try:
            found = self._runner.run(fetch())
        except answers.BusinessError as error:
            raise VendorRefused(str(error)) from error
        except (answers.KisError, OSError) as error:
            raise VendorAway(f"KIS cannot be asked: {error}") from error
        if not found:
            raise VendorRefused("KIS told no dates")
        return {one.day: one.is_open for one in found}

    def _opened(self) -> rest.Client:
        """The client, made within the loop that it belongs to."""
        if self._client is None:
            self._client = rest.Client(self._account, self._folder, **self._options)
        return self._client


def _local(time_us: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_us // 1_000_000, SEOUL)


def _with_values(before: list[MinuteBar], bars: list[MinuteBar]) -> list[VendorBar]:
    """Bars with the value traded in each: KIS tells the sum of the day up to each, so it is the difference to the bar
    before, which may be minutes ago. VendorRefused if one of them is not told or the sum falls."""
    made = []
    last = before[0].cum_value if before else 0
    for bar in bars:
        if bar.cum_value is None or last is None or bar.cum_value < last:
            raise VendorRefused(f"the traded value at {bar.start:%H:%M} is {bar.cum_value}, that before {last}")
        made.append(
            VendorBar(
                minute_us=bar.start_us,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
                value=bar.cum_value - last,
            )
        )
        last = bar.cum_value
    return made


def download(name: str) -> Master:
    """A master file from KIS, which wants no key for it. VendorAway."""
    try:
        return read(name, master_files.download(name, base_url=settings.NARU_KIS_MASTERS_URL))
    except master_files.MasterError as error:
        raise VendorAway(str(error)) from error


def read_file(path: Path) -> Master:
    """A master file that somebody downloaded: `kospi_code.mst` or the zip it comes in; what it is, its name says.
    VendorAway if it is none, OSError if it cannot be read."""
    name = path.name.removesuffix(".zip").removesuffix(".mst")
    content = path.read_bytes()
    try:
        return read(name, master_files.unpack(name, content) if path.suffix == ".zip" else content)
    except master_files.MasterError as error:
        raise VendorAway(f"{path}: {error}") from error


def read(name: str, content: bytes) -> Master:
    """What is in a master file; ELWs are left out, of which thousands come and go, and options. MasterError: unknown,
    or no line can be read."""
    found = master_files.parse(name, content)
    listed = [_of_stock(name, stock) for stock in found.stocks if stock.group != _ELW]
    listed += [
        Listing(code=one.code, name=one.name[:80], isin=one.isin, category=FUTURES)
        for one in found.derivatives
        if one.strike is None  # an option has one
    ]
    listings: dict[str, Listing] = {}
    left_out = []
    for listing in listed:
        try:
            codes.check_code(listing.code, _MARKET)
            listings[listing.code] = listing
        except codes.CodeError:
            left_out.append(listing.code)
    return Master(
        name=name,
        market=_MARKET,
        feed=_FEED,
        listings=tuple(listings.values()),
        wrong=tuple(found.problems),
        left_out=tuple(left_out),
        most_gone=MOST_GONE_SHARE if name in CATEGORIES else _MOST_EXPIRED,
    )


def _of_stock(name: str, stock: master_files.Stock) -> Listing:
    return Listing(
        code=stock.code,
        name=stock.name[:80],
        isin=stock.isin,
        security_group=stock.group,
        category=CATEGORIES_OF_GROUPS.get(stock.group, CATEGORIES.get(name, "")),
        base_price=stock.base_price,
        previous_volume=None if stock.previous_volume is None else stock.previous_volume * 10**SIZE_SCALE,
        market_cap=stock.market_cap,
        listed_on=stock.listed_on,
        is_halted=stock.halted,
        is_administrative=stock.administrative,
        is_in_liquidation=stock.liquidation,
        warning=stock.warning,
    )
