"""Who is at the other end: a SCRAM-like mutual proof over both nonces. The secret never crosses the wire.

The server keeps only what `verifier` gives; it can check a client with that, but not pretend to be one.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from terminals.wire.language import gettext as _

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server stores of a secret: enough to check it, too little to use it."""

    stored_key: bytes
    server_key: bytes


def new_secret() -> str:
    """32 random bytes as 43 characters of base64url without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def new_nonce() -> str:
    """32 random bytes as 64 hexadecimal characters."""
    return secrets.token_hex(32)


def secret_bytes(secret: str) -> bytes:
    """The 32 bytes a written secret stands for; ValueError (without the secret in it) if it is none."""
    try:
        raw = base64.b64decode(secret.strip().rstrip("=").encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(_("a key is 43 characters of base64url; this text is not")) from None
    if len(raw) != _SECRET_BYTES:
        told = _("a key is 32 bytes (43 characters of base64url); this one has {number} bytes")
        raise ValueError(told.format(number=len(raw)))
    return raw


def verifier(secret: str) -> Verifier:
    """What the server stores for this secret."""
    raw = secret_bytes(secret)
    return Verifier(hashlib.sha256(_client_key(raw)).digest(), _hmac(raw, b"Naru Server Key"))


def auth_message(
    *,
    server_nonce: str,
    client_nonce: str,
    client: str,
    epoch: str,
    first: int,
    last: int,
    source: str,
    register_market: str | None = None,
    channel_binding: str = "",
) -> bytes:
    """The text both proofs sign: every field of HELLO that decides something, and the channel it came through."""
    fields = ["NARU-1", server_nonce, client_nonce, client, epoch, str(first), str(last), source]
    return "\n".join([*fields, register_market or "", channel_binding]).encode()


def certificate_binding(der: bytes) -> str:
    """The channel binding of a TLS connection: SHA-256 of the server's certificate in DER, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def client_proof(secret: str, message: bytes) -> str:
    """What a client puts into HELLO."""
    key = _client_key(secret_bytes(secret))
    return _xor(key, _hmac(hashlib.sha256(key).digest(), message)).hex()


def server_proof(server_key: bytes, message: bytes) -> str:
    """What a server puts into WELCOME."""
    return _hmac(server_key, message).hex()


def check_client(stored_key: bytes, message: bytes, proof: str) -> bool:
    """Whether the client knows the secret. Takes equally long for every wrong proof of the right length."""
    try:
        offered = bytes.fromhex(proof)
    except ValueError:
        return False
    if len(offered) != 32:
        return False
    key = _xor(offered, _hmac(stored_key, message))
    return hmac.compare_digest(hashlib.sha256(key).digest(), stored_key)


def check_server(secret: str, message: bytes, proof: str) -> bool:
    """Whether the server knows this client's verifier."""
    return hmac.compare_digest(server_proof(verifier(secret).server_key, message).encode(), proof.encode())


def _client_key(raw: bytes) -> bytes:
    return _hmac(raw, b"Naru Client Key")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
