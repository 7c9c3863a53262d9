"""KIS's lists of what is traded: downloaded without a key each morning, read into records.

A line of a stock file has a head (short code, ISIN, Korean name) and a tail of fixed width. The tail is cut from the
end of the decoded line: the name has a fixed number of bytes in cp949, but not of characters. Files of derivatives
separate nine columns by bars. Layouts: stocks_info/*.h in KIS's own repository of examples.
"""

import datetime as dt
import io
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Final

import httpx

from terminals import exact
from terminals.sources.kis import decimals
from terminals.wire import PRICE_SCALE

BASE_URL: Final = "https://new.real.download.dws.co.kr/common/master"
STOCK_FILES: Final = ("kospi_code", "kosdaq_code", "konex_code")
DERIVATIVE_FILES: Final = ("fo_idx_code_mts", "fo_stk_code_mts")
INDEX_FILE: Final = "idxcode"
_WITHIN_S: Final = 60.0
_MOST_BYTES: Final = 64 * 1024 * 1024
_THOUSAND: Final = 1_000
_HUNDRED_MILLION: Final = 100_000_000
_HEAD: Final = 21
_GROUP: Final = re.compile(r"[A-Z]{2}", re.ASCII)


class MasterError(Exception):
    """A master file cannot be had or is none."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A share, fund, note or warrant. `base_price` in 1e-8, `par_value` and `market_cap` in won, `shares` and
    `previous_volume` as they are; None: not told."""

    file: str
    code: str
    isin: str
    name: str
    group: str  # ST stock, EF ETF, EN ETN, EW ELW, RT REIT, KN KONEX ...
    base_price: int | None
    halted: bool
    liquidation: bool
    administrative: bool
    warning: str  # 00 none, 01 attention, 02 warning, 03 risk
    ex_rights: str  # 00 none, 01 ex-rights, 02 ex-dividend ...
    listed_on: dt.date | None
    shares: int | None
    market_cap: int | None
    previous_volume: int | None
    par_value: int | None
    preferred: str  # 0 common
    etp: str = ""  # class of ETF and ETN, empty for others and where the file has none
    spac: bool = False


@dataclass(frozen=True, slots=True)
class Derivative:
    """A future or an option. `strike` in 1e-8."""

    file: str
    kind: str  # 1 index future, 5 call, 6 put, B mini future ... (info_type)
    code: str
    isin: str
    name: str
    strike: int | None
    month: str  # 0 continuous, 1 nearest, 2 next ...
    underlying: str
    underlying_name: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index: `code` as data calls have it, such as 0001 for KOSPI."""

    file: str
    division: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Master:
    """What a file has in it, and the lines that could not be read."""

    stocks: list[Stock] = field(default_factory=list)
    derivatives: list[Derivative] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the columns of a tail are, from its begin: (offset, width)."""

    length: int
    columns: dict[str, tuple[int, int]]


_TAILS: Final = {
    "kospi_code": _Tail(
        227,
        {
            "group": (0, 2), "etp": (22, 1), "spac": (29, 1), "base_price": (41, 9), "halted": (60, 1),
            "liquidation": (61, 1), "administrative": (62, 1), "warning": (63, 2), "ex_rights": (68, 2),
            "previous_volume": (81, 12), "par_value": (93, 12), "listed_on": (105, 8), "shares": (113, 15),
            "preferred": (158, 1), "market_cap": (212, 9),
        },
    ),
    "kosdaq_code": _Tail(
        221,
        {
            "group": (0, 2), "etp": (18, 1), "spac": (24, 1), "base_price": (36, 9), "halted": (55, 1),
            "liquidation": (56, 1), "administrative": (57, 1), "warning": (58, 2), "ex_rights": (63, 2),
            "previous_volume": (76, 12), "par_value": (88, 12), "listed_on": (100, 8), "shares": (108, 15),
            "preferred": (153, 1), "market_cap": (206, 9),
        },
    ),
    "konex_code": _Tail(
        184,
        {
            "group": (0, 2), "base_price": (2, 9), "halted": (21, 1), "liquidation": (22, 1),
            "administrative": (23, 1), "warning": (24, 2), "ex_rights": (29, 2),"previous_volume": (42, 12),
            "par_value": (54, 12), "listed_on": (66, 8), "shares": (74, 15), "preferred": (119, 1),
            "market_cap": (172, 9),
        },
    ),
}  # fmt: skip


def download(name: str, *, base_url: str = BASE_URL) -> bytes:
    """The file `name` (see STOCK_FILES and the others), unpacked. Certificates are checked. MasterError."""
    try:
        with httpx.Client(timeout=_WITHIN_S, follow_redirects=False) as http:
            response = http.get(f"{base_url.rstrip('/')}/{name}.mst.zip")
    except httpx.HTTPError as error:
        raise MasterError(f"{name}.mst.zip cannot be had: {type(error).__name__} {error}".strip()) from None
    if response.status_code != 200:
        raise MasterError(f"{name}.mst.zip cannot be had: status {response.status_code}")
    return unpack(name, response.content)


def unpack(name: str, archive: bytes) -> bytes:
    """The file `name`.mst in a zip archive. MasterError if there is none, one too large to be it, or one whose packed
    bytes are damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            member = next((one for one in opened.infolist() if one.filename.lower() == f"{name}.mst"), None)
            if member is None or member.file_size > _MOST_BYTES:
                raise MasterError(f"{name}.mst.zip has no {name}.mst of at most {_MOST_BYTES} bytes")
            return opened.read(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise MasterError(f"{name}.mst.zip is no zip archive: {error}") from None
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:  # bz2: OSError; a place: ValueError
        raise MasterError(f"{name}.mst.zip is damaged: {error}") from None


def parse(name: str, content: bytes) -> Master:
    """The records of file `name`; lines that cannot be read are told in `problems`. MasterError if it is a file with
    an unknown layout, or not one line can be read."""
    if name not in (*_TAILS, *DERIVATIVE_FILES, INDEX_FILE):
        raise MasterError(f"{name}: the layout of this file is not known")
    master = Master()
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if not line.strip(b"\x00\x1a "):
            continue
        try:
            _add(master, name, line.decode("cp949"))
        except ValueError as error:  # UnicodeDecodeError is one
            master.problems.append(f"{name}.mst line {number}: {error}")
    if not (master.stocks or master.derivatives or master.indexes):
        first = master.problems[0] if master.problems else f"{name}.mst is empty"
        raise MasterError(first)
    return master


def _add(master: Master, name: str, line: str) -> None:
    if name in _TAILS:
        master.stocks.append(_stock(name, line, _TAILS[name]))
    elif name in DERIVATIVE_FILES:
        master.derivatives.append(_derivative(name, line))
    else:
        master.indexes.append(_index(name, line))


def _stock(file: str, line: str, tail: _Tail) -> Stock:
    if len(line) < _HEAD + tail.length + 1:
        raise ValueError(f"{len(line)} characters, at least {_HEAD + tail.length + 1} are expected")
    head, rest = line[: -tail.length], line[-tail.length :]
    if not rest.isascii():
        raise ValueError(f"the last {tail.length} characters are not all ASCII: the layout has changed")
    cells = {name: rest[at : at + width].strip() for name, (at, width) in tail.columns.items()}
    code, isin = _code(head[:9]), head[9:_HEAD].strip()
    if not _GROUP.fullmatch(cells["group"]):
        raise ValueError(f"security group {cells['group']!r} is not two letters: the layout has changed")
    return Stock(
        file=file,
        code=code,
        isin=isin,
        name=head[_HEAD:].strip(),
        group=cells["group"],
        base_price=_whole("base price", cells["base_price"], 10**PRICE_SCALE) or None,
        halted=_flag("trading halt", cells["halted"]),
        liquidation=_flag("liquidation", cells["liquidation"]),
        administrative=_flag("administrative issue", cells["administrative"]),
        warning=cells["warning"],
        ex_rights=cells["ex_rights"],
        listed_on=_day(cells["listed_on"]),
        shares=_whole("listed shares", cells["shares"], _THOUSAND),
        previous_volume=_whole("previous volume", cells["previous_volume"], 1),
        market_cap=_whole("market cap", cells["market_cap"], _HUNDRED_MILLION),
        par_value=_whole("par value", cells["par_value"], 1),
        preferred=cells["preferred"],
        etp=cells.get("etp", ""),
        spac=_flag("SPAC", cells.get("spac", "")),
    )


def _derivative(file: str, line: str) -> Derivative:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) < 9:
        raise ValueError(f"{len(columns)} columns, 9 are expected")
    kind, code, isin, name, _atm, strike, month, underlying, underlying_name = columns[:9]
    return Derivative(
        file=file,
        kind=kind,
        code=_code(code),
        isin=isin,
        name=name,
        strike=_strike(strike) or None,
        month=month,
        underlying=underlying,
        underlying_name=underlying_name,
    )


def _index(file: str, line: str) -> Index:
    if len(line) < 6:
        raise ValueError(f"{len(line)} characters, a division, a code of 4 and a name are expected")
    return Index(file=file, division=line[0], code=_code(line[1:5]), name=line[5:].strip())


def _code(text: str) -> str:
    code = text.strip()
    if not code or not code.isascii() or not code.isalnum():
        raise ValueError(f"{code!r} is no code")
    return code


def _whole(what: str, text: str, times: int) -> int | None:
    """A whole number, padded with zeros or blanks, some with a sign in front; None if the column is blank."""
    if not text:
        return None
    digits = text.lstrip("+-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{what} {text!r} is no whole number")
    return int(text) * times


def _strike(text: str) -> int:
    return exact.read(text, PRICE_SCALE)[0] if text else 0


def _flag(what: str, text: str) -> bool:
    if text not in ("Y", "N", "0", "1", ""):
        raise ValueError(f"{what} is {text!r}, not Y or N: the layout has changed")
    return text in ("Y", "1")


def _day(text: str) -> dt.date | None:
    return decimals.day(text) if text.strip("0") else None
