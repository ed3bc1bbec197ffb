"""Unforgeable tokens and labels: for subscribers in links, messages and deliveries. Pure.

A token is a number with a keyed hash of it and of its purpose, so that a token for one purpose
is not valid for another. It contains no address and always has the same length. A plain token
never expires. A timed one contains its expiry time, and its hash may also cover a value that the
token does not contain; it is valid only while that value does not change.
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
"""Length of a plain token, in characters."""

# Stricter than the decoder, which also accepts `+` and `/`: each token has only one spelling.
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")
_TIMED = re.compile(rf"[A-Za-z0-9_-]{{{(_NUMBER + _UNTIL + _TIMED_PROOF) * 4 // 3}}}")


def token(key: bytes, purpose: bytes, number: int) -> str:
    """Returns the number as a token for this purpose: letters, digits, `-` and `_`."""
    plain = number.to_bytes(_NUMBER, "big")
    return urlsafe_b64encode(plain + _proof(key, purpose, plain, _PROOF)).decode("ascii")


def number_of(keys: Iterable[bytes], purpose: bytes, text: str) -> int | None:
    """Returns the number in a token made with one of these keys for this purpose, or `None`."""
    if not _TOKEN.fullmatch(text):
        return None
    data = urlsafe_b64decode(text)
    plain, proof = data[:_NUMBER], data[_NUMBER:]
    # All keys are tried, so that timing does not reveal which one matches.
    found = [hmac.compare_digest(_proof(key, purpose, plain, _PROOF), proof) for key in keys]
    return int.from_bytes(plain, "big") if any(found) else None


def timed(key: bytes, purpose: bytes, number: int, until: datetime, bound: bytes = b"") -> str:
    """Returns the number as a token for this purpose, valid until `until`, to the second.

    Args:
        bound: a further value that its hash covers.
    """
    plain = number.to_bytes(_NUMBER, "big") + int(until.timestamp()).to_bytes(_UNTIL, "big")
    proof = _proof(key, purpose, plain + bound, _TIMED_PROOF)
    return urlsafe_b64encode(plain + proof).decode("ascii")


def timed_number_of(
    keys: Iterable[bytes], purpose: bytes, text: str, now: datetime, bound: bytes = b""
) -> int | None:
    """Returns the number in a timed token as `number_of` does, or `None` if it has expired.

    Args:
        bound: the further value that its hash must cover.
    """
    if not _TIMED.fullmatch(text):
        return None
    data = urlsafe_b64decode(text)
    plain, proof = data[:-_TIMED_PROOF], data[-_TIMED_PROOF:]
    made = [_proof(key, purpose, plain + bound, _TIMED_PROOF) for key in keys]
    found = [hmac.compare_digest(one, proof) for one in made]
    until = int.from_bytes(plain[_NUMBER:], "big")
    return (
        int.from_bytes(plain[:_NUMBER], "big") if any(found) and now.timestamp() < until else None
    )


def unverified_number_of(text: str) -> int | None:
    """Returns the number in a text that looks like a timed token, without verifying it.

    Anyone can write such a text: use it only to look up the `bound` of `timed_number_of`.
    """
    if not _TIMED.fullmatch(text):
        return None
    return int.from_bytes(urlsafe_b64decode(text)[:_NUMBER], "big")


def label(key: bytes, purpose: bytes, *numbers: int, size: int = 10) -> str:
    """Returns a keyed hash of these numbers as lower-case letters and digits.

    It cannot be forged, and the numbers cannot be recovered from it.

    Args:
        size: length of the hash in bytes; a multiple of five.
    """
    plain = b"".join(number.to_bytes(8, "big") for number in numbers)
    return b32encode(_proof(key, purpose, plain, size)).decode("ascii").lower()


def suppression_hash(key: bytes, text: str) -> bytes:
    """Returns the suppression hash of an address, which is kept in place of the address."""
    return _proof(key, SUPPRESSION, text.encode(), 32)


def _proof(key: bytes, purpose: bytes, data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size, key=key[:64], person=purpose).digest()
