"""A data frame of the WebSocket as values: `<flag>|<TR>|<count>|<values joined by ^>`. Several records may follow each
other in one frame. How wide a record is, is what the frame says (values / count) and never a constant of ours; what the
values mean is `records`' business.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from terminals.sources.kis import korean_time
from terminals.sources.kis.layouts import LAYOUTS, CodeForm, Layout

_CODES: Final = {form: re.compile(form.value, re.ASCII) for form in CodeForm}
_TIME: Final = re.compile(r"[0-9]{6}", re.ASCII)
_KNOWN_CODES: Final = 20_000
_WIDTHS: Final = 16
_MOST_RECORDS: Final = 999
_COUNTS: Final = {f"{number:03d}": number for number in range(1, _MOST_RECORDS + 1)}


class Undecodable(ValueError):
    """This frame cannot be read; `reason` is a word to count by, `tr_id` is empty where even that is not known."""

    def __init__(self, reason: str, tr_id: str, detail: str) -> None:
        super().__init__(f"{reason} {tr_id or '-'}: {detail}")
        self.reason, self.tr_id, self.detail = reason, tr_id, detail


@dataclass(slots=True)
class Frame:
    """`values` has whole records of `width` values each, one behind the other."""

    layout: Layout
    values: list[str]
    width: int
    recounted: bool = False
    """Whether the frame gave another number of records than it has."""

    @property
    def count(self) -> int:
        """How many records."""
        return len(self.values) // self.width

    def record(self, index: int) -> dict[str, str]:
        """One record with the names of its fields; `extra_<place>` beyond the known ones."""
        start = index * self.width
        return {self.layout.name_of(place): self.values[start + place] for place in range(self.width)}


@dataclass(slots=True)
class _Known:
    """What is known of a TR."""

    layout: Layout
    widths: set[int]
    codes: set[str] = field(default_factory=set)


@dataclass
class Reader:
    """Reads frames; remembers which widths each TR has had, so that each new one is told once."""

    new_widths: list[tuple[str, int]] = field(default_factory=list)
    """(TR, width) not seen before; for the caller to take."""
    _known: dict[str, _Known] = field(default_factory=dict)

    def read(self, tr_id: str, count: str, payload: str) -> Frame:
        """A frame from its plain parts. Undecodable, with reason `unknown_tr`, `count`, `width` or `code`."""
        known = self._known.get(tr_id) or self._begin(tr_id, payload)
        layout = known.layout
        values = payload.split("^")
        if count == "001" and len(values) in known.widths and values[0] in known.codes:
            return Frame(layout, values, len(values))  # as most are
        said = _COUNTS.get(count) or _count(count)
        width, rest = divmod(len(values), said) if said else (0, 1)
        fits = rest == 0 and width >= layout.required and self._are_alike(known, values[::width])
        if fits and width in known.widths:
            return Frame(layout, values, width)
        # Perhaps the count is wrong: then a width that is known makes whole records, each with a code and a time.
        found = self._recount(known, values, said)
        if found:
            return Frame(layout, values, found, recounted=True)
        if not fits:
            raise Undecodable(self._why(layout, said, width, rest), tr_id, f"count {count!r}, {len(values)} values")
        if len(known.widths) < _WIDTHS:
            known.widths.add(width)
            self.new_widths.append((tr_id, width))
        return Frame(layout, values, width)

    def _begin(self, tr_id: str, payload: str) -> _Known:
        layout = LAYOUTS.get(tr_id)
        if layout is None:
            raise Undecodable("unknown_tr", tr_id, f"{len(payload)} characters")
        found = self._known[tr_id] = _Known(layout, set(layout.widths))
        return found

    def _recount(self, known: _Known, values: list[str], said: int) -> int:
        time_at = known.layout.at(known.layout.time_field) if known.layout.time_field else None
        for width in sorted(known.widths, reverse=True):
            records, rest = divmod(len(values), width)
            if rest or records == said or not 1 <= records <= _MOST_RECORDS:
                continue
            if not self._are_codes(known, values[::width]):
                continue
            if time_at is None or all(_TIME.fullmatch(one) for one in values[time_at::width]):
                return width
        return 0

    def _are_alike(self, known: _Known, texts: list[str]) -> bool:
        """Whether these are codes, or at least of one kind: a new form of code must not cost the frame."""
        if known.codes.issuperset(texts) or self._are_codes(known, texts):
            return True
        return all(one.isascii() and one.isalnum() and len(one) == len(texts[0]) for one in texts)

    def _are_codes(self, known: _Known, texts: Iterable[str]) -> bool:
        for text in texts:
            if text not in known.codes:
                if not _CODES[known.layout.code_form].fullmatch(text):
                    return False
                if len(known.codes) < _KNOWN_CODES:
                    known.codes.add(text)
        return True

    @staticmethod
    def _why(layout: Layout, said: int, width: int, rest: int) -> str:
        if said < 1 or rest:
            return "count"
        return "width" if width < layout.required else "code"


def _count(text: str) -> int:
    """The number of records that a frame gives, in another form than three digits; 0 if it is none from 1 to 999."""
    said = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    return said if 1 <= said <= _MOST_RECORDS else 0


def take_apart(message: str) -> tuple[bool, str, str, str]:
    """(encrypted, TR, count, payload) of a data frame. Undecodable `garbage` if it is none."""
    parts = message.split("|", 3)
    if len(parts) != 4 or parts[0] not in ("0", "1") or not parts[1]:
        raise Undecodable("garbage", "", f"begins with {message[:40]!r}")
    return parts[0] == "1", parts[1], parts[2], parts[3]


def codes_in(count: str, payload: str) -> list[str]:
    """The codes of the records of a frame that is not read, each once; the first alone where its count is wrong."""
    said = int(count) if count.isascii() and count.isdigit() and len(count) <= 4 else 0
    if said <= 1:
        return [payload.split("^", 1)[0]]
    values = payload.split("^")
    width, rest = divmod(len(values), said)
    return list(dict.fromkeys(values[::width] if width and not rest else values[:1]))


def moment_of(message: str) -> int | None:
    """When the first record of a frame was made, as UTC microseconds, if it has a business date. Undecodable or
    ValueError if it cannot be read."""
    encrypted, tr_id, _count, payload = take_apart(message)
    layout = LAYOUTS.get(tr_id)
    if encrypted or layout is None or "BSOP_DATE" not in layout.names:
        return None
    values = payload.split("^", layout.at("BSOP_DATE") + 1)
    if len(values) <= layout.at("BSOP_DATE"):
        return None
    return korean_time.read_moment(values[layout.at("BSOP_DATE")] + values[layout.at(layout.time_field)])
