"""Codes of symbols as their markets write them: what cannot be one, and which code was probably meant."""

import re
from typing import Final

from terminals.wire.language import gettext as _

# Short codes of KRX: stocks, ETF and ELW have six characters that begin with a digit, derivatives eight or nine. What
# begins with a letter is an ETN (Q500001) or another product. ISINs and the "A" that order systems put before a stock's
# code are none. Facts: KRX short codes as listed by KIS's master files.
_KOREAN: Final = re.compile(r"[0-9][0-9A-Z]{5}|[0-9][0-9A-Z]{7,8}|[A-Z][0-9A-Z]{0,8}", re.ASCII)
_PREFIXED: Final = re.compile(r"A([0-9][0-9A-Z]{5})", re.ASCII)
_ISIN: Final = re.compile(r"KR[0-9A-Z]([0-9A-Z]{6})[0-9A-Z]{3}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_KOREAN_MARKETS: Final = ("KRX", "NXT")
# Excel writes a text that looks like a number as a formula, so that it keeps its zeros.
_EXCEL_TEXT: Final = re.compile(r'="(.*)"')


class CodeError(ValueError):
    """This cannot be a code of that market; the message names the code that was probably meant."""


def read_code(text: str, market: str | None) -> str:
    """The code that `text` stands for in `market`: `="051910"` and `A051910` are 051910 at KRX and NXT. A market
    without a pattern of its own, or None, takes 1 to 24 printable ASCII characters. CodeError."""
    excel = _EXCEL_TEXT.fullmatch(text)
    code = (excel[1] if excel else text).strip()
    if not code.isascii() or not code.isprintable() or not 1 <= len(code) <= 24:
        raise CodeError(_("symbol {code!r} must be 1 to 24 printable ASCII characters").format(code=code))
    if market in _KOREAN_MARKETS:
        prefixed = _PREFIXED.fullmatch(code)
        code = prefixed[1] if prefixed else code
    check_code(code, market)
    return code


def check_code(code: str, market: str | None) -> None:
    """CodeError if `market` has no such code. Nothing is read into it: `A051910` is refused here."""
    if market not in _KOREAN_MARKETS or (_KOREAN.fullmatch(code) and not _PREFIXED.fullmatch(code)):
        return
    likely = _likely(code)
    told = (
        _("symbol {code!r} is no code of {market}: six characters such as 005930, 00499K; {likely} was probably meant")
        if likely
        else _("symbol {code!r} is no code of {market}: six characters such as 005930, 00499K")
    )
    raise CodeError(told.format(code=code, market=market, likely=likely))


def _likely(code: str) -> str | None:
    """The code that lost its zeros in a spreadsheet, or was written in small letters, with a prefix or as an ISIN."""
    upper = code.upper()
    if _DIGITS.fullmatch(upper):
        return upper.zfill(6)
    for pattern in (_PREFIXED, _ISIN):
        found = pattern.fullmatch(upper)
        if found:
            return found[1]
    return upper if upper != code and _KOREAN.fullmatch(upper) else None
