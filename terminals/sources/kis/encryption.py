"""Payloads that KIS encrypts: AES-256-CBC with PKCS#7, in base64; key and iv come with the answer to a registration."""

import base64
import binascii

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class CannotDecrypt(ValueError):
    """This payload is not what that key and iv made."""


def decrypt(payload: str, *, key: str, iv: str) -> str:
    """The text in `payload`. `key` has 32 characters and `iv` 16, used as their bytes. CannotDecrypt."""
    try:
        data = base64.b64decode(payload, validate=True)
        decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return (unpadder.update(padded) + unpadder.finalize()).decode("utf-8")
    except (ValueError, binascii.Error) as error:
        raise CannotDecrypt(f"{len(payload)} characters: {error}") from None
