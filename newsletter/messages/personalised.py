"""Personalises a message for each recipient within microseconds.

The message is built once for a placeholder recipient and cut at the placeholder's address,
Message-ID, date and link. A personalised message is these pieces with the recipient's values
in between.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.utils import format_datetime

from newsletter.messages import mime
from newsletter.messages.dkim import Signer
from newsletter.messages.mime import Recipient, Sender
from newsletter.messages.slots import cut, fill
from newsletter.messages.tokens import TOKEN_LENGTH
from newsletter.models import Rendered


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


class MessageTemplate:
    """A message built once for many recipients.

    Args:
        make: builds the whole message for a recipient and a date.
        links: URL of the unsubscribe links, with `{}` for the token; empty for none.
        encode: converts the whole message to the form its transport takes.
        signer: signs each message; `None` if they are not signed.
    """

    def __init__(
        self,
        make: Callable[[Recipient, datetime], bytes],
        links: str,
        encode: Callable[[bytes], bytes],
        signer: Signer | None = None,
    ) -> None:
        placeholder = RecipientFields(
            to=f"{_nonce()}@{mime.NOWHERE}",
            message_id=f"{_nonce()}@{mime.NOWHERE}",
            token=_nonce(TOKEN_LENGTH),
        )
        name, _, domain = placeholder.to.partition("@")
        link = links.format(placeholder.token) if links else ""
        at = _moment()
        data = make(Recipient(Address("", name, domain), placeholder.message_id, link), at)
        values = {
            "to": placeholder.to,
            "message_id": placeholder.message_id,
            "date": format_datetime(at),
            "token": placeholder.token,
        }
        self._encode = encode
        self._parts = cut(encode(data), values)
        self._signature = signer.template(data, values) if signer else None

    def pieces(self, copy: RecipientFields, at: datetime) -> list[bytes]:
        """Returns the message to a recipient; long pieces are the same objects in all messages."""
        values = {
            "to": copy.to.encode(),
            "message_id": copy.message_id.encode(),
            "date": format_datetime(at.astimezone(UTC)).encode(),
            "token": copy.token.encode(),
        }
        pieces = fill(self._parts, values)
        if self._signature:
            pieces.insert(0, self._encode(self._signature.headers(values, at)))
        return pieces


def edition_template(
    rendered: Rendered,
    key: str,
    sender: Sender,
    base_url: str,
    encode: Callable[[bytes], bytes],
    signer: Signer | None = None,
) -> MessageTemplate:
    """Returns the message template of one part of an edition."""

    def make(recipient: Recipient, at: datetime) -> bytes:
        return mime.build(rendered, sender, recipient, at, key)

    return MessageTemplate(make, unsubscribe_links(base_url), encode, signer)


def notice_template(
    subject: str,
    text: str,
    sender: Sender,
    encode: Callable[[bytes], bytes],
    signer: Signer | None = None,
) -> MessageTemplate:
    """Returns the message template of a notice."""

    def make(recipient: Recipient, at: datetime) -> bytes:
        return mime.notice(subject, text, sender, recipient, at)

    return MessageTemplate(make, "", encode, signer)


def unsubscribe_links(base_url: str) -> str:
    """Returns the URL of unsubscribe links, with `{}` for the token; empty without web pages."""
    return base_url.replace("{", "{{").replace("}", "}}") + "/unsubscribe/{}" if base_url else ""


def _nonce(length: int = 32) -> str:
    """Returns letters and digits that occur nowhere else; quoted-printable keeps them as is."""
    return secrets.token_hex(length)[:length]


def _moment() -> datetime:
    """Returns a date that occurs nowhere else and is as long as any other when written."""
    return datetime.fromtimestamp(secrets.randbelow(1 << 32), UTC)
