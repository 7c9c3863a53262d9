"""Fields of trades and books that no column has: the price that a volatility interruption is reckoned from, classes of
the market, and whatever KIS adds at the end of a record. They are told when they change, for they seldom do; the rows
beside them stay as fast as they were.
"""

import operator
from collections.abc import Iterator, Sequence
from typing import Final

from terminals.sources.kis.frames import Frame
from terminals.sources.kis.layouts import Content, Layout

_SYMBOLS: Final = 20_000
_PAUSE_US: Final = 10_000_000
"""Between two words on one symbol: a new field that is another in each record must not double the rows."""
_CONTENTS: Final = (Content.TRADE, Content.BOOK, Content.EXPECTED, Content.FUTURES_TRADE)
"""Of the others each field is told, or (overseas) the code is no symbol."""
_WIDTHS: Final = 200
_NOTHING: Final = ("", "(null)")


class _OfTR:
    """One TR at one width. `told` holds what was told last of each symbol: (symbol, values …)."""

    def __init__(self, layout: Layout, width: int) -> None:
        places = range(width) if layout.content in _CONTENTS else ()
        self.places = [place for place in places if place >= len(layout.names) or layout.names[place] in layout.told]
        self.pick = operator.itemgetter(0, *self.places)
        """Symbol and values out of a record; only where there are places."""
        self.names = [layout.name_of(place).lower() for place in self.places]
        self.told: set[tuple[str, ...]] = set()
        self.last: dict[str, tuple[tuple[str, ...], int]] = {}


class FieldChanges:
    """Of 20,000 symbols of a TR; further ones are not told."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, _OfTR]] = {}  # by width and TR

    def of(self, frame: Frame, now_us: int) -> Sequence[tuple[str, dict[str, str]]]:
        """(symbol, its fields that hold something) where one of them is another than it was told last."""
        width, values = frame.width, frame.values
        try:
            one = self._of[width][frame.layout.tr_id]
        except KeyError:
            one = self._begin(frame.layout, width)
        if not one.places:
            return ()
        records: Sequence[tuple[str, ...]]
        # The ordinary case: nothing has changed.
        if width == len(values):
            record = one.pick(values)
            if record in one.told:
                return ()
            records = (record,)
        else:
            records = list(zip(values[::width], *(values[place::width] for place in one.places), strict=True))
            if one.told.issuperset(records):
                return ()
        return list(_changes(one, records, now_us))

    def _begin(self, layout: Layout, width: int) -> _OfTR:
        if len(self._of) >= _WIDTHS:
            self._of.clear()
        one = self._of.setdefault(width, {})[layout.tr_id] = _OfTR(layout, width)
        return one


def _changes(one: _OfTR, records: Sequence[tuple[str, ...]], now_us: int) -> Iterator[tuple[str, dict[str, str]]]:
    for record in dict.fromkeys(records):
        symbol = record[0]
        before = one.last.get(symbol)
        if before is None:
            if len(one.last) >= _SYMBOLS:
                continue
        elif before[0] == record or 0 <= now_us - before[1] < _PAUSE_US:
            continue
        else:
            one.told.discard(before[0])
        one.last[symbol] = (record, now_us)
        one.told.add(record)
        yield symbol, {name: text for name, text in zip(one.names, record[1:], strict=True) if text not in _NOTHING}
