"""Personalises a message for each recipient within microseconds.

The message is built once for a placeholder recipient and cut at the placeholder's address,
Message-ID, date and link. A personalised message is these pieces with the recipient's values
in between.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.utils import format_datetime

from newsletter.messages import mime
from newsletter.messages.mime import Recipient, Sender
from newsletter.messages.tokens import TOKEN_LENGTH
from newsletter.models import Rendered

_BREAK = "(?:=\r?\n)?"  # an optional soft line break of quoted-printable


@dataclass(frozen=True, slots=True)
class RecipientFields:
    """The values that differ between recipients.

    Attributes:
        to: the address, with its domain in ASCII.
        message_id: without angle brackets.
        token: token of the unsubscribe link; `TOKEN_LENGTH` characters.
    """

    to: str
    message_id: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class _Slot:
    """The place of a recipient's value: which field, and which part of it."""

    field: str
    first: int = 0
    last: int | None = None


class MessageTemplate:
    """A message built once for many recipients.

    Args:
        make: builds the whole message for a recipient and a date.
        links: URL of the unsubscribe links, with `{}` for the token; empty for none.
        encode: converts the whole message to the form its transport takes.
    """

    def __init__(
        self,
        make: Callable[[Recipient, datetime], bytes],
        links: str,
        encode: Callable[[bytes], bytes],
    ) -> None:
        placeholder = RecipientFields(
            to=f"{_nonce()}@{mime.NOWHERE}",
            message_id=f"{_nonce()}@{mime.NOWHERE}",
            token=_nonce(TOKEN_LENGTH),
        )
        name, _, domain = placeholder.to.partition("@")
        link = links.format(placeholder.token) if links else ""
        at = _moment()
        data = encode(make(Recipient(Address("", name, domain), placeholder.message_id, link), at))
        self._parts = _cut(
            data,
            {
                "to": placeholder.to,
                "message_id": placeholder.message_id,
                "date": format_datetime(at),
                "token": placeholder.token,
            },
        )

    def pieces(self, copy: RecipientFields, at: datetime) -> list[bytes]:
        """Returns the message to a recipient; long pieces are the same objects in all messages."""
        own = {
            "to": copy.to.encode(),
            "message_id": copy.message_id.encode(),
            "date": format_datetime(at.astimezone(UTC)).encode(),
            "token": copy.token.encode(),
        }
        return [
            part if isinstance(part, bytes) else own[part.field][part.first : part.last]
            for part in self._parts
        ]


def edition_template(
    rendered: Rendered,
    key: str,
    sender: Sender,
    base_url: str,
    encode: Callable[[bytes], bytes],
) -> MessageTemplate:
    """Returns the message template of one part of an edition."""

    def make(recipient: Recipient, at: datetime) -> bytes:
        return mime.build(rendered, sender, recipient, at, key)

    return MessageTemplate(make, unsubscribe_links(base_url), encode)


def notice_template(
    subject: str, text: str, sender: Sender, encode: Callable[[bytes], bytes]
) -> MessageTemplate:
    """Returns the message template of a notice."""

    def make(recipient: Recipient, at: datetime) -> bytes:
        return mime.notice(subject, text, sender, recipient, at)

    return MessageTemplate(make, "", encode)


def unsubscribe_links(base_url: str) -> str:
    """Returns the URL of unsubscribe links, with `{}` for the token; empty without web pages."""
    return base_url.replace("{", "{{").replace("}", "}}") + "/unsubscribe/{}" if base_url else ""


def _nonce(length: int = 32) -> str:
    """Returns letters and digits that occur nowhere else; quoted-printable keeps them as is."""
    return secrets.token_hex(length)[:length]


def _moment() -> datetime:
    """Returns a date that occurs nowhere else and is as long as any other when written."""
    return datetime.fromtimestamp(secrets.randbelow(1 << 32), UTC)


def _cut(data: bytes, values: dict[str, str]) -> Sequence[bytes | _Slot]:
    """Cuts the message at these values, each of which may contain one soft line break."""
    patterns = (
        f"(?P<{field}>{_BREAK.join(map(re.escape, value))})"
        for field, value in values.items()
        if value
    )
    finder = re.compile("|".join(patterns).encode())
    parts: list[bytes | _Slot] = []
    end = 0
    for match in finder.finditer(data):
        parts.append(data[end : match.start()])
        parts += _slots(str(match.lastgroup), match[0])
        end = match.end()
    parts.append(data[end:])
    return parts


def _slots(field: str, found: bytes) -> Iterable[bytes | _Slot]:
    """Yields the slots of a value found in the message: one, or two around a soft line break."""
    halves = re.split(rb"(=\r?\n)", found)
    first = 0
    for half in halves:
        if half.startswith(b"="):
            yield half
        else:
            yield _Slot(field, first, first + len(half) if len(halves) > 1 else None)
            first += len(half)
