"""People's lists of symbols: made, changed and removed within what one person may have. Changes of one person come one
after another, so that none is lost and no two of them go beyond a limit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from marketdata.models import Symbol, Watchlist

MOST_LISTS, MOST_SYMBOLS = 20, 200
"""Of one person; of one list."""


class NoSuchWatchlist(Exception):
    """The person has no list of this id."""


class NotKept(Exception):
    """A list cannot be so; `field` (name or symbols) is the matter, and the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def of_person(user: int) -> QuerySet[Watchlist]:
    """In the order in which they were made."""
    return Watchlist.objects.filter(user_id=user)


def one_of(user: int, watchlist: str) -> Watchlist:
    """A person's list. NoSuchWatchlist."""
    found = of_person(user).filter(pk=watchlist).first()
    if found is None:
        raise NoSuchWatchlist
    return found


def create(user: int, name: str, symbols: Sequence[str]) -> Watchlist:
    """A new list. NotKept when it is one too many, its name is another one's, or a symbol cannot be in it."""
    with _alone(user):
        if of_person(user).count() >= MOST_LISTS:
            told = _("there are {most} lists, as many as one person may have: delete one first")
            raise NotKept("name", told.format(most=MOST_LISTS))
        return _kept(Watchlist(user_id=user), name, symbols)


def change(user: int, watchlist: str, *, name: str | None = None, symbols: Sequence[str] | None = None) -> Watchlist:
    """A list with another name or other symbols; None leaves as it is. NoSuchWatchlist; NotKept as `create`."""
    with _alone(user):
        found = one_of(user, watchlist)
        return _kept(found, found.name if name is None else name, found.symbols if symbols is None else symbols)


def add(user: int, watchlist: str, symbol: str) -> Watchlist:
    """A list with a symbol more, at its end; one that is in it stays where it is. NoSuchWatchlist; NotKept."""
    with _alone(user):
        found = one_of(user, watchlist)
        return found if symbol in found.symbols else _kept(found, found.name, [*found.symbols, symbol])


def remove(user: int, watchlist: str, symbol: str) -> Watchlist:
    """A list without a symbol. NoSuchWatchlist."""
    with _alone(user):
        found = one_of(user, watchlist)
        found.symbols = [one for one in found.symbols if one != symbol]
        found.save()
        return found


def put(user: int, watchlist: str, symbols: Sequence[str], *, comes: bool) -> int:
    """Symbols at the end of a list, or out of it; by how many that changed it. NoSuchWatchlist; NotKept."""
    with _alone(user):
        found = one_of(user, watchlist)
        going = set() if comes else set(symbols)
        after = [code for code in dict.fromkeys([*found.symbols, *(symbols if comes else ())]) if code not in going]
        changed = abs(len(after) - len(found.symbols))
        if changed:
            _kept(found, found.name, after)
        return changed


def delete(user: int, watchlist: str) -> None:
    """NoSuchWatchlist."""
    with _alone(user):
        one_of(user, watchlist).delete()


@contextmanager
def _alone(user: int) -> Iterator[None]:
    """A transaction within which nobody else changes the lists of a person."""
    people: Any = get_user_model().objects
    with transaction.atomic():
        people.select_for_update().filter(pk=user).values_list("pk", flat=True).first()
        yield


def _kept(watchlist: Watchlist, name: str, symbols: Sequence[str]) -> Watchlist:
    if of_person(watchlist.user_id).filter(name=name).exclude(pk=watchlist.pk).exists():
        raise NotKept("name", _("there is a list called {name}").format(name=name))
    if len(symbols) > MOST_SYMBOLS:
        raise NotKept("symbols", _("a list has at most {most} symbols: make another one").format(most=MOST_SYMBOLS))
    new = set(symbols) - set(watchlist.symbols)  # one that was removed from the reference may stay
    unknown = new - set(Symbol.objects.filter(code__in=new).values_list("code", flat=True))
    if unknown:
        raise NotKept("symbols", _("not registered: {symbol}").format(symbol=", ".join(sorted(unknown))))
    watchlist.name, watchlist.symbols = name, list(dict.fromkeys(symbols))
    watchlist.save()
    return watchlist
