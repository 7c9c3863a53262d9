"""Which rules look at which symbol of which feed: found by the symbol, so that a look costs by what changed and not by
how many rules there are."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analytics.alerts.judging.conditions import OF_THE_SYSTEM, STANDING, Condition, Kind

EVERY = "*"
BY_STATISTICS = frozenset({Kind.CHANGE, Kind.VOLUME})
"""What is looked at again when the statistics of a symbol are newer."""
BY_STATUSES = frozenset({Kind.STATUS})
"""What no trade brings, but the statuses of a symbol."""


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
class Lookup:
    """Rules by what they look at: (feed, symbol), and (feed or "" for the primary one, market)."""

    by_symbol: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    by_market: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)

    def of(self, feed: str, symbol: str, place: Place | None) -> Iterable[Rule]:
        """The rules that look at a symbol of a feed."""
        yield from self.by_symbol.get((feed, symbol), ())
        if place is not None and self.by_market:
            yield from self.by_market.get((feed, place.market), ())
            if place.feed == feed:
                yield from self.by_market.get(("", place.market), ())


@dataclass(slots=True)
class Index:
    """`of` and `of_statuses` find the rules of a symbol; `feeds` has what there is to look at, by feed and kind of
    trigger."""

    mark: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    feeds: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """By feed: "symbols", "statistics" and "statuses", the symbols that are watched, EVERY for all."""
    rules: dict[str, Rule] = field(default_factory=dict)
    """By their mark."""
    standing: list[Rule] = field(default_factory=list)
    """Rules that no commit brings: looked at by timetable."""
    _trades: Lookup = field(default_factory=Lookup)
    _statuses: Lookup = field(default_factory=Lookup)

    def of(self, feed: str, symbol: str) -> Iterable[Rule]:
        """The rules that look at the trades of a symbol of a feed."""
        return self._trades.of(feed, symbol, self.places.get(symbol))

    def of_statuses(self, feed: str, symbol: str) -> Iterable[Rule]:
        """The rules that look at the statuses of a symbol of a feed."""
        return self._statuses.of(feed, symbol, self.places.get(symbol))

    def looks_at(self, mark: str, symbol: str) -> bool:
        """Whether the rule with this mark is one, and still looks at what it told of: not at a symbol that its list
        lost, or that is none any more."""
        rule = self.rules.get(mark)
        if rule is None:
            return False
        if not symbol or rule.condition.kind in OF_THE_SYSTEM:
            return True
        return symbol in self.places and (symbol in rule.symbols or self.places[symbol].market == rule.market)


def build(rules: Iterable[Rule], places: Mapping[str, Place], mark: str) -> Index:
    """The index of rules on symbols; `places` has every registered symbol. A symbol that is none is looked at by
    nobody."""
    made = Index(mark, places)
    of_market: dict[str, set[str]] = {}
    for place in places.values():
        of_market.setdefault(place.market, set()).add(place.feed)
    for rule in rules:
        made.rules[rule.mark] = rule
        if not rule.symbols and not rule.market and rule.condition.kind not in OF_THE_SYSTEM:
            continue  # its list is empty, or gone
        if rule.condition.kind in STANDING:
            made.standing.append(rule)
            continue
        lookup = made._statuses if rule.condition.kind in BY_STATUSES else made._trades
        for symbol in rule.symbols:
            feed = rule.feed or (places[symbol].feed if symbol in places else "")
            if feed:
                lookup.by_symbol.setdefault((feed, symbol), []).append(rule)
                _note(made, rule, feed, symbol)
        if not rule.symbols:
            lookup.by_market.setdefault((rule.feed, rule.market), []).append(rule)
            for feed in [rule.feed] if rule.feed else sorted(of_market.get(rule.market, ())):
                _note(made, rule, feed, EVERY)
    return made


def watched(rule: Rule, places: Mapping[str, Place]) -> dict[str, list[str]]:
    """By feed the symbols of a rule; of one on a market the feeds alone."""
    if rule.symbols:
        found: dict[str, list[str]] = {}
        for code in rule.symbols:
            if code in places:
                found.setdefault(rule.feed or places[code].feed, []).append(code)
        return found
    feeds = {place.feed for place in places.values() if place.market == rule.market}
    return {feed: [] for feed in ([rule.feed] if rule.feed else sorted(feeds))}


def _note(index: Index, rule: Rule, feed: str, symbol: str) -> None:
    watched = index.feeds.setdefault(feed, {"symbols": set(), "statistics": set(), "statuses": set()})
    if rule.condition.kind in BY_STATUSES:
        watched["statuses"].add(symbol)
        return
    watched["symbols"].add(symbol)
    if rule.condition.kind in BY_STATISTICS:
        watched["statistics"].add(symbol)
