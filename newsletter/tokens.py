"""Names that only we can make: of a person in a link, of a copy, of a delivery. Pure.

A token is a number and a keyed hash of it and of what it is for, so that one made for a
purpose is worth nothing for another. It has no address in it, never expires, and always
has the same length.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b

UNSUBSCRIBE = b"unsubscribe"
COPY = b"copy"
BOUNCE = b"bounce"
SUPPRESSION = b"suppression"

_NUMBER = 6  # bytes
_PROOF = 15  # bytes
TOKEN_LENGTH = (_NUMBER + _PROOF) * 4 // 3
"""Characters of a token."""

# Stricter than the decoder, which also takes `+` and `/`: each token is written in one way.
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")


def token(key: bytes, purpose: bytes, number: int) -> str:
    """The number as a token for this purpose: letters, digits, `-` and `_`."""
    plain = number.to_bytes(_NUMBER, "big")
    return urlsafe_b64encode(plain + _proof(key, purpose, plain, _PROOF)).decode("ascii")


def number_of(keys: Iterable[bytes], purpose: bytes, text: str) -> int | None:
    """The number in a token that one of these keys made for this purpose; else `None`."""
    if not _TOKEN.fullmatch(text):
        return None
    data = urlsafe_b64decode(text)
    plain, proof = data[:_NUMBER], data[_NUMBER:]
    # All keys are tried, so that the time says nothing about which one fits.
    found = [hmac.compare_digest(_proof(key, purpose, plain, _PROOF), proof) for key in keys]
    return int.from_bytes(plain, "big") if any(found) else None


def label(key: bytes, purpose: bytes, *numbers: int, size: int = 10) -> str:
    """A name for these numbers that nobody else can make or read; lower case and digits.

    Args:
        size: bytes of it; a multiple of five.
    """
    plain = b"".join(number.to_bytes(8, "big") for number in numbers)
    return b32encode(_proof(key, purpose, plain, size)).decode("ascii").lower()


def mark(key: bytes, text: str) -> bytes:
    """What stands for an address that must not be written to, so that it need not be kept."""
    return _proof(key, SUPPRESSION, text.encode(), 32)


def _proof(key: bytes, purpose: bytes, data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size, key=key[:64], person=purpose).digest()
