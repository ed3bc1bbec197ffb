"""Names that only we can make: of a person in a link, of a copy, of a delivery. Pure.

A token is a number and a keyed hash of it and of what it is for, so that one made for a
purpose is worth nothing for another. It has no address in it and always has the same
length. A plain one never expires; a timed one also says until when it holds.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b

UNSUBSCRIBE = b"unsubscribe"
SETTINGS = b"settings"
CONFIRM = b"confirm"
CHANGE = b"change"
FORM = b"form"
COPY = b"copy"
BOUNCE = b"bounce"
SUPPRESSION = b"suppression"

_NUMBER = 6  # bytes
_PROOF = 15  # bytes
_UNTIL = 5  # bytes; seconds since 1970
_TIMED_PROOF = 16  # bytes
TOKEN_LENGTH = (_NUMBER + _PROOF) * 4 // 3
"""Characters of a token."""

# Stricter than the decoder, which also takes `+` and `/`: each token is written in one way.
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")
_TIMED = re.compile(rf"[A-Za-z0-9_-]{{{(_NUMBER + _UNTIL + _TIMED_PROOF) * 4 // 3}}}")


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


def timed(key: bytes, purpose: bytes, number: int, until: datetime) -> str:
    """The number as a token for this purpose that holds until then, to the second."""
    plain = number.to_bytes(_NUMBER, "big") + int(until.timestamp()).to_bytes(_UNTIL, "big")
    proof = _proof(key, purpose, plain, _TIMED_PROOF)
    return urlsafe_b64encode(plain + proof).decode("ascii")


def timed_number_of(keys: Iterable[bytes], purpose: bytes, text: str, now: datetime) -> int | None:
    """The number in a timed token that one of these keys made for this purpose and that holds."""
    if not _TIMED.fullmatch(text):
        return None
    data = urlsafe_b64decode(text)
    plain, proof = data[:-_TIMED_PROOF], data[-_TIMED_PROOF:]
    found = [hmac.compare_digest(_proof(key, purpose, plain, _TIMED_PROOF), proof) for key in keys]
    until = int.from_bytes(plain[_NUMBER:], "big")
    return (
        int.from_bytes(plain[:_NUMBER], "big") if any(found) and now.timestamp() < until else None
    )


def label(key: bytes, purpose: bytes, *numbers: int, size: int = 10) -> str:
    """A name for these numbers that nobody else can make or read; lower case and digits.

    Args:
        size: bytes of it; a multiple of five.
    """
    plain = b"".join(number.to_bytes(8, "big") for number in numbers)
    return b32encode(_proof(key, purpose, plain, size)).decode("ascii").lower()


def suppression_hash(key: bytes, text: str) -> bytes:
    """What stands for an address that must not be written to, so that it need not be kept."""
    return _proof(key, SUPPRESSION, text.encode(), 32)


def _proof(key: bytes, purpose: bytes, data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size, key=key[:64], person=purpose).digest()
