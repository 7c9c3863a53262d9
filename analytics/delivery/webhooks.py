"""Sends a webhook: signed, without redirects, bounded in time; of the answer nothing but its status is read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from analytics.delivery.addresses import ANSWERED, Endpoint, Network, RefusedError, Resolve, resolved

SIGNATURE, DELIVERY = "X-Naru-Signature", "X-Naru-Delivery"
# httpx is imported by who sends: every command imports the URLs, and only a delivery needs it.
LONGEST_S = 10.0


def new_secret() -> str:
    """What a target's signatures are made with, shown once."""
    return "whsec_" + secrets.token_urlsafe(32)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """`t=…,v1=…`: the moment in seconds, and HMAC-SHA256 of "{t}.{body}" in hex. Who receives compares both the
    signature and the moment, so that nothing is repeated later."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


async def send(
    endpoint: Endpoint,
    secret: str,
    body: bytes,
    *,
    at_s: int,
    delivery: str,
    allowed: Sequence[Network],
    resolve: Resolve,
    longest_s: float,
) -> None:
    """RefusedError, httpx.HTTPError and TimeoutError say why it did not arrive; an answer of 2xx says that it did."""
    import httpx

    async with asyncio.timeout(longest_s):
        address = await asyncio.to_thread(resolved, endpoint, allowed, resolve)
        literal = f"[{address}]" if ":" in address else address
        default = {"https": 443, "http": 80}[endpoint.scheme]
        named = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        headers = {
            "Host": named if endpoint.port == default else f"{named}:{endpoint.port}",
            "Content-Type": "application/json", "User-Agent": "naru-alerts",
            SIGNATURE: signature(secret, at_s, body), DELIVERY: delivery,
        }  # fmt: skip
        # Neither a proxy of the environment nor its .netrc: both would lead elsewhere.
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=longest_s) as client,
            client.stream(
                "POST", f"{endpoint.scheme}://{literal}:{endpoint.port}{endpoint.path}", content=body, headers=headers,
                extensions={"sni_hostname": endpoint.host},
            ) as answer,
        ):  # fmt: skip
            if not answer.is_success:  # its content, which may be endless or come a byte a second, is of no use
                raise RefusedError(ANSWERED, status=answer.status_code)
