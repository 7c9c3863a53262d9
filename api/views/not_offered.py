"""What the dialect's clients may ask for and this product has not: a documented error instead of an address that is
none."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors

WHAT = ("options", "crypto", "crypto-perps", "forex", "news", "logos", "fixed_income")


@extend_schema(exclude=True)
class NotOfferedView(APIView):
    """404 with a code of its own, for whoever may read."""

    def get(self, request: Request, what: str, rest: str = "") -> Response:
        """Errors: always NoProduct."""
        raise errors.NoProduct(_("this product has no {what} data").format(what=what))
