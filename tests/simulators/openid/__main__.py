"""`python -m tests.simulators.openid`: an OpenID Connect provider as a process of its own, whose people need no
password. Tells its issuer as a line of JSON, then takes orders from its standard input, a line each: `claims JSON` (of
whoever logs in from now on; a null takes one away), `fault NAME` (what it does wrong from now on, `none` for nothing),
`account` (what it was asked), `logout JSON` (a logout token with these claims beside the usual ones; a null takes one
away), `stop`.

What a client has to prove it asks for as a strict provider does: a registered client, PKCE by S256, a code once, the
secret as basic authentication, the same redirect URI.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import sys
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import zstandard
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.simulators.kis.http_server import HttpServer, Request, Response

CLIENT_ID, CLIENT_SECRET = "naru", "secret: of a test/"
FAULTS = (
    "none", "wrong signature", "other key", "no signature", "secret as key", "wrong nonce", "no nonce",
    "wrong audience", "second audience", "wrong issuer", "expired", "no ID token", "garbage", "no JSON",
    "packed", "userinfo of another", "away", "other name", "refuses", "no logout",
)  # fmt: skip


class Provider:
    def __init__(self) -> None:
        self.key, self.stranger = (RSAKey.generate_key(2048, {"kid": "one"}) for _ in range(2))
        self.claims: dict[str, Any] = {}
        self.fault = "none"
        self.asked: list[str] = []
        self.issuer = ""
        self._codes: dict[str, dict[str, str]] = {}

    async def answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        if self.fault == "away":
            return _json({"error": "temporarily_unavailable"}, 503)
        match request.path:
            case "/.well-known/openid-configuration":
                answer = _json(self._metadata())
                return Response(200, answer.body, {**answer.headers, "date": formatdate(usegmt=True)})
            case "/authorize":
                return self._authorize(request.query)
            case "/token":
                return self._token(request)
            case "/logout":
                return self._logout(request.query)
            case "/keys":
                key = self.key if self.fault != "other key" else self.stranger
                return _json({"keys": [{**key.as_dict(private=False), "use": "sig", "alg": "RS256"}]})
            case "/userinfo":
                subject = "another" if self.fault == "userinfo of another" else self._all("")["sub"]
                return _json({"sub": subject, "groups": self.claims.get("groups_of_userinfo", [])})
        return _json({"error": "not found"}, 404)

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "issuer": "https://other.example.com" if self.fault == "other name" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys", "id_token_signing_alg_values_supported": ["RS256"],
        }  # fmt: skip
        if self.fault != "no logout":
            found["end_session_endpoint"] = f"{self.issuer}/logout"
            found["backchannel_logout_supported"] = True
        if "groups_of_userinfo" in self.claims or self.fault == "userinfo of another":
            found["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        return found

    def _authorize(self, query: Any) -> Response:
        right = query.get("client_id") == CLIENT_ID and query.get("code_challenge_method") == "S256"
        if not right or query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
            return _json({"error": "invalid_request"}, 400)
        if self.fault == "refuses":
            answer = {"error": "access_denied", "state": query["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = dict(query)
            answer = {"code": code, "state": query["state"], "iss": self.issuer}
        return Response(302, b"", {"location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    def _logout(self, query: Any) -> Response:
        """Only of whom a token of ours names, and back to where the client is."""
        claims = jwt.decode(query["id_token_hint"], self.key).claims
        if query.get("client_id") != CLIENT_ID or claims["aud"] != CLIENT_ID:
            return _json({"error": "invalid_request"}, 400)
        return Response(302, b"", {"location": query["post_logout_redirect_uri"]})

    def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        client, _, secret = base64.b64decode(given).decode().partition(":")
        begun = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (unquote(client), unquote(secret)) != (CLIENT_ID, CLIENT_SECRET):
            return _json({"error": "invalid_client"}, 401)
        if begun is None or challenge.decode().rstrip("=") != begun["code_challenge"]:
            return _json({"error": "invalid_grant"}, 400)
        if form["redirect_uri"] != begun["redirect_uri"]:
            return _json({"error": "invalid_grant"}, 400)
        if self.fault == "no JSON":
            return Response(200, b"<html>", {"content-type": "text/html"})
        if self.fault == "packed":
            many = zstandard.ZstdCompressor().compress(bytes(64 << 20))
            return Response(200, many, {"content-type": "application/json", "content-encoding": "zstd"})
        found = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300}
        token = self._id_token(begun["nonce"])
        return _json(found if token is None else found | {"id_token": token})

    def _id_token(self, nonce: str) -> str | None:
        claims = self._all(nonce)
        match self.fault:
            case "no ID token":
                return None
            case "garbage":
                return "a.b.c"
            case "no signature":
                parts = [json.dumps(part).encode() for part in ({"alg": "none", "kid": "one"}, claims)]
                return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
            case "secret as key":
                key = OctKey.import_key(CLIENT_SECRET)
                return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key)
            case "wrong signature":
                return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.stranger)
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def logout_token(self, given: dict[str, Any]) -> str:
        """Back-Channel Logout 1.0, section 2.4."""
        now = int(time.time())
        known = {
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(8),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }  # fmt: skip
        claims = {name: value for name, value in (known | given).items() if value is not None and name != "typ"}
        header = {"alg": "RS256", "kid": "one", "typ": given.get("typ", "logout+jwt")}
        return jwt.encode(header, claims, self.stranger if self.fault == "wrong signature" else self.key)

    def _all(self, nonce: str) -> dict[str, Any]:
        now = int(time.time())
        known: dict[str, Any] = {
            "iss": self.issuer, "sub": "person-1", "aud": CLIENT_ID, "iat": now, "exp": now + 3600, "nonce": nonce,
            "preferred_username": "kim",
        }  # fmt: skip
        wrong: dict[str, dict[str, Any]] = {
            "wrong nonce": {"nonce": "another"}, "no nonce": {"nonce": None}, "wrong audience": {"aud": "other"},
            "second audience": {"aud": [CLIENT_ID, "other"]}, "wrong issuer": {"iss": "https://other.example.com"},
            "expired": {"iat": now - 7200, "exp": now - 3600},
        }  # fmt: skip
        given = known | self.claims | wrong.get(self.fault, {})
        return {name: value for name, value in given.items() if value is not None and name != "groups_of_userinfo"}


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(status, json.dumps(content).encode(), {"content-type": "application/json"})


async def _run() -> None:
    provider = Provider()
    server = HttpServer(provider.answer)
    provider.issuer = f"http://127.0.0.1:{await server.start()}"
    _say({"issuer": provider.issuer})
    while True:
        line = (await asyncio.to_thread(sys.stdin.readline)).strip()
        order, _, argument = line.partition(" ")
        match order:
            case "claims":
                provider.claims = json.loads(argument)
                _say({"claims": provider.claims})
            case "fault" if argument in FAULTS:
                provider.fault = argument
                _say({"fault": argument})
            case "logout":
                _say({"logout_token": provider.logout_token(json.loads(argument))})
            case "account":
                _say({"asked": provider.asked})
                provider.asked = []
            case "stop" | "":
                break
            case _:
                _say({"error": f"{line} is no order"})
    await server.stop()


def _say(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run())
