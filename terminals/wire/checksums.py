"""Checksums of many batches as text: unsigned 64-bit little-endian numbers one after the other, in base64."""

import base64
import binascii
import struct
from collections.abc import Sequence


def pack_checksums(numbers: Sequence[int]) -> str:
    """The text; the inverse of `unpack_checksums`."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}Q", *numbers)).decode("ascii")


def unpack_checksums(text: str) -> list[int]:
    """The numbers. ValueError if the text is none of ours."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
        return list(struct.unpack(f"<{len(data) // 8}Q", data))
    except (UnicodeEncodeError, binascii.Error, struct.error):
        raise ValueError("must be base64 of 8 bytes for each batch") from None
