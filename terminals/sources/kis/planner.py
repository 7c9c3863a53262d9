"""Which registrations go to which appkey. One session of KIS takes 41; what becomes of the rest is `coverage`'s
business. A change of the list moves nothing that may stay where it is. Arithmetic only: `registrations` acts on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

MOST_REGISTRATIONS: Final = 41
"""Of one session, all TRs together; the 42nd is answered OPSP0008 (portal notice; measured in 2026)."""
PLANNED: Final = 40
"""How many we plan with."""


@dataclass(frozen=True, order=True, slots=True)
class Registration:
    """What is asked for on a session, and what an answer is matched by."""

    tr_id: str
    tr_key: str


class Kind(Enum):
    """What may be wanted of a symbol."""

    TRADE = "trade"
    BOOK = "book"
    EXPECTED = "expected"
    STATUS = "status"
    INDEX = "index"


class Coverage(Enum):
    """How a wish is fulfilled."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    NONE = "none"


_LETTERS: Final = {"krx": "ST", "nxt": "NX", "unified": "UN"}
_STOCK_TRS: Final = {Kind.TRADE: "CNT0", Kind.BOOK: "ASP0", Kind.EXPECTED: "ANC0", Kind.STATUS: "MKO0"}
_TRS: Final = {
    "index": {Kind.INDEX: "H0UPCNT0"},
    "futures": {Kind.TRADE: "H0IFCNT0", Kind.BOOK: "H0IFASP0"},
    "options": {Kind.TRADE: "H0IOCNT0", Kind.BOOK: "H0IOASP0"},
    "stock_futures": {Kind.TRADE: "H0ZFCNT0", Kind.BOOK: "H0ZFASP0"},
    "night_futures": {Kind.TRADE: "H0MFCNT0", Kind.BOOK: "H0MFASP0"},
    "overseas": {Kind.TRADE: "HDFSCNT0", Kind.BOOK: "HDFSASP0"},
}
FEEDS: Final = (*_LETTERS, *_TRS)
"""Where symbols may be wanted."""
_PUSHED_ONLY: Final = frozenset(tr_id for feed in ("night_futures", "overseas") for tr_id in _TRS[feed].values())
POLLED: Final = frozenset({Kind.TRADE, Kind.BOOK, Kind.INDEX})
"""What REST has too, as a picture of the moment. Expected prices and status are pushed only."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One kind of news of one symbol; the lower `priority`, the more wanted. `symbol` is as REST calls it."""

    registration: Registration
    symbol: str
    kind: Kind
    priority: int = 100

    @property
    def is_polled(self) -> bool:
        """Whether REST has it, too."""
        return self.kind in POLLED and self.registration.tr_id not in _PUSHED_ONLY


def registration_of(symbol: str, kind: Kind, feed: str) -> Registration | None:
    """What to register for `symbol` on `feed`, one of FEEDS; of overseas the symbol is the key with its exchange
    (DNASAAPL). None where KIS has no such TR."""
    by_kind = _TRS.get(feed)
    if by_kind is not None:
        tr_id = by_kind.get(kind)
        return Registration(tr_id, symbol) if tr_id else None
    letters, ending = _LETTERS.get(feed), _STOCK_TRS.get(kind)
    return Registration(f"H0{letters}{ending}", symbol) if letters and ending else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Registrations by appkey (by its name, never the key itself), and all wishes, the most wanted first."""

    by_appkey: Mapping[str, frozenset[Registration]]
    wishes: Sequence[Wish] = ()


def plan(
    wishes: Iterable[Wish],
    appkeys: Sequence[str],
    *,
    per_appkey: int = PLANNED,
    before: Plan | None = None,
) -> Plan:
    """The most wanted wishes spread over the appkeys. `before` is the plan in force, whose registrations stay where
    they are if they are still among the most wanted. Among equally wanted ones those stay that are registered.
    ValueError if `per_appkey` is more than a session takes.
    """
    if not 0 <= per_appkey <= MOST_REGISTRATIONS:
        raise ValueError(f"per_appkey {per_appkey} must be 0 to {MOST_REGISTRATIONS}: a session takes no more")
    held = {one: name for name, kept in (before.by_appkey.items() if before else ()) for one in kept}
    unique: dict[Registration, Wish] = {}
    for wish in wishes:
        known = unique.get(wish.registration)
        if known is None or wish.priority < known.priority:
            unique[wish.registration] = wish
    order = sorted(unique.values(), key=lambda wish: (wish.priority, wish.registration not in held))
    chosen = order[: per_appkey * len(appkeys)]
    assigned: dict[str, list[Registration]] = {name: [] for name in appkeys}
    homeless = []
    for wish in chosen:
        home = assigned.get(held.get(wish.registration, ""))
        if home is not None and len(home) < per_appkey:
            home.append(wish.registration)
        else:
            homeless.append(wish.registration)
    for one in homeless:
        min(assigned.values(), key=len).append(one)
    return Plan({name: frozenset(registrations) for name, registrations in assigned.items()}, tuple(order))
