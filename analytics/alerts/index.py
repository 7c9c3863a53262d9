"""Which rules look at which symbol of which feed: found by the symbol, so that a look costs by what changed and not by
how many rules there are."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analytics.alerts.conditions import STANDING, Condition, Kind

EVERY = "*"
BY_STATISTICS = frozenset({Kind.CHANGE, Kind.VOLUME})
"""What is looked at again when the statistics of a symbol are newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as it is judged. `symbols` or, without any, the `market`; `feed` "" stands for the primary one of each."""

    number: int
    revision: int
    owner: int
    name: str
    condition: Condition
    symbols: tuple[str, ...] = ()
    market: str = ""
    feed: str = ""
    pause_us: int = 0
    changed_us: int = 0
    quiet_from: datetime.time | None = None
    quiet_until: datetime.time | None = None

    @property
    def mark(self) -> str:
        """Tells its states apart from those of other rules and of what it was before it was changed."""
        return f"{self.number}.{self.revision}"


@dataclass(frozen=True, slots=True)
class Place:
    """The market of a symbol and its primary feed."""

    market: str
    feed: str


@dataclass(slots=True)
class Index:
    """`of` finds the rules of a symbol; `feeds` has what there is to look at, by feed and kind of trigger."""

    mark: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    feeds: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """By feed: "symbols" and "statistics", the symbols that are watched, EVERY for all."""
    _by_symbol: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    _by_market: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    standing: list[Rule] = field(default_factory=list)
    """Rules that no commit brings: looked at by timetable."""

    def of(self, feed: str, symbol: str) -> Iterable[Rule]:
        """The rules that look at a symbol of a feed."""
        yield from self._by_symbol.get((feed, symbol), ())
        place = self.places.get(symbol)
        if place is not None and self._by_market:
            yield from self._by_market.get((feed, place.market), ())
            if place.feed == feed:
                yield from self._by_market.get(("", place.market), ())


def build(rules: Iterable[Rule], places: Mapping[str, Place], mark: str) -> Index:
    """The index of rules on symbols; `places` has every registered symbol. A symbol that is none is looked at by
    nobody."""
    made = Index(mark, places)
    of_market: dict[str, set[str]] = {}
    for place in places.values():
        of_market.setdefault(place.market, set()).add(place.feed)
    for rule in rules:
        made.marks.add(rule.mark)
        if rule.condition.kind in STANDING:
            made.standing.append(rule)
            continue
        for symbol in rule.symbols:
            feed = rule.feed or (places[symbol].feed if symbol in places else "")
            if feed:
                made._by_symbol.setdefault((feed, symbol), []).append(rule)
                _note(made, rule, feed, symbol)
        if not rule.symbols:
            made._by_market.setdefault((rule.feed, rule.market), []).append(rule)
            for feed in [rule.feed] if rule.feed else sorted(of_market.get(rule.market, ())):
                _note(made, rule, feed, EVERY)
    return made


def _note(index: Index, rule: Rule, feed: str, symbol: str) -> None:
    watched = index.feeds.setdefault(feed, {"symbols": set(), "statistics": set()})
    watched["symbols"].add(symbol)
    if rule.condition.kind in BY_STATISTICS:
        watched["statistics"].add(symbol)
