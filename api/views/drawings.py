"""What people draw on charts: read, made, changed and deleted by the person whose they are."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import drawings
from api.drawings import DrawingsQuery
from api.rest import response_schemas
from api.rest.parsers import JSONParser
from api.rest.queries import NoQuery
from marketdata.models import Drawing

_ERRORS = {"4XX": response_schemas.Error}


class DrawingsView(APIView):
    """Those of the person who asks, in the order they were made; and one more."""

    parser_classes = (JSONParser,)

    @extend_schema(
        operation_id="drawings", parameters=[DrawingsQuery], responses={200: response_schemas.Drawings, **_ERRORS}
    )
    def get(self, request: Request) -> Response:
        query = DrawingsQuery.read(request)
        found = drawings.of(drawings.owner(request)).order_by("id")
        if "symbol" in query:
            found = found.filter(symbol=query["symbol"])
        return Response({"drawings": [drawings.shown(one) for one in found]})

    @extend_schema(
        operation_id="draw", request=drawings.NewContent, responses={201: response_schemas.Drawing, **_ERRORS}
    )
    def post(self, request: Request) -> Response:
        NoQuery.read(request)
        person = drawings.author(request)
        fields = drawings.read(drawings.NewContent, request)
        return Response(drawings.shown(drawings.add(person, fields)), status=201)


class DrawingView(APIView):
    """One drawing of the person who asks."""

    parser_classes = (JSONParser,)

    @extend_schema(
        operation_id="redraw", request=drawings.Content, responses={200: response_schemas.Drawing, **_ERRORS}
    )
    def put(self, request: Request, number: str) -> Response:
        NoQuery.read(request)
        one = _one(request, number)
        for name, value in drawings.read(drawings.Content, request).items():
            setattr(one, name, value)
        one.save()
        return Response(drawings.shown(one))

    @extend_schema(operation_id="erase", responses={204: None, **_ERRORS})
    def delete(self, request: Request, number: str) -> Response:
        NoQuery.read(request)
        _one(request, number).delete()
        return Response(status=204)


def _one(request: Request, number: str) -> Drawing:
    """Http404 for one that there is not, or that is somebody else's."""
    found = drawings.of(drawings.author(request)).filter(pk=int(number)).first()
    if found is None:
        raise Http404
    return found
