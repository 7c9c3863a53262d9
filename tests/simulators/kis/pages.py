"""What the REST simulator says of a market: each page as JSON with texts for values, and the master files."""

import datetime
import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.simulators.kis.http_server import Request
from tests.simulators.kis.market import KRX, KST, NXT, Day, Market, Stock

_VENUES: Final = {"J": (KRX,), "NX": (NXT,), "UN": (KRX, NXT)}
_STOCK: Final = "/uapi/domestic-stock/v1/quotations/"
_FUTURE: Final = "/uapi/domestic-futureoption/v1/quotations/"
FUTURE: Final = "A01612"
INDEX: Final = "0001"
_TODAY_BARS, _PAST_BARS = 30, 120
_HOLIDAYS: Final = 25
Page = dict[str, Any]


def find(request: Request, market: Market, now: datetime.datetime, closed: frozenset[datetime.date]) -> Page | None:
    """The page for a request, without the envelope; None if there is no such call."""
    query, local = request.query, now.astimezone(KST)
    calls: dict[tuple[str, str], Callable[[], Page]] = {
        (f"{_STOCK}inquire-price", "FHKST01010100"): lambda: _price(query, market, local),
        (f"{_STOCK}inquire-asking-price-exp-ccn", "FHKST01010200"): lambda: _book(query, market, local),
        (f"{_STOCK}intstock-multprice", "FHKST11300006"): lambda: _multi(query, market, local),
        (f"{_STOCK}inquire-time-itemchartprice", "FHKST03010200"): lambda: _bars(query, market, local, local.date()),
        (f"{_STOCK}inquire-time-dailychartprice", "FHKST03010230"): lambda: _past_bars(query, market, local),
        (f"{_STOCK}inquire-index-price", "FHPUP02100000"): lambda: _index(query),
        (f"{_STOCK}chk-holiday", "CTCA0903R"): lambda: _holidays(query, closed),
        (f"{_STOCK}search-stock-info", "CTPF1002R"): lambda: _info(query, market),
        (f"{_FUTURE}inquire-price", "FHMIF10000000"): lambda: _future(query),
        (f"{_FUTURE}inquire-asking-price", "FHMIF10010000"): lambda: _future_book(query, local),
    }
    call = calls.get((request.path, request.headers.get("tr_id", "")))
    return call() if call else None


def emptied(page: Page) -> Page:
    """The same page with an empty text for each value."""

    def empty(value: object) -> object:
        if isinstance(value, dict):
            return {name: empty(one) for name, one in value.items()}
        return [empty(one) for one in value] if isinstance(value, list) else ""

    return {name: empty(value) if name.startswith("output") else value for name, value in page.items()}


def _day(stock: Stock, division: str, date: datetime.date) -> Day:
    """What the venues of a division traded together; the order among venues of one minute is not kept."""
    days = [stock.day(venue, date) for venue in _VENUES.get(division, ())]
    traded = [day for day in days if day.volume]
    if len(traded) <= 1:
        return traded[0] if traded else Day()
    return Day(
        open=traded[0].open,
        high=max(day.high for day in traded),
        low=min(day.low for day in traded),
        last=traded[-1].last,
        volume=sum(day.volume for day in traded),
        value=sum(day.value for day in traded),
        minutes={at: bar for day in traded for at, bar in day.minutes.items()},
    )


def _change(price: int, base: int) -> Page:
    sign = "3" if price == base else "2" if price > base else "5"
    rate = round((price - base) * 10_000 / base)
    text = f"{'-' if rate < 0 else ''}{abs(rate) // 100}.{abs(rate) % 100:02d}"
    return {"change": str(price - base), "sign": sign, "rate": text}


def _no_such() -> Page:
    return {"rt_cd": "1", "msg_cd": "OPSQ2001", "msg1": "ERROR INPUT FIELD NOT FOUND(FID_INPUT_ISCD)"}


def _price(query: Mapping[str, str], market: Market, now: datetime.datetime) -> Page:
    stock = market.stocks.get(query["FID_INPUT_ISCD"])
    if stock is None:
        return _no_such()
    day = _day(stock, query["FID_COND_MRKT_DIV_CODE"], now.date())
    change = _change(stock.price, stock.base)
    return {
        "output": {
            "stck_shrn_iscd": stock.code, "stck_prpr": str(stock.price), "prdy_vrss": change["change"],
            "prdy_vrss_sign": change["sign"], "prdy_ctrt": change["rate"], "stck_oprc": str(day.open),
            "stck_hgpr": str(day.high), "stck_lwpr": str(day.low), "stck_mxpr": str(stock.upper),
            "stck_llam": str(stock.lower), "stck_sdpr": str(stock.base), "acml_vol": str(day.volume),
            "acml_tr_pbmn": str(day.value), "temp_stop_yn": "Y" if stock.halted else "N",
            "iscd_stat_cls_code": "55", "vi_cls_code": "N",
        }
    }  # fmt: skip


def _multi(query: Mapping[str, str], market: Market, now: datetime.datetime) -> Page:
    rows: list[Page] = []
    for number in range(1, 31):
        code = query.get(f"FID_INPUT_ISCD_{number}", "")
        if code:
            rows.append(_multi_row(code, market, query.get(f"FID_COND_MRKT_DIV_CODE_{number}", "J"), now))
    return {"output": rows[::-1]}  # in no order that was asked for


def _multi_row(code: str, market: Market, division: str, now: datetime.datetime) -> Page:
    stock = market.stocks.get(code)
    if stock is None:  # zeros, as for a code that nobody knows
        return {"inter_shrn_iscd": code, "inter_kor_isnm": "", "inter2_prpr": "0", "acml_vol": "0", "inter2_mxpr": "0"}
    day, book, change = _day(stock, division, now.date()), market.book(stock), _change(stock.price, stock.base)
    return {
        "kospi_kosdaq_cls_name": stock.market, "mrkt_trtm_cls_name": "", "hour_cls_code": "0",
        "inter_shrn_iscd": code, "inter_kor_isnm": stock.name, "inter2_prpr": str(stock.price),
        "inter2_prdy_vrss": change["change"].lstrip("-"), "prdy_vrss_sign": change["sign"],
        "prdy_ctrt": change["rate"].lstrip("-"), "acml_vol": str(day.volume), "acml_tr_pbmn": str(day.value),
        "inter2_oprc": str(day.open), "inter2_hgpr": str(day.high), "inter2_lwpr": str(day.low),
        "inter2_mxpr": str(stock.upper), "inter2_llam": str(stock.lower), "inter2_sdpr": str(stock.base),
        "inter2_prdy_clpr": str(stock.base), "inter2_askp": str(book.asks[0][0]), "inter2_bidp": str(book.bids[0][0]),
        "seln_rsqn": str(book.asks[0][1]), "shnu_rsqn": str(book.bids[0][1]),
        "total_askp_rsqn": str(sum(size for _, size in book.asks)),
        "total_bidp_rsqn": str(sum(size for _, size in book.bids)),
    }  # fmt: skip


def _book(query: Mapping[str, str], market: Market, now: datetime.datetime) -> Page:
    stock = market.stocks.get(query["FID_INPUT_ISCD"])
    if stock is None:
        return _no_such()
    book, output = market.book(stock), {"aspr_acpt_hour": now.strftime("%H%M%S"), "new_mkop_cls_code": "20"}
    for side, letters in ((book.asks, "askp"), (book.bids, "bidp")):
        for level, (price, size) in enumerate(side, 1):
            output |= {f"{letters}{level}": str(price), f"{letters}_rsqn{level}": str(size)}
        output[f"total_{letters}_rsqn"] = str(sum(size for _, size in side))
    expected = {"antc_mkop_cls_code": "311", "antc_cnpr": str(stock.price), "antc_vol": "1200"}
    return {"output1": output, "output2": {**expected, "stck_shrn_iscd": stock.code, "stck_prpr": str(stock.price)}}


def _past_bars(query: Mapping[str, str], market: Market, now: datetime.datetime) -> Page:
    return _bars(query, market, now, datetime.datetime.strptime(query["FID_INPUT_DATE_1"], "%Y%m%d").date())


def _bars(query: Mapping[str, str], market: Market, now: datetime.datetime, date: datetime.date) -> Page:
    stock = market.stocks.get(query["FID_INPUT_ISCD"])
    if stock is None:
        return _no_such()
    today = "FID_INPUT_DATE_1" not in query
    minutes = dict(sorted(_day(stock, query["FID_COND_MRKT_DIV_CODE"], date).minutes.items()))
    upto = query["FID_INPUT_HOUR_1"][:4]
    if today:
        upto = min(upto, now.strftime("%H%M"))
    rows, value = [], 0
    for at, bar in minutes.items():
        value += bar.value
        if at <= upto:
            rows.append(
                {
                    "stck_bsop_date": date.strftime("%Y%m%d"), "stck_cntg_hour": f"{at}00", "stck_oprc": str(bar.open),
                    "stck_hgpr": str(bar.high), "stck_lwpr": str(bar.low), "stck_prpr": str(bar.close),
                    "cntg_vol": str(bar.volume), "acml_tr_pbmn": str(value),
                }
            )  # fmt: skip
    if today and rows and upto == now.strftime("%H%M") and rows[-1]["stck_cntg_hour"][:4] != upto:
        # The minute that runs has no trade yet: it shows the volume of the one before.
        rows.append({**rows[-1], "stck_cntg_hour": f"{upto}00"})
    rows.reverse()
    return {"output1": {"stck_prpr": str(stock.price)}, "output2": rows[: _TODAY_BARS if today else _PAST_BARS]}


def _index(query: Mapping[str, str]) -> Page:
    if query["FID_INPUT_ISCD"] != INDEX:
        return _no_such()
    return {
        "output": {
            "bstp_nmix_prpr": "2615.37", "bstp_nmix_prdy_vrss": "-4.21", "prdy_vrss_sign": "5",
            "bstp_nmix_prdy_ctrt": "-0.16", "acml_vol": "312044", "acml_tr_pbmn": "6123311",
            "bstp_nmix_oprc": "2620.10", "bstp_nmix_hgpr": "2625.80", "bstp_nmix_lwpr": "2610.02",
            "ascn_issu_cnt": "411", "down_issu_cnt": "470", "stnr_issu_cnt": "52",
        }
    }  # fmt: skip


def _future(query: Mapping[str, str]) -> Page:
    if query["FID_INPUT_ISCD"] != FUTURE:
        return _no_such()
    return {
        "output1": {
            "hts_kor_isnm": "F 202612", "futs_prpr": "351.25", "futs_prdy_vrss": "-1.05", "prdy_vrss_sign": "5",
            "futs_prdy_clpr": "352.30", "futs_prdy_ctrt": "-0.30", "acml_vol": "120411",
            "acml_tr_pbmn": "10577120000000", "futs_oprc": "352.00", "futs_hgpr": "353.10", "futs_lwpr": "350.85",
            "futs_mxpr": "380.45", "futs_llam": "324.15", "futs_sdpr": "352.30", "hts_otst_stpl_qty": "260331",
        },
        "output2": {"bstp_cls_code": "2001", "bstp_nmix_prpr": "351.02"},
        "output3": {"bstp_cls_code": "0001", "bstp_nmix_prpr": "2615.37"},
    }  # fmt: skip


def _future_book(query: Mapping[str, str], now: datetime.datetime) -> Page:
    if query["FID_INPUT_ISCD"] != FUTURE:
        return _no_such()
    output = {"aspr_acpt_hour": now.strftime("%H%M%S"), "total_askp_rsqn": "150", "total_bidp_rsqn": "175"}
    for level in range(1, 6):
        output |= {
            f"futs_askp{level}": f"{351.25 + 0.05 * level:.2f}", f"askp_rsqn{level}": str(10 * level),
            f"futs_bidp{level}": f"{351.25 - 0.05 * level:.2f}", f"bidp_rsqn{level}": str(10 * level + 5),
        }  # fmt: skip
    return {"output1": {"futs_prpr": "351.25", "futs_shrn_iscd": FUTURE}, "output2": output}


def _holidays(query: Mapping[str, str], closed: frozenset[datetime.date]) -> Page:
    first = datetime.datetime.strptime(query["CTX_AREA_NK"].strip() or query["BASS_DT"], "%Y%m%d").date()
    days = [first + datetime.timedelta(days=number) for number in range(_HOLIDAYS)]
    output = []
    for day in days:
        is_open = "Y" if day.weekday() < 5 and day not in closed else "N"
        output.append(
            {
                "bass_dt": day.strftime("%Y%m%d"), "wday_dvsn_cd": f"{(day.weekday() + 1) % 7 + 1:02d}",
                "bzdy_yn": is_open, "tr_day_yn": is_open, "opnd_yn": is_open, "sttl_day_yn": is_open,
            }
        )  # fmt: skip
    following = (days[-1] + datetime.timedelta(days=1)).strftime("%Y%m%d")
    return {"output": output, "ctx_area_nk": following, "ctx_area_fk": query["BASS_DT"], "tr_cont": "M"}


def _info(query: Mapping[str, str], market: Market) -> Page:
    stock = market.stocks.get(query["PDNO"])
    if stock is None:
        return _no_such()
    return {
        "output": {
            "pdno": f"00000A{stock.code}", "prdt_name": stock.name, "std_pdno": isin(stock.code),
            "cptt_trad_tr_psbl_yn": "Y" if stock.on_nxt else "N", "nxt_tr_stop_yn": "N",
            "tr_stop_yn": "Y" if stock.halted else "N",
        }
    }  # fmt: skip


def isin(code: str) -> str:
    """An ISIN with its check digit (ISO 6166): letters count as two digits, every second one from the right doubles."""
    body = f"KR7{code[-6:]}00"
    digits = "".join(str(int(letter, 36)) for letter in body)
    total = sum(sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(reversed(digits)))
    return f"{body}{-total % 10}"


def master(name: str, market: Market) -> bytes:
    """A master file as a zip archive; KeyError if there is no such file."""
    text = _master_text(name, market)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(f"{name}.mst", text.encode("cp949"))
    return archive.getvalue()


def _master_text(name: str, market: Market) -> str:
    if name in ("kospi_code", "kosdaq_code"):
        stocks = [stock for stock in market.stocks.values() if stock.market == name.removesuffix("_code").upper()]
        return "".join(stock_line(name, stock) for stock in stocks)
    lines = {
        "konex_code": _tail_line("112190", "코넥스모의", 184, {0: "KN", 2: "000001500", 21: "NNN00", 29: "00",
                                                             54: f"{500:012d}", 66: "20131122", 74: f"{5000:015d}",
                                                             119: "0", 172: f"{75:09d}"}),
        "idxcode": "".join(f"{code}{_padded(label, 40)}\n" for code, label in
                           (("00001", "종합"), ("11001", "KOSDAQ"), ("22001", "KOSPI200"))),
        "fo_idx_code_mts": (
            f"1|{FUTURE}   |KR4A01612001|F 202612|0|0.00|1|2001|KOSPI200\n"
            "5|B01612350|KR4B01612350|C 202612 350.0|1|350.00|1|2001|KOSPI200\n"
        ),
        "fo_stk_code_mts": "1|A11612   |KR4A11612000|삼성전자   F 202612|0|0|1|005930|삼성전자\n",
    }  # fmt: skip
    return lines[name]


def stock_line(name: str, stock: Stock) -> str:
    """One line of kospi_code or kosdaq_code, as wide as the real ones."""
    group = "EN" if stock.code.startswith("Q") else "ST"
    shares, halt = 100_000, "Y" if stock.halted else "N"
    cap, listed = stock.base * shares * 1000 // 100_000_000, "20100104"
    flags, base = f"{halt}NN00", f"{stock.base:09d}"
    if name == "kospi_code":
        cells = {0: group, 22: "N", 29: "N", 41: base, 60: flags, 68: "00", 81: f"{1234:012d}", 93: f"{5000:012d}",
                 105: listed, 113: f"{shares:015d}", 158: "0", 212: f"{cap:09d}"}  # fmt: skip
        return _tail_line(stock.code, stock.name, 227, cells)
    cells = {0: group, 18: "N", 24: "N", 36: base, 55: flags, 63: "00", 76: f"{1234:012d}", 88: f"{500:012d}",
             100: listed, 108: f"{shares:015d}", 153: "0", 206: f"{cap:09d}"}  # fmt: skip
    return _tail_line(stock.code, stock.name, 221, cells)


def _tail_line(code: str, name: str, length: int, cells: Mapping[int, str]) -> str:
    tail = list(" " * length)
    for at, text in cells.items():
        tail[at : at + len(text)] = text
    return f"{code:<9}{isin(code):<12}{_padded(name, 40)}{''.join(tail)}\n"


def _padded(name: str, width: int) -> str:
    """`name` with blanks up to `width` bytes of cp949."""
    return name + " " * (width - len(name.encode("cp949")))
