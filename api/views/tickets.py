"""One-time tickets for WebSockets that cannot send headers."""

from __future__ import annotations

import redis
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.auth import sessions, tickets
from api.rest import errors, response_schemas


class TicketView(APIView):
    """A ticket for one WebSocket: send {"action":"auth","ticket":…} as the first message."""

    @extend_schema(
        operation_id="ticket", request=None, responses={200: response_schemas.Ticket, "4XX": response_schemas.Error}
    )
    def post(self, request: Request) -> Response:
        try:
            ticket = tickets.issue(request.user, sessions.of_request(request))
        except redis.RedisError as error:
            raise errors.Unavailable(_("no tickets while Redis is away; try again soon")) from error
        return Response({"ticket": ticket, "expires_in": tickets.VALID_S}, headers={"Cache-Control": "no-store"})
