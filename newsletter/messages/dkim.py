"""Signs messages with DKIM (RFC 6376; Ed25519 as in RFC 8463), relaxed/relaxed. Pure.

The messages of one edition differ only in a few values. So the signed data is computed once and
cut at these values, and the body is hashed once up to the first of them. For each message, only
the rest of the body and the headers are hashed.

Another kind of signature is another `Key`: its tag `a=`, and a function that signs bytes.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from newsletter.messages.slots import Slot, cut, fill

RSA = "rsa-sha256"
ED25519 = "ed25519-sha256"

_TWICE = {
    b"from",
    b"to",
    b"reply-to",
    b"subject",
    b"date",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"mime-version",
    b"content-type",
}
"""Headers that are named once more than they occur, so that a second one breaks the signature."""
_COLUMNS = 72


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, and where its public key is published.

    Attributes:
        selector: the public key is at `<selector>._domainkey.<domain>`.
        algorithm: `RSA` or `ED25519`.
        sign: signs bytes, which it hashes itself.
    """

    selector: str
    algorithm: str
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the messages of a domain.

    Attributes:
        domain: the domain that takes responsibility for the mail, in ASCII.
        keys: each of them makes a signature of its own.
    """

    domain: str
    keys: tuple[Key, ...]

    def template(self, data: bytes, values: Mapping[str, str]) -> SignatureTemplate:
        """Prepares the signatures of all messages that differ from this one in some values.

        Args:
            data: a whole message with CRLF line ends, as receivers read it.
            values: the value of each such field in it.
        """
        return SignatureTemplate(self, data, values)


class SignatureTemplate:
    """Makes the signatures of messages that differ only in some values.

    Args:
        signer: the domain and its keys.
        data: one of the messages.
        values: the value of each field in it.
    """

    def __init__(self, signer: Signer, data: bytes, values: Mapping[str, str]) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        headers = [_relaxed(header) for header in _unfolded(head)]
        names = [header.partition(b":")[0] for header in headers]
        self._headers = cut(b"".join(header + b"\r\n" for header in headers), values)
        parts = cut(_relaxed_body(body), values)
        same = list(takewhile(lambda part: not isinstance(part, Slot), parts))
        self._rest = parts[len(same) :]
        self._hash = hashlib.sha256(b"".join(fill(same, {})))
        self._made = [(key, _unsigned(signer.domain, key, names)) for key in signer.keys]

    def headers(self, values: Mapping[str, bytes], at: datetime) -> bytes:
        """Returns the `DKIM-Signature` headers of a message, each with its line end.

        Args:
            values: the values of this message's fields.
            at: when it is signed.
        """
        hashed = self._hash.copy()
        for piece in fill(self._rest, values):
            hashed.update(piece)
        body_hash = b64encode(hashed.digest()).decode()
        signed = b"".join(fill(self._headers, values))
        return b"".join(
            _signature(key, unsigned.format(at=int(at.timestamp()), bh=body_hash), signed)
            for key, unsigned in self._made
        )


def _unsigned(domain: str, key: Key, names: list[bytes]) -> str:
    """Returns the header without its signature; `{at}` and `{bh}` are still to be filled in."""
    listed = [name.decode() for name in [*names, *(name for name in names if name in _TWICE)]]
    return (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed; d={domain};\r\n"
        f" s={key.selector}; t={{at}};\r\n"
        f" h={_wrapped(listed)};\r\n"
        f" bh={{bh}};\r\n"
        f" b="
    )


def _signature(key: Key, unsigned: str, signed: bytes) -> bytes:
    made = b64encode(key.sign(signed + _relaxed(_unfold(unsigned.encode())))).decode()
    lines = [made[start : start + _COLUMNS] for start in range(0, len(made), _COLUMNS)]
    return (unsigned + "\r\n ".join(lines) + "\r\n").encode()


def _wrapped(names: list[str]) -> str:
    """Joins names by colons, in lines of a header."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > _COLUMNS:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n  ".join(lines).removesuffix(":")


def _unfolded(head: bytes) -> list[bytes]:
    return _unfold(head).split(b"\r\n")


def _unfold(head: bytes) -> bytes:
    return re.sub(rb"\r\n(?=[ \t])", b"", head)


def _relaxed(header: bytes) -> bytes:
    """Returns an unfolded header in relaxed form (RFC 6376, 3.4.2), without its line end."""
    name, _, value = header.partition(b":")
    return name.strip().lower() + b":" + re.sub(rb"[ \t]+", b" ", value).strip()


def _relaxed_body(body: bytes) -> bytes:
    """Returns a body in relaxed form (RFC 6376, 3.4.4)."""
    lines = (re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n"))
    text = b"\r\n".join(lines).rstrip(b"\r\n")
    return text + b"\r\n" if text else b""
