"""Pictures that KIS gives when asked: prices, order books, indexes, futures. Each becomes a row stamped at receipt.

Answers to price calls carry no time of a trade, so a row of one is a SNAPSHOT and never a trade; no trading date is
made up either. Facts: KIS portal; field names as in KIS's examples. Functions raise KisError and OSError as
`rest.Client.get` does, and NoPictureError for an answer without a price or with fields that are no numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.kis import decimals
from terminals.sources.kis.answers import BusinessError
from terminals.sources.kis.rest import Answer, Client, Endpoint, quotation
from terminals.wire import Kind

MOST_CODES: Final = 30
"""Of one multi-quote."""
_FUTURES: Final = "/uapi/domestic-futureoption/v1/quotations/"
_MULTI: Final = quotation("intstock-multprice", "FHKST11300006")
_PRICE: Final = quotation("inquire-price", "FHKST01010100")
_BOOK: Final = quotation("inquire-asking-price-exp-ccn", "FHKST01010200")
_INDEX: Final = quotation("inquire-index-price", "FHPUP02100000")
_FUTURE: Final = Endpoint(f"{_FUTURES}inquire-price", "FHMIF10000000")
_FUTURE_BOOK: Final = Endpoint(f"{_FUTURES}inquire-asking-price", "FHMIF10010000")
_INFO: Final = quotation("search-stock-info", "CTPF1002R")
_PRODUCT: Final = "300"  # stocks, ETF, ETN, ELW
_INFO_FLAGS: Final = ("cptt_trad_tr_psbl_yn", "tr_stop_yn", "nxt_tr_stop_yn")
_EXPECTED_ENDED: Final = "112"  # antc_mkop_cls_code; 311: expected prices have begun
# The same things have other names on the WebSocket (H0UPCNT0); an event of an index has one set of names.
_INDEX_NAMES: Final = {
    "bstp_nmix_prpr": "prpr_nmix",
    "bstp_nmix_prdy_ctrt": "prdy_ctrt",
    "bstp_nmix_oprc": "oprc_nmix",
    "bstp_nmix_hgpr": "nmix_hgpr",
    "bstp_nmix_lwpr": "nmix_lwpr",
}


class NoPictureError(BusinessError):
    """The answer is good and says nothing that can be a row."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a multi-quote brought: a row for each code, or why there is none."""

    rows: dict[str, Row] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StockInfo:
    """Where a stock is traded; None: not told."""

    code: str
    name: str
    isin: str
    on_nxt: bool | None
    halted: bool | None
    nxt_halted: bool | None


async def multi_quote(client: Client, codes: Sequence[str], *, division: str = "J") -> Pictures:
    """Snapshots of up to 30 stocks in one call; `division` is J (KRX), NX (NXT) or UN (both). ValueError for more,
    NoPictureError if none of several has a price."""
    if not 1 <= len(codes) <= MOST_CODES:
        raise ValueError(f"{len(codes)} codes, a multi-quote takes 1 to {MOST_CODES}")
    question: dict[str, str] = {}
    for number, code in enumerate(codes, 1):
        question |= {f"FID_COND_MRKT_DIV_CODE_{number}": division, f"FID_INPUT_ISCD_{number}": code}
    answer = await client.get(_MULTI, question)
    records = {str(record.get("inter_shrn_iscd", "")).strip(): record for record in answer.many()}
    found = Pictures()
    for code in codes:
        # By the code that the record itself names, whatever its place; an ETN may come back without its Q.
        record = records.get(code) or records.get(code.removeprefix("Q"))
        try:
            if record is None:
                raise NoPictureError("", "not in the answer")
            found.rows[code] = _checked(code, _multi_row(record), answer)
        except (ValueError, NoPictureError) as error:
            found.refused[code] = str(error)
    if not found.rows and len(codes) > 1:
        raise NoPictureError("", f"no price of any of {len(codes)} codes")
    return found


async def quote(client: Client, code: str, *, division: str = "J") -> Row:
    """A snapshot of one stock. Its previous close is the price less the change, which KIS counts from the base
    price."""
    answer = await client.get(_PRICE, {"FID_COND_MRKT_DIV_CODE": division, "FID_INPUT_ISCD": code})
    return _picture(code, answer, "output", _price_fields)


async def order_book(client: Client, code: str, *, division: str = "J") -> Row:
    """Ten levels of one stock with totals and, while there is one, the expected price."""
    answer = await client.get(_BOOK, {"FID_COND_MRKT_DIV_CODE": division, "FID_INPUT_ISCD": code})
    return _book(code, answer, answer.one("output1"), answer.one("output2"), levels=10, prefix="")


async def index(client: Client, code: str) -> Row:
    """An event of an index, 0001 KOSPI, 1001 KOSDAQ, 2001 KOSPI200; its values are texts in the body, as KIS writes
    them. NoPictureError without one."""
    answer = await client.get(_INDEX, {"FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": code})
    body = {
        _INDEX_NAMES.get(name, name): str(value).strip()
        for name, value in answer.one().items()
        if isinstance(value, str) and value.strip()
    }
    try:
        if not decimals.price(body, "prpr_nmix"):
            raise NoPictureError("", f"no value of index {code}")
    except ValueError as error:
        raise NoPictureError("", str(error)) from None
    return {"time_us": answer.received_us, "kind": Kind.STATUS, "event": "index", "body": {"index": code, **body}}


async def future_quote(client: Client, code: str, *, division: str = "F") -> Row:
    """A snapshot of a future or an option; `division` is F (index futures), O (options) or JF (stock futures)."""
    answer = await client.get(_FUTURE, {"FID_COND_MRKT_DIV_CODE": division, "FID_INPUT_ISCD": code})
    return _picture(code, answer, "output1", _future_fields)


async def future_book(client: Client, code: str, *, division: str = "F") -> Row:
    """Five levels of a future or an option."""
    answer = await client.get(_FUTURE_BOOK, {"FID_COND_MRKT_DIV_CODE": division, "FID_INPUT_ISCD": code})
    return _book(code, answer, answer.one("output2"), {}, levels=5, prefix="futs_")


async def stock_info(client: Client, code: str) -> StockInfo:
    """Where a stock is traded."""
    record = (await client.get(_INFO, {"PRDT_TYPE_CD": _PRODUCT, "PDNO": code})).one()
    flags = {name: {"Y": True, "N": False}.get(str(record.get(name, "")).strip()) for name in _INFO_FLAGS}
    return StockInfo(code, str(record.get("prdt_name", "")), str(record.get("std_pdno", "")), *flags.values())


def _picture(code: str, answer: Answer, output: str, read: Callable[[Mapping[str, Any]], dict[str, int | None]]) -> Row:
    try:
        return _checked(code, read(answer.one(output)), answer)
    except ValueError as error:
        raise NoPictureError("", f"{code}: {error}") from None


def _checked(code: str, fields: dict[str, int | None], answer: Answer) -> Row:
    if not fields["price"]:
        raise NoPictureError("", f"no price of {code}")
    return {"symbol": code, "time_us": answer.received_us, "kind": Kind.SNAPSHOT, **fields}


def _multi_row(record: Mapping[str, Any]) -> dict[str, int | None]:
    price, size = decimals.price, decimals.size
    return {
        "price": price(record, "inter2_prpr"),
        "bid": price(record, "inter2_bidp"),
        "ask": price(record, "inter2_askp"),
        "bid_size": size(record, "shnu_rsqn"),
        "ask_size": size(record, "seln_rsqn"),
        "cum_volume": size(record, "acml_vol"),
        "open": price(record, "inter2_oprc"),
        "high": price(record, "inter2_hgpr"),
        "low": price(record, "inter2_lwpr"),
        "prev_close": price(record, "inter2_prdy_clpr"),
        "upper_limit": price(record, "inter2_mxpr"),
        "lower_limit": price(record, "inter2_llam"),
        "change_rate": decimals.change(record, "prdy_ctrt"),
        "cum_value": decimals.money(record, "acml_tr_pbmn"),
    }


def _price_fields(record: Mapping[str, Any]) -> dict[str, int | None]:
    price = decimals.price
    last, change = price(record, "stck_prpr"), decimals.change(record, "prdy_vrss")
    return {
        "price": last,
        "cum_volume": decimals.size(record, "acml_vol"),
        "open": price(record, "stck_oprc"),
        "high": price(record, "stck_hgpr"),
        "low": price(record, "stck_lwpr"),
        "prev_close": None if last is None or change is None else last - change,
        "upper_limit": price(record, "stck_mxpr"),
        "lower_limit": price(record, "stck_llam"),
        "change_rate": decimals.change(record, "prdy_ctrt"),
        "cum_value": decimals.money(record, "acml_tr_pbmn"),
    }


def _future_fields(record: Mapping[str, Any]) -> dict[str, int | None]:
    price = decimals.price
    return {
        "price": price(record, "futs_prpr"),
        "cum_volume": decimals.size(record, "acml_vol"),
        "open": price(record, "futs_oprc"),
        "high": price(record, "futs_hgpr"),
        "low": price(record, "futs_lwpr"),
        "prev_close": price(record, "futs_prdy_clpr"),
        "upper_limit": price(record, "futs_mxpr"),
        "lower_limit": price(record, "futs_llam"),
        "change_rate": decimals.change(record, "futs_prdy_ctrt"),
        "cum_value": decimals.money(record, "acml_tr_pbmn"),
    }


def _book(
    code: str, answer: Answer, record: Mapping[str, Any], other: Mapping[str, Any], *, levels: int, prefix: str
) -> Row:
    try:
        asks = _side(record, f"{prefix}askp", "askp_rsqn", levels)
        bids = _side(record, f"{prefix}bidp", "bidp_rsqn", levels)
        ended = str(other.get("antc_mkop_cls_code", "")).strip() == _EXPECTED_ENDED
        expected = None if ended else decimals.price(other, "antc_cnpr")
        row: Row = {
            "symbol": code,
            "time_us": answer.received_us,
            "kind": Kind.BOOK,
            "bids": bids,
            "asks": asks,
            "bid_total": decimals.size(record, "total_bidp_rsqn"),
            "ask_total": decimals.size(record, "total_askp_rsqn"),
            "expected_price": expected,
            "expected_size": decimals.size(other, "antc_vol") if expected else None,
        }
    except ValueError as error:
        raise NoPictureError("", f"{code}: {error}") from None
    if not bids and not asks:
        raise NoPictureError("", f"no order book of {code}")
    return row


def _side(record: Mapping[str, Any], price: str, size: str, levels: int) -> tuple[tuple[int, int], ...]:
    """(price, size) best first; empty levels are left out."""
    found = []
    for level in range(1, levels + 1):
        at = decimals.price(record, f"{price}{level}")
        resting = decimals.size(record, f"{size}{level}")
        if at is not None and resting:
            found.append((at, resting))
    return tuple(found)
