"""Pictures that KIS gives when asked: prices, order books, indexes, futures. Each becomes a row stamped at receipt.

Answers to price calls carry no time of a trade, so a row of one is a SNAPSHOT and never a trade; no trading date is
made up either. Facts: KIS portal; field names as in KIS's examples. Functions raise KisError as
`rest.Client.get` does, and NoPictureError for an answer without a price or with fields that are no numbers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.kis import decimals
from terminals.sources.kis.answers import BusinessError
from terminals.sources.kis.rest import Answer, Client, Endpoint, quotation, read_channel
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
_DIVISION, _CODE = "FID_COND_MRKT_DIV_CODE", "FID_INPUT_ISCD"
_FEEDS: Final = {"NX": "nxt", "UN": "unified"}
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


def feed_of(division: str) -> str:
    """The feed of a division's rows: J is krx, NX is nxt, UN is unified; indexes and futures are of krx."""
    return _FEEDS.get(division, "krx")


async def multi_quote(client: Client, codes: Sequence[str], *, division: str = "J") -> Pictures:
    """Snapshots of up to 30 stocks in one call; `division` is J (KRX), NX (NXT) or UN (both). ValueError for more,
    NoPictureError if none of several has a price."""
    if not 1 <= len(codes) <= MOST_CODES:
        raise ValueError(f"{len(codes)} codes, a multi-quote takes 1 to {MOST_CODES}")
    question: dict[str, str] = {}
    for number, code in enumerate(codes, 1):
        question |= {f"{_DIVISION}_{number}": division, f"{_CODE}_{number}": code}
    found = _read_multi(codes, await client.get(_MULTI, question))
    if not found.rows and len(codes) > 1:
        raise NoPictureError("", f"no price of any of {len(codes)} codes")
    return found


async def quote(client: Client, code: str, *, division: str = "J") -> Row:
    """A snapshot of one stock. Its previous close is the price less the change, which KIS counts from the base
    price."""
    return _read_price(code, await client.get(_PRICE, _one(code, division)))


async def order_book(client: Client, code: str, *, division: str = "J") -> Row:
    """Ten levels of one stock with totals and, while there is one, the expected price."""
    return _read_book(code, await client.get(_BOOK, _one(code, division)))


async def index(client: Client, code: str) -> Row:
    """An event of an index, 0001 KOSPI, 1001 KOSDAQ, 2001 KOSPI200; its values are texts in the body, as KIS writes
    them."""
    return _read_index(code, await client.get(_INDEX, _one(code, "U")))


async def future_quote(client: Client, code: str, *, division: str = "F") -> Row:
    """A snapshot of a future or an option; `division` is F (index futures), O (options) or JF (stock futures)."""
    return _read_future(code, await client.get(_FUTURE, _one(code, division)))


async def future_book(client: Client, code: str, *, division: str = "F") -> Row:
    """Five levels of a future or an option."""
    return _read_future_book(code, await client.get(_FUTURE_BOOK, _one(code, division)))


async def stock_info(client: Client, code: str) -> StockInfo:
    """Where a stock is traded."""
    record = (await client.get(_INFO, {"PRDT_TYPE_CD": _PRODUCT, "PDNO": code})).one()
    flags = {name: {"Y": True, "N": False}.get(str(record.get(name, "")).strip()) for name in _INFO_FLAGS}
    return StockInfo(code, str(record.get("prdt_name", "")), str(record.get("std_pdno", "")), *flags.values())


def replay(channel: str, content: str | bytes, received_us: int) -> dict[str, list[Row]]:
    """The rows, by feed, of an answer that `rest.Client` told its recorder; none for calls that are no pictures, and
    where there was no picture. ValueError if the content is no answer."""
    told = read_channel(channel)
    if told is None:
        return {}
    tr_id, question = told
    body = json.loads(content)
    if not isinstance(body, dict):
        raise ValueError("a recorded answer is a JSON object")
    answer = Answer(body, received_us)
    feed = feed_of(question.get(_DIVISION) or question.get(f"{_DIVISION}_1", ""))
    if tr_id == _MULTI.tr_id:
        codes = [question[name] for number in range(1, MOST_CODES + 1) if (name := f"{_CODE}_{number}") in question]
        return {feed: list(_read_multi(codes, answer).rows.values())}
    read = _READERS.get(tr_id)
    try:
        return {feed: [read(question.get(_CODE, ""), answer)]} if read else {}
    except NoPictureError:
        return {}


def _one(code: str, division: str) -> dict[str, str]:
    return {_DIVISION: division, _CODE: code}


def _read_multi(codes: Sequence[str], answer: Answer) -> Pictures:
    records = {str(record.get("inter_shrn_iscd", "")).strip(): record for record in answer.many()}
    found = Pictures()
    for code in codes:
        # By the code that the record itself names, whatever its place; an ETN may come back without its Q.
        record = records.get(code) or records.get(code.removeprefix("Q"))
        try:
            if record is None:
                raise NoPictureError("", "not in the answer")
            found.rows[code] = _checked(code, _multi_fields(record), answer)
        except (ValueError, NoPictureError) as error:
            found.refused[code] = str(error)
    return found


def _read_price(code: str, answer: Answer) -> Row:
    return _picture(code, answer, "output", _price_fields)


def _read_book(code: str, answer: Answer) -> Row:
    return _book(code, answer, answer.one("output1"), answer.one("output2"), levels=10, prefix="")


def _read_index(code: str, answer: Answer) -> Row:
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


def _read_future(code: str, answer: Answer) -> Row:
    return _picture(code, answer, "output1", _future_fields)


def _read_future_book(code: str, answer: Answer) -> Row:
    return _book(code, answer, answer.one("output2"), {}, levels=5, prefix="futs_")


_READERS: Final = {
    _PRICE.tr_id: _read_price,
    _BOOK.tr_id: _read_book,
    _INDEX.tr_id: _read_index,
    _FUTURE.tr_id: _read_future,
    _FUTURE_BOOK.tr_id: _read_future_book,
}


def _picture(code: str, answer: Answer, output: str, read: Callable[[Mapping[str, Any]], dict[str, int | None]]) -> Row:
    try:
        return _checked(code, read(answer.one(output)), answer)
    except ValueError as error:
        raise NoPictureError("", f"{code}: {error}") from None


def _checked(code: str, fields: dict[str, int | None], answer: Answer) -> Row:
    if not fields["price"]:
        raise NoPictureError("", f"no price of {code}")
    return {"symbol": code, "time_us": answer.received_us, "kind": Kind.SNAPSHOT, **fields}


def _multi_fields(record: Mapping[str, Any]) -> dict[str, int | None]:
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
