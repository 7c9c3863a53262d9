"""What the records of each TR of the WebSocket consist of: names in their order, how many of them have to be there, and
which widths were seen. A record may always be wider: KIS adds fields at the end without a word (47th of H0STCNT0 on
2026-09-14, 63rd of H0STASP0 on 2026-09-16). Field orders: koreainvestment/open-trading-api (of options, stock futures
and the night's books at commit 885dd4e, `examples_llm/domestic_futureoption`) and the portal's tables.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Content(Enum):
    """What a record of a TR tells, and so what is made of it."""

    TRADE = "trade"
    EXPECTED = "expected"
    BOOK = "book"
    MARKET_STATUS = "market_status"
    INDEX = "index"
    FUTURES_TRADE = "futures_trade"
    OVERSEAS_TRADE = "overseas_trade"
    OVERSEAS_BOOK = "overseas_book"


class CodeForm(Enum):
    """What the first value of a record looks like."""

    STOCK = r"Q?[0-9A-Z]{6}"
    INDEX = r"[0-9]{4}"
    DERIVATIVE = r"[0-9A-Z]{6,9}"
    OVERSEAS = r"[DR][A-Z]{3}[0-9A-Z./-]{1,16}"


@dataclass(frozen=True)
class Layout:
    """The records of one TR. `required`: the narrowest record that can be read; `widths`: those known so far."""

    tr_id: str
    content: Content
    feed: str
    names: tuple[str, ...]
    required: int
    widths: tuple[int, ...]
    code_form: CodeForm
    time_field: str
    """HHMMSS of the record."""
    told: tuple[str, ...] = ()
    """Fields that no column has, told when they change (`field_changes`), as is what is behind the known ones."""

    @property
    def is_counted(self) -> bool:
        """Whether the volumes of its trades tell what is missing between them (`volume_holes`). A night has no date of
        its own; that the volume of an overseas trade grows by its size is documented nowhere."""
        return self.content in (Content.TRADE, Content.FUTURES_TRADE) and self.feed != KIS_NIGHT

    def at(self, name: str) -> int:
        """The place of a field in a record."""
        return self.names.index(name)

    def name_of(self, place: int) -> str:
        """The name of a place; `extra_<place>` beyond the known fields."""
        return self.names[place] if place < len(self.names) else f"extra_{place}"


KRX, NXT, UNIFIED = "krx", "nxt", "unified"
KIS_OVERSEAS, KIS_DELAYED, KIS_NIGHT = "kis_overseas", "kis_delayed", "kis_night"


def _numbered(*names: str, levels: int) -> tuple[str, ...]:
    return tuple(f"{name}{level}" for name in names for level in range(1, levels + 1))


_TRADE_HEAD = (
    "MKSC_SHRN_ISCD", "STCK_CNTG_HOUR", "STCK_PRPR", "PRDY_VRSS_SIGN", "PRDY_VRSS", "PRDY_CTRT", "WGHN_AVRG_STCK_PRC",
    "STCK_OPRC", "STCK_HGPR", "STCK_LWPR", "ASKP1", "BIDP1", "CNTG_VOL", "ACML_VOL", "ACML_TR_PBMN", "SELN_CNTG_CSNU",
    "SHNU_CNTG_CSNU", "NTBY_CNTG_CSNU", "CTTR", "SELN_CNTG_SMTN", "SHNU_CNTG_SMTN",
)  # fmt: skip
_TRADE_TAIL = (
    "SHNU_RATE", "PRDY_VOL_VRSS_ACML_VOL_RATE", "OPRC_HOUR", "OPRC_VRSS_PRPR_SIGN", "OPRC_VRSS_PRPR", "HGPR_HOUR",
    "HGPR_VRSS_PRPR_SIGN", "HGPR_VRSS_PRPR", "LWPR_HOUR", "LWPR_VRSS_PRPR_SIGN", "LWPR_VRSS_PRPR", "BSOP_DATE",
    "NEW_MKOP_CLS_CODE", "TRHT_YN", "ASKP_RSQN1", "BIDP_RSQN1", "TOTAL_ASKP_RSQN", "TOTAL_BIDP_RSQN", "VOL_TNRT",
    "PRDY_SMNS_HOUR_ACML_VOL", "PRDY_SMNS_HOUR_ACML_VOL_RATE", "HOUR_CLS_CODE", "MRKT_TRTM_CLS_CODE",
)  # fmt: skip
_TRADE_KRX = (*_TRADE_HEAD, "CCLD_DVSN", *_TRADE_TAIL, "VI_STND_PRC", "MARKET_CLS_CODE")
# NXT and the unified feed call the aggressor otherwise.
_TRADE_NXT = (*_TRADE_HEAD, "CNTG_CLS_CODE", *_TRADE_TAIL, "VI_STND_PRC", "MARKET_CLS_CODE")
_EXPECTED_KRX = (*_TRADE_HEAD, "CNTG_CLS_CODE", *_TRADE_TAIL)
_EXPECTED_NXT = (*_EXPECTED_KRX, "VI_STND_PRC", "DUMMY")
_BOOK = (
    "MKSC_SHRN_ISCD", "BSOP_HOUR", "HOUR_CLS_CODE", *_numbered("ASKP", "BIDP", "ASKP_RSQN", "BIDP_RSQN", levels=10),
    "TOTAL_ASKP_RSQN", "TOTAL_BIDP_RSQN", "OVTM_TOTAL_ASKP_RSQN", "OVTM_TOTAL_BIDP_RSQN", "ANTC_CNPR", "ANTC_CNQN",
    "ANTC_VOL", "ANTC_CNTG_VRSS", "ANTC_CNTG_VRSS_SIGN", "ANTC_CNTG_PRDY_CTRT", "ACML_VOL", "TOTAL_ASKP_RSQN_ICDC",
    "TOTAL_BIDP_RSQN_ICDC", "OVTM_TOTAL_ASKP_ICDC", "OVTM_TOTAL_BIDP_ICDC", "STCK_DEAL_CLS_CODE",
)  # fmt: skip
_BOOK_KRX = (*_BOOK, "MID_PRC", "MIDP_TOTAL_RSQN", "MIDP_CLS_CODE", "MARKET_CLS_CODE")
_BOOK_NXT = (
    *_BOOK, "KMID_PRC", "KMID_TOTAL_RSQN", "KMID_CLS_CODE", "NMID_PRC", "NMID_TOTAL_RSQN", "NMID_CLS_CODE",
)  # fmt: skip
_TOLD_OF_TRADES = ("VI_STND_PRC", "MARKET_CLS_CODE")
_TOLD_OF_BOOKS = ("MIDP_CLS_CODE", "KMID_CLS_CODE", "NMID_CLS_CODE", "MARKET_CLS_CODE", "ANTC_EXCH_CLS_CODE")
_STATUS = (
    "MKSC_SHRN_ISCD", "TRHT_YN", "TR_SUSP_REAS_CNTT", "MKOP_CLS_CODE", "ANTC_MKOP_CLS_CODE", "MRKT_TRTM_CLS_CODE",
    "DIVI_APP_CLS_CODE", "ISCD_STAT_CLS_CODE", "VI_CLS_CODE", "OVTM_VI_CLS_CODE", "EXCH_CLS_CODE",
)  # fmt: skip
_INDEX = (
    "BSTP_CLS_CODE", "BSOP_HOUR", "PRPR_NMIX", "PRDY_VRSS_SIGN", "BSTP_NMIX_PRDY_VRSS", "ACML_VOL", "ACML_TR_PBMN",
    "PCAS_VOL", "PCAS_TR_PBMN", "PRDY_CTRT", "OPRC_NMIX", "NMIX_HGPR", "NMIX_LWPR", "OPRC_VRSS_NMIX_PRPR",
    "OPRC_VRSS_NMIX_SIGN", "HGPR_VRSS_NMIX_PRPR", "HGPR_VRSS_NMIX_SIGN", "LWPR_VRSS_NMIX_PRPR", "LWPR_VRSS_NMIX_SIGN",
    "PRDY_CLPR_VRSS_OPRC_RATE", "PRDY_CLPR_VRSS_HGPR_RATE", "PRDY_CLPR_VRSS_LWPR_RATE", "UPLM_ISSU_CNT",
    "ASCN_ISSU_CNT", "STNR_ISSU_CNT", "DOWN_ISSU_CNT", "LSLM_ISSU_CNT", "QTQT_ASCN_ISSU_CNT", "QTQT_DOWN_ISSU_CNT",
    "TICK_VRSS",
)  # fmt: skip
_FUTURES_HEAD = (
    "FUTS_SHRN_ISCD", "BSOP_HOUR", "FUTS_PRDY_VRSS", "PRDY_VRSS_SIGN", "FUTS_PRDY_CTRT", "FUTS_PRPR", "FUTS_OPRC",
    "FUTS_HGPR", "FUTS_LWPR", "LAST_CNQN", "ACML_VOL", "ACML_TR_PBMN", "HTS_THPR", "MRKT_BASIS", "DPRT",
    "NMSC_FCTN_STPL_PRC", "FMSC_FCTN_STPL_PRC", "SPEAD_PRC", "HTS_OTST_STPL_QTY", "OTST_STPL_QTY_ICDC", "OPRC_HOUR",
    "OPRC_VRSS_PRPR_SIGN", "OPRC_VRSS_NMIX_PRPR", "HGPR_HOUR", "HGPR_VRSS_PRPR_SIGN", "HGPR_VRSS_NMIX_PRPR",
    "LWPR_HOUR", "LWPR_VRSS_PRPR_SIGN", "LWPR_VRSS_NMIX_PRPR", "SHNU_RATE", "CTTR", "ESDG", "OTST_STPL_RGBF_QTY_ICDC",
    "THPR_BASIS", "FUTS_ASKP1", "FUTS_BIDP1", "ASKP_RSQN1", "BIDP_RSQN1", "SELN_CNTG_CSNU", "SHNU_CNTG_CSNU",
    "NTBY_CNTG_CSNU", "SELN_CNTG_SMTN", "SHNU_CNTG_SMTN", "TOTAL_ASKP_RSQN", "TOTAL_BIDP_RSQN",
    "PRDY_VOL_VRSS_ACML_VOL_RATE",
)  # fmt: skip
_FUTURES_TAIL = ("DYNM_MXPR", "DYNM_LLAM", "DYNM_PRC_LIMT_YN")
_FUTURES = (*_FUTURES_HEAD, "DSCS_BLTR_ACML_QTY", *_FUTURES_TAIL)
_NIGHT_FUTURES = (*_FUTURES_HEAD, *_FUTURES_TAIL)
# The places of _NIGHT_FUTURES under other names.
_STOCK_FUTURES = (
    "FUTS_SHRN_ISCD", "BSOP_HOUR", "STCK_PRPR", "PRDY_VRSS_SIGN", "PRDY_VRSS", "FUTS_PRDY_CTRT", "STCK_OPRC",
    "STCK_HGPR", "STCK_LWPR", *_FUTURES_HEAD[9:22], "OPRC_VRSS_PRPR", *_FUTURES_HEAD[23:25], "HGPR_VRSS_PRPR",
    *_FUTURES_HEAD[26:28], "LWPR_VRSS_PRPR", *_FUTURES_HEAD[29:34], "ASKP1", "BIDP1", *_FUTURES_HEAD[36:],
    *_FUTURES_TAIL,
)  # fmt: skip
_OPTIONS = (
    "OPTN_SHRN_ISCD", "BSOP_HOUR", "OPTN_PRPR", "PRDY_VRSS_SIGN", "OPTN_PRDY_VRSS", "PRDY_CTRT", "OPTN_OPRC",
    "OPTN_HGPR", "OPTN_LWPR", "LAST_CNQN", "ACML_VOL", "ACML_TR_PBMN", "HTS_THPR", "HTS_OTST_STPL_QTY",
    "OTST_STPL_QTY_ICDC", "OPRC_HOUR", "OPRC_VRSS_PRPR_SIGN", "OPRC_VRSS_NMIX_PRPR", "HGPR_HOUR",
    "HGPR_VRSS_PRPR_SIGN", "HGPR_VRSS_NMIX_PRPR", "LWPR_HOUR", "LWPR_VRSS_PRPR_SIGN", "LWPR_VRSS_NMIX_PRPR",
    "SHNU_RATE", "PRMM_VAL", "INVL_VAL", "TMVL_VAL", "DELTA", "GAMA", "VEGA", "THETA", "RHO", "HTS_INTS_VLTL", "ESDG",
    "OTST_STPL_RGBF_QTY_ICDC", "THPR_BASIS", "UNAS_HIST_VLTL", "CTTR", "DPRT", "MRKT_BASIS", "OPTN_ASKP1",
    "OPTN_BIDP1", "ASKP_RSQN1", "BIDP_RSQN1", "SELN_CNTG_CSNU", "SHNU_CNTG_CSNU", "NTBY_CNTG_CSNU", "SELN_CNTG_SMTN",
    "SHNU_CNTG_SMTN", "TOTAL_ASKP_RSQN", "TOTAL_BIDP_RSQN", "PRDY_VOL_VRSS_ACML_VOL_RATE", "AVRG_VLTL",
    "DSCS_LRQN_VOL", *_FUTURES_TAIL,
)  # fmt: skip


def _derivative_book(code: str, price: str, levels: int) -> tuple[str, ...]:
    numbered = (f"{price}ASKP", f"{price}BIDP", "ASKP_CSNU", "BIDP_CSNU", "ASKP_RSQN", "BIDP_RSQN")
    totals = ("TOTAL_ASKP_CSNU", "TOTAL_BIDP_CSNU", "TOTAL_ASKP_RSQN", "TOTAL_BIDP_RSQN")
    changes = ("TOTAL_ASKP_RSQN_ICDC", "TOTAL_BIDP_RSQN_ICDC")
    return (code, "BSOP_HOUR", *_numbered(*numbered, levels=levels), *totals, *changes)


_FUTURES_BOOK = _derivative_book("FUTS_SHRN_ISCD", "FUTS_", 5)
_OPTIONS_BOOK = _derivative_book("OPTN_SHRN_ISCD", "OPTN_", 5)
_STOCK_FUTURES_BOOK = _derivative_book("FUTS_SHRN_ISCD", "", 10)
_OVERSEAS = (
    "RSYM", "SYMB", "ZDIV", "TYMD", "XYMD", "XHMS", "KYMD", "KHMS", "OPEN", "HIGH", "LOW", "LAST", "SIGN", "DIFF",
    "RATE", "PBID", "PASK", "VBID", "VASK", "EVOL", "TVOL", "TAMT", "BIVL", "ASVL", "STRN", "MTYP",
)  # fmt: skip
_OVERSEAS_BOOK = (
    "RSYM", "SYMB", "ZDIV", "XYMD", "XHMS", "KYMD", "KHMS", "BVOL", "AVOL", "BDVL", "ADVL",
    *(f"{name}{level}" for level in range(1, 11) for name in ("PBID", "PASK", "VBID", "VASK", "DBID", "DASK")),
)  # fmt: skip


def _table() -> dict[str, Layout]:
    stock, found = CodeForm.STOCK, list[Layout]()
    for feed, letters, trade, expected, book in (
        (KRX, "ST", _TRADE_KRX, _EXPECTED_KRX, _BOOK_KRX),
        (NXT, "NX", _TRADE_NXT, _EXPECTED_NXT, _BOOK_NXT),
        (UNIFIED, "UN", _TRADE_NXT, _EXPECTED_NXT, (*_BOOK_NXT, "ANTC_EXCH_CLS_CODE")),
    ):
        book_widths = {KRX: (59, 62, 63), NXT: (62, 65), UNIFIED: (65, 66)}[feed]
        expected_widths, needed = ((45,), 45) if feed == KRX else ((46, 47), 46)
        hour = "STCK_CNTG_HOUR"
        found += [
            Layout(f"H0{letters}CNT0", Content.TRADE, feed, trade, 46, (46, 47), stock, hour, _TOLD_OF_TRADES),
            Layout(f"H0{letters}ANC0", Content.EXPECTED, feed, expected, needed, expected_widths, stock, hour),
            Layout(f"H0{letters}ASP0", Content.BOOK, feed, book, 59, book_widths, stock, "BSOP_HOUR", _TOLD_OF_BOOKS),
            # Status records have no time. 11 fields are documented, 10 were seen; the documented table of the unified
            # one leaves the code out, which is there.
            Layout(f"H0{letters}MKO0", Content.MARKET_STATUS, feed, _STATUS, 10, (10, 11), stock, ""),
        ]
    hour, derivative = "BSOP_HOUR", CodeForm.DERIVATIVE
    found += [
        Layout("H0UPCNT0", Content.INDEX, KRX, _INDEX, 30, (30,), CodeForm.INDEX, hour),
        Layout("H0IFCNT0", Content.FUTURES_TRADE, KRX, _FUTURES, 50, (50,), derivative, hour),
        Layout("H0MFCNT0", Content.FUTURES_TRADE, KIS_NIGHT, _NIGHT_FUTURES, 49, (49,), derivative, hour),
        Layout("H0IFASP0", Content.BOOK, KRX, _FUTURES_BOOK, 38, (38,), derivative, hour),
        Layout("H0MFASP0", Content.BOOK, KIS_NIGHT, _FUTURES_BOOK, 38, (38,), derivative, hour),
        Layout("H0IOCNT0", Content.FUTURES_TRADE, KRX, _OPTIONS, 58, (58,), derivative, hour),
        Layout("H0IOASP0", Content.BOOK, KRX, _OPTIONS_BOOK, 38, (38,), derivative, hour),
        Layout("H0ZFCNT0", Content.FUTURES_TRADE, KRX, _STOCK_FUTURES, 49, (49,), derivative, hour),
        Layout("H0ZFASP0", Content.BOOK, KRX, _STOCK_FUTURES_BOOK, 68, (68,), derivative, hour),
        # 26 wide with RSYM in front was seen live; a sample lists 25 without it, which nobody has seen.
        Layout("HDFSCNT0", Content.OVERSEAS_TRADE, KIS_OVERSEAS, _OVERSEAS, 26, (26,), CodeForm.OVERSEAS, "KHMS"),
        # One level, and ten for the United States.
        Layout(
            "HDFSASP0", Content.OVERSEAS_BOOK, KIS_OVERSEAS, _OVERSEAS_BOOK, 17, (17, 71), CodeForm.OVERSEAS, "KHMS"
        ),
    ]
    return {one.tr_id: one for one in found}


LAYOUTS: Final = _table()
"""By TR id. A TR of another kind is one more line; frames of a TR that is not here are set aside and counted."""
COUNTED_FEEDS: Final = frozenset(layout.feed for layout in LAYOUTS.values() if layout.is_counted)
"""Feeds of trades whose volumes tell what is missing between them."""


def place_of(layout: Layout, key: str) -> tuple[str, str]:
    """(feed, symbol) of what is registered by this key, or whose record begins with it. An overseas key names its
    exchange, and whether it is delayed: DNASAAPL is AAPL of `kis_delayed`."""
    if layout.code_form is not CodeForm.OVERSEAS:
        return layout.feed, key
    return (KIS_DELAYED if key.startswith("D") else layout.feed), key[4:]
