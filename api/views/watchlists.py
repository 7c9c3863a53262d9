"""A person's lists of symbols, in the dialect's shape. Who is logged in reads and changes them; a key of a person
reads them, for keys change nothing."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors, response_schemas
from api.rest.bodies import Body, WatchlistBody, WatchlistChanges, WatchlistSymbol
from api.rest.queries import NoQuery
from api.views import assets
from marketdata.models import ApiKey, Symbol, Watchlist
from marketdata.reference import watchlists
from marketdata.reference.watchlists import NoSuchWatchlist, NotKept

_ACCOUNTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:naru:account")
_ANSWERS = {200: response_schemas.Watchlist, "4XX": response_schemas.Error}


def _reader(request: Request) -> int:
    """Whose lists a request is about. PermissionDenied for who is no person and has no person's key."""
    who: Any = request.user
    person = who.user if isinstance(who, ApiKey) else who
    if not isinstance(person, AbstractUser):
        raise exceptions.PermissionDenied(_("watch lists are a person's: log in, or use the key of a person"))
    return int(person.pk)


def _writer(request: Request) -> int:
    """The same of who changes them. PermissionDenied for keys, too."""
    who: Any = request.user
    if isinstance(who, ApiKey):
        raise exceptions.PermissionDenied(_("a key reads watch lists; who is logged in changes them"))
    return _reader(request)


def _checked(body: type[Body], request: Request) -> dict[str, Any]:
    """What a request brings. The errors of `Body.of`."""
    NoQuery.read(request)
    return body.of(request, partial=False)


def _head(one: Watchlist) -> dict[str, Any]:
    return {
        "id": one.pk, "account_id": str(uuid.uuid5(_ACCOUNTS, str(one.user_id))), "name": one.name,
        "created_at": one.created_at.isoformat(), "updated_at": one.updated_at.isoformat(), "symbols": one.symbols,
    }  # fmt: skip


def _whole(one: Watchlist) -> Response:
    """With what is registered of its symbols as assets, in its order."""
    known = {asset["symbol"]: asset for asset in assets.shown(Symbol.objects.filter(code__in=one.symbols))}
    return Response({**_head(one), "assets": [known[code] for code in one.symbols if code in known]})


class _View(APIView):
    def handle_exception(self, exc: Exception) -> Response:
        """A list that is not there, or not the person's, is a 404; one that cannot be so a 422 with the field."""
        if isinstance(exc, NoSuchWatchlist):
            exc = exceptions.NotFound(_("you have no such watch list"))
        elif isinstance(exc, NotKept):
            exc = errors.Unprocessable({exc.field: str(exc)})
        return super().handle_exception(exc)


class WatchlistsView(_View):
    """The lists of who asks, in the order in which they were made."""

    @extend_schema(
        operation_id="watchlists",
        responses={200: response_schemas.WatchlistHead(many=True), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        NoQuery.read(request)
        return Response([_head(one) for one in watchlists.of_person(_reader(request))])

    @extend_schema(operation_id="create_watchlist", request=WatchlistBody, responses=_ANSWERS)
    def post(self, request: Request) -> Response:
        """A new list."""
        person, given = _writer(request), _checked(WatchlistBody, request)
        return _whole(watchlists.create(person, given["name"], given["symbols"]))


class WatchlistView(_View):
    """One list."""

    @extend_schema(operation_id="watchlist", responses=_ANSWERS)
    def get(self, request: Request, watchlist: uuid.UUID) -> Response:
        NoQuery.read(request)
        return _whole(watchlists.one_of(_reader(request), str(watchlist)))

    @extend_schema(operation_id="change_watchlist", request=WatchlistChanges, responses=_ANSWERS)
    def put(self, request: Request, watchlist: uuid.UUID) -> Response:
        """Another name, or other symbols in place of those of before; what is left out stays."""
        person, given = _writer(request), _checked(WatchlistChanges, request)
        return _whole(watchlists.change(person, str(watchlist), **given))

    @extend_schema(operation_id="add_to_watchlist", request=WatchlistSymbol, responses=_ANSWERS)
    def post(self, request: Request, watchlist: uuid.UUID) -> Response:
        """A symbol more, at the end."""
        person, given = _writer(request), _checked(WatchlistSymbol, request)
        return _whole(watchlists.add(person, str(watchlist), given["symbol"]))

    @extend_schema(operation_id="delete_watchlist", responses={204: None, "4XX": response_schemas.Error})
    def delete(self, request: Request, watchlist: uuid.UUID) -> Response:
        NoQuery.read(request)
        watchlists.delete(_writer(request), str(watchlist))
        return Response(status=204)


class WatchlistSymbolView(_View):
    """A symbol of a list."""

    @extend_schema(operation_id="remove_from_watchlist", responses=_ANSWERS)
    def delete(self, request: Request, watchlist: uuid.UUID, symbol: str) -> Response:
        """The list without it."""
        NoQuery.read(request)
        return _whole(watchlists.remove(_writer(request), str(watchlist), symbol))
