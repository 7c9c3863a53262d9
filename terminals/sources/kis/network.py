"""One HTTP request to KIS and its answer, or the kind of error it was. What fails never carries keys or tokens.

httpx's own errors hold the request and with it the headers; they are replaced, not chained.
"""

import asyncio
import functools
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from terminals.sources.kis import answers
from terminals.sources.kis.answers import Trouble, UnavailableError
from terminals.sources.kis.credentials import Account
from terminals.wire.language import gettext as _

# It tells each request at INFO: many a second, for ever.
logging.getLogger("httpx").setLevel(logging.WARNING)

CALL_S: Final = 5.0
"""How long one request may take in all."""
_CONNECTIONS: Final = 50
_HEADERS: Final = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: its JSON, as it came and as it is read."""

    content: bytes
    body: Mapping[str, Any]


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to believe: read once, for that takes longer than all the rest of opening a client."""
    return httpx.create_ssl_context()


def open_http(account: Account) -> httpx.AsyncClient:
    """Connections to an account's base URL, certificates checked. The caller closes it."""
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    # `request` bounds the whole of each request; httpx would bound each of its steps.
    return httpx.AsyncClient(
        base_url=account.rest_url,
        headers=_HEADERS,
        limits=limits,
        verify=_certificates(),
        timeout=None,  # noqa: S113
    )


async def request(
    http: httpx.AsyncClient,
    account: Account,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, str] | None = None,
    within_s: float = CALL_S,
    token: str = "",
) -> Reply:
    """The answer to one request, which ends within `within_s` seconds; KisError by the kind of failure, which says
    neither the account's key and secret nor `token`."""
    try:
        async with asyncio.timeout(within_s):
            response = await http.request(method, path, headers=headers, params=params, json=body)
    except TimeoutError:
        told = _("no answer within {seconds:g} s").format(seconds=within_s)
        failure = UnavailableError(Trouble.TIMEOUT, "", told)
    except httpx.ConnectError:
        told = _("cannot connect to {address}").format(address=account.rest_url)
        failure = UnavailableError(Trouble.UNREACHABLE, "", told)
    except httpx.HTTPError as error:
        failure = UnavailableError(Trouble.CONNECTION, "", type(error).__name__)
    else:
        secrets = [account.appkey, account.appsecret, *([token] if token else [])]
        found = answers.read(response.status_code, response.content, secrets)
        return Reply(response.content, found)
    raise failure
