"""Both ends prove that they know the secret, and nobody else can."""

import hashlib
import hmac
from typing import Any

import pytest

from terminals import wire
from terminals.wire import proof

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
FIELDS: dict[str, Any] = {
    "server_nonce": "a" * 64, "client_nonce": "b" * 64, "client": "t1", "epoch": "0123456789abcdef", "first": 1,
    "last": 0, "source": "REPLAY", "register_market": "CME", "channel_binding": "",
}  # fmt: skip


def test_the_text_that_is_signed_has_one_field_a_line():
    message = wire.auth_message(**FIELDS)

    assert message == ("NARU-1\n" + "a" * 64 + "\n" + "b" * 64 + "\nt1\n0123456789abcdef\n1\n0\nREPLAY\nCME\n").encode()


def test_the_proofs_are_what_the_definition_gives():
    secret, message = bytes(range(32)), wire.auth_message(**FIELDS)
    client_key = hmac.new(secret, b"Naru Client Key", hashlib.sha256).digest()
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.new(secret, b"Naru Server Key", hashlib.sha256).digest()
    signature = hmac.new(stored_key, message, hashlib.sha256).digest()

    assert wire.verifier(SECRET) == wire.Verifier(stored_key, server_key)
    assert wire.client_proof(SECRET, message) == bytes(a ^ b for a, b in zip(client_key, signature, strict=True)).hex()
    assert wire.server_proof(server_key, message) == hmac.new(server_key, message, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("name", "value"),
    [("server_nonce", "c" * 64), ("client_nonce", "c" * 64), ("client", "t2"), ("epoch", "f" * 16), ("first", 2),
     ("last", 1), ("source", "KIS"), ("register_market", None), ("channel_binding", "ab")],
)  # fmt: skip
def test_a_proof_is_good_for_exactly_what_it_signed(name, value):
    verifier, offered = wire.verifier(SECRET), wire.client_proof(SECRET, wire.auth_message(**FIELDS))
    answer = wire.server_proof(verifier.server_key, wire.auth_message(**FIELDS))

    other = wire.auth_message(**{**FIELDS, name: value})

    assert wire.check_client(verifier.stored_key, wire.auth_message(**FIELDS), offered)
    assert not wire.check_client(verifier.stored_key, other, offered)
    assert wire.check_server(SECRET, wire.auth_message(**FIELDS), answer)
    assert not wire.check_server(SECRET, other, answer)


@pytest.mark.parametrize("offered", ["", "zz", "00" * 31, "00" * 33, "é" * 32])
def test_a_proof_that_is_none_is_only_wrong(offered):
    assert not wire.check_client(wire.verifier(SECRET).stored_key, b"", offered)
    assert not wire.check_server(SECRET, b"", offered)


def test_a_stolen_verifier_does_not_open_the_door():
    verifier, message = wire.verifier(SECRET), wire.auth_message(**FIELDS)
    forged = hmac.new(verifier.stored_key, message, hashlib.sha256).hexdigest()

    assert not wire.check_client(verifier.stored_key, message, forged)


def test_new_secrets_differ_and_have_43_characters():
    secrets = {wire.new_secret() for _ in range(20)}

    assert len(secrets) == 20
    assert all(len(one) == 43 and len(proof.secret_bytes(one)) == 32 for one in secrets)


@pytest.mark.parametrize("secret", ["", "short", "*" * 43, "ü" * 43, SECRET + "AAAA"])
def test_a_text_that_is_no_key_is_refused_without_repeating_it(secret):
    with pytest.raises(ValueError, match="a key is") as caught:
        wire.verifier(secret)
    assert not secret or secret not in str(caught.value)


def test_a_key_may_carry_padding_and_a_line_end():
    assert proof.secret_bytes(SECRET + "=\n") == bytes(range(32))
