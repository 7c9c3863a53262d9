"""What is said between us and an OpenID Connect provider: discovery, the authorization code flow with PKCE, and the
proof of its ID token. Knows no person of ours (marketdata.reference.openid_accounts) and no page (api.views.openid).

OpenID Connect Core 1.0, sections 3.1 and 5.3; Discovery 1.0; RFC 7636 (PKCE); RFC 9207 (`iss` of the answer);
RP-Initiated Logout 1.0; Back-Channel Logout 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from django.conf import settings

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

# httpx and joserfc are imported by who asks and proves: every command imports the URLs, and only a login needs the two.

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
PATIENCE_S = 5.0  # for each of its answers to begin, and to end
LEEWAY_S = 60  # its clock and ours
METADATA_S = 3600.0  # how long what it says of itself is kept
MOST_BYTES = 1 << 20
MOST_TOKEN_BYTES = 16_384  # of one that comes unasked
ANEW_S = 10.0  # at most so often are keys asked for anew because of such a one
LOGGED_OUT = "http://schemas.openid.net/event/backchannel-logout"
_said: dict[str, tuple[float, dict[str, Any]]] = {}
"""By address: when it was asked, and the answer. Of one issuer, so two entries."""
_turns = threading.BoundedSemaphore(max(1, settings.API_THREADS // 2))
"""So many threads may wait for the provider: while it is slow, the others serve who asks for prices."""


class ProviderAway(Exception):
    """The provider does not answer, or says that it cannot now."""


class ProviderRefused(Exception):
    """The provider answered, and let nobody in."""


class NotProven(Exception):
    """What came is no proof of who somebody is; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who it is, and who we are to it."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What the browser keeps while its person is at the provider."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Login:
    """What the provider says of a person, and the ID token that proves it."""

    claims: dict[str, Any]
    id_token: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Logins that the provider has ended: of a session of its own, of a person, or of both; and when, by its clock."""

    session: str | None
    subject: str | None
    at_s: float

    def is_of(self, id_token: str) -> bool:
        """Whether it is a login that this ID token, which was proven then, let in. One that began later is another."""
        claims = _payload(id_token)
        began_s = claims.get("iat")
        return (
            (self.session is None or claims.get("sid") == self.session)
            and (self.subject is None or claims.get("sub") == self.subject)
            and isinstance(began_s, int | float)
            and began_s <= self.at_s
        )


def begin(provider: Provider, redirect_uri: str) -> tuple[str, Begun]:
    """Where to send a browser, and what it has to keep. ProviderAway, NotProven."""
    begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code", "client_id": provider.client_id, "redirect_uri": redirect_uri,
        "scope": provider.scopes, "state": begun.state, "nonce": begun.nonce, "code_challenge": challenge,
        "code_challenge_method": "S256",
    }  # fmt: skip
    address = _address(provider, _metadata(provider), "authorization_endpoint")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", begun


def finish(provider: Provider, begun: Begun, answer: Mapping[str, str], redirect_uri: str) -> Login:
    """The person whom the provider sent back with this query. ProviderAway, ProviderRefused, NotProven."""
    if not secrets.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
        raise NotProven("the state is another")
    if answer.get("iss", provider.issuer) != provider.issuer:
        raise NotProven("the answer is of another issuer")
    if "error" in answer:
        raise ProviderRefused(answer["error"][:100])
    metadata = _metadata(provider)
    tokens = _tokens(provider, metadata, answer.get("code", ""), begun.verifier, redirect_uri)
    token = tokens.get("id_token")
    claims = _proven(provider, metadata, token, begun.nonce)
    return Login(_more(provider, metadata, tokens.get("access_token"), claims) | claims, str(token))


def logout(provider: Provider, id_token: str, back: str) -> str | None:
    """Where a browser ends its session at the provider, which then sends it back to the address `back`; None where the
    provider has no such address, or does not answer. OpenID Connect RP-Initiated Logout 1.0, section 2."""
    try:
        metadata = _metadata(provider)
        address = _address(provider, metadata, "end_session_endpoint") if "end_session_endpoint" in metadata else None
    except (ProviderAway, NotProven):
        return None
    if address is None:
        return None
    asked = {"id_token_hint": id_token, "client_id": provider.client_id, "post_logout_redirect_uri": back}
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def ended(provider: Provider, token: str) -> Ended:
    """What a logout token says. ProviderAway, NotProven. Back-Channel Logout 1.0, section 2.6, which leaves to the
    receiver whether it remembers `jti`: one that comes again ends nothing that began after it, so nothing is kept."""
    if len(token) > MOST_TOKEN_BYTES:
        raise NotProven("a logout token that is too long")
    metadata = _metadata(provider)
    claims = _signed(
        provider, metadata, token, kind="logout token", anew_s=ANEW_S, types=("logout+jwt", "jwt"),
        more={"jti": {"essential": True}, "events": {"essential": True}},
    )  # fmt: skip
    events, session, subject = claims["events"], claims.get("sid"), claims.get("sub")
    if not isinstance(events, dict) or not isinstance(events.get(LOGGED_OUT), dict):
        raise NotProven("the logout token tells of no logout")
    if "nonce" in claims:
        raise NotProven("the logout token is an ID token")
    if (session is None and subject is None) or not all(isinstance(one, str | None) for one in (session, subject)):
        raise NotProven("the logout token names nobody")
    return Ended(session, subject, claims["iat"])


def _payload(token: str) -> dict[str, Any]:
    """The claims of a token that was proven before."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _metadata(provider: Provider) -> dict[str, Any]:
    address = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
    found = _kept(address)
    if found.get("issuer") != provider.issuer:
        _said.pop(address, None)  # it may be starting, or be mended meanwhile
        raise NotProven("the provider calls itself by another name than OIDC_ISSUER")
    return found


def _address(provider: Provider, metadata: dict[str, Any], name: str) -> str:
    """By TLS, unless the provider itself is asked without, which the settings allow on this machine alone."""
    found = metadata.get(name)
    ways = ("https://", "http://") if provider.issuer.startswith("http://") else ("https://",)
    if not isinstance(found, str) or not found.startswith(ways):
        raise NotProven(f"the provider tells no {name} that may be asked")
    return found


def _kept(address: str, *, for_s: float = METADATA_S) -> dict[str, Any]:
    asked_at, found = _said.get(address, (float("-inf"), {}))
    if time.monotonic() - asked_at >= for_s:
        found = _ask("GET", address)
        if len(_said) > 8:  # another issuer since, which happens in tests alone
            _said.clear()
        _said[address] = (time.monotonic(), found)
    return found


def _tokens(
    provider: Provider, metadata: dict[str, Any], code: str, verifier: str, redirect_uri: str
) -> dict[str, Any]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    headers = {}
    if provider.client_secret and "client_secret_basic" in ways:
        pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form["client_id"] = provider.client_id
        if provider.client_secret:
            form["client_secret"] = provider.client_secret
    return _ask("POST", _address(provider, metadata, "token_endpoint"), data=form, headers=headers)


def _signed(
    provider: Provider, metadata: dict[str, Any], token: str, *, kind: str, anew_s: float = 0.0,
    types: tuple[str, ...] = (), more: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The claims of a token that is the provider's, for us and of now, and has `more` of them so. Keys are asked for
    anew where none fits, unless they were within `anew_s`. With `types` the token is of one of them, if it says so."""
    from joserfc import jwt
    from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError

    address = _address(provider, metadata, "jwks_uri")
    try:
        try:
            found = jwt.decode(token, _keys(address), algorithms=ALGORITHMS)
        except (InvalidKeyIdError, BadSignatureError):  # it may have new keys, under new names or none
            found = jwt.decode(token, _keys(address, anew_s=anew_s), algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client_id},
            exp={"essential": True},
            iat={"essential": True},
            **more,
        ).validate(found.claims)
    except (JoseError, ValueError, RecursionError) as error:  # the last two: what is no token at all
        raise NotProven(f"the {kind} is not right: {type(error).__name__} {str(error)[:100]}") from error
    named = str(found.header.get("typ", "JWT")).lower().removeprefix("application/")
    if types and named not in types:
        raise NotProven(f"the {kind} is of another type")
    return found.claims


def _proven(provider: Provider, metadata: dict[str, Any], token: object, nonce: str) -> dict[str, Any]:
    """The claims of an ID token that is the provider's, for us, of now and of this login."""
    if not isinstance(token, str):
        raise NotProven("no ID token came")
    of_login = {"sub": {"essential": True}, "nonce": {"essential": True, "value": nonce}}
    claims = _signed(provider, metadata, token, kind="ID token", more=of_login)
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject.isascii() or not subject.isprintable():
        raise NotProven("the ID token has no subject that could be one")
    audience = claims["aud"]
    if claims.get("azp", provider.client_id) != provider.client_id or (
        isinstance(audience, list) and len(audience) > 1 and "azp" not in claims
    ):
        raise NotProven("the ID token was issued to another client")
    return claims


def _keys(address: str, *, anew_s: float = METADATA_S) -> KeySet:
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set(_kept(address, for_s=anew_s))  # type: ignore[arg-type]  # whatever the provider said
    except (JoseError, KeyError, TypeError, ValueError) as error:
        _said.pop(address, None)
        raise NotProven("the provider's keys cannot be read") from error


def _more(provider: Provider, metadata: dict[str, Any], access_token: object, claims: dict[str, Any]) -> dict[str, Any]:
    """What the provider tells beside the ID token, where it tells such things: many tell groups there alone."""
    if not isinstance(access_token, str) or not access_token.isascii() or "userinfo_endpoint" not in metadata:
        return {}
    bearer = {"Authorization": f"Bearer {access_token}"}
    found = _ask("GET", _address(provider, metadata, "userinfo_endpoint"), headers=bearer)
    if found.get("sub") != claims["sub"]:
        raise NotProven("the user info is of another person")
    found.pop("amr", None)  # how somebody proved who he is, the ID token alone tells
    return found


def _ask(method: str, address: str, **how: Any) -> dict[str, Any]:
    """A JSON object. Nothing of what was sent is in an error."""
    import httpx

    if not _turns.acquire(blocking=False):
        raise ProviderAway("as many logins wait for it as may")
    try:
        headers = {**how.pop("headers", {}), "Accept-Encoding": "identity"}
        with (
            httpx.Client(timeout=PATIENCE_S) as client,
            client.stream(method, address, headers=headers, **how) as response,
        ):
            content, until = b"", time.monotonic() + PATIENCE_S
            for part in response.iter_raw():  # packed, a few bytes would be a gigabyte before they are counted
                content += part
                if len(content) > MOST_BYTES:
                    raise NotProven("an answer of the provider is too long")
                if time.monotonic() > until:
                    raise ProviderAway("an answer does not end")
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderAway(type(error).__name__) from error
    finally:
        _turns.release()
    if status >= 500 or status == 429:
        raise ProviderAway(f"HTTP {status}")
    if status != 200:
        raise NotProven(f"the provider answered with HTTP {status}")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotProven("an answer of the provider is no JSON") from error
    if not isinstance(found, dict):
        raise NotProven("an answer of the provider is no JSON object")
    return found
