"""Editions in a database, and the personalised messages made from them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from pathlib import Path

from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.editions.build import Edition, EditionBuilder
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.messages.mime import Sender
from newsletter.models import UNSUBSCRIBE, Entry, Rendered
from newsletter.storage import editions, notices, outbox
from newsletter.storage.database import Database
from newsletter.storage.outbox import QueuedDelivery
from newsletter.subscribers.address import normal_form, parse_address
from newsletter.transports.base import OutgoingMessage, Settings
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings
from tests.support.messages import TO_ONE

AT = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

WEB = "https://papers.example.org"

KEY = "0123456789abcdef" * 2

LINK_KEY = b"l" * 32

SENDER = Sender(
    "Daily Papers", Address("Daily Papers", "papers", "example.org"), owner="keeper@example.org"
)

ENCODED = {
    kind: make(Settings(smtp=SmtpSettings("127.0.0.1", 25, "none"), folder=Path("mail"))).encoded
    for kind, make in TRANSPORTS.items()
}
"""How each transport encodes a whole mail: unchanged, dot-stuffed, or with LF line ends."""


def rendered(subject: str = "Lamps", html: str = "", text: str = "") -> Rendered:
    """Returns a rendered edition with an unsubscribe link in both parts."""
    return Rendered(subject, f'{html}<a href="{UNSUBSCRIBE}">Leave</a>\n', f"{text}{UNSUBSCRIBE}\n")


@functools.cache
def renderer() -> Renderer:
    """Returns a shared renderer, because compiling a theme is slow."""
    return Renderer(ThemeSettings())


def edition_of(log: Sequence[Entry], base_url: str) -> Edition:
    """Returns the edition of these entries in the default theme."""
    return EditionBuilder(renderer(), ThemeSettings(), 12, base_url).build(log)


class MessageFactory:
    """Editions in a database, and personalised messages from them.

    Args:
        origin: the sender.
        kind: the transport for which messages are encoded.
    """

    def __init__(self, database: Database, origin: Origin, kind: str = "eml") -> None:
        self.database = database
        self.origin = origin
        self.personaliser = Personaliser(database, origin, ENCODED[kind])

    def edition(self, *parts: Rendered, key: str = KEY) -> int:
        """Freezes an edition. Returns its id."""
        with self.database.write() as tx:
            return editions.freeze(tx, key, [1], "en", "default", parts, AT).id

    def notice(self, kind: str, address: str, subject: str, text: str) -> QueuedDelivery:
        """Queues a notice. Returns its delivery."""
        with self.database.write() as tx:
            number = notices.add(tx, kind, address, normal_form(address), subject, text, AT)
            (waiting,) = [one for one in outbox.waiting(tx, AT, 10**6) if one.id == number]
        return waiting

    def message(self, waiting: QueuedDelivery, at: datetime = AT) -> OutgoingMessage:
        """Returns the message of a delivery."""
        return self.personaliser.message(waiting, parse_address(waiting.address), at)

    def mail(self, waiting: QueuedDelivery, at: datetime = AT) -> bytes:
        """Returns the whole message as bytes."""
        return b"".join(self.message(waiting, at).pieces)


def delivery(
    edition: int, subscriber: int = 1, address: str = "ana@example.net", part: int = 1, id: int = 0
) -> QueuedDelivery:
    """Returns a waiting delivery."""
    domain = address.rpartition("@")[2]
    number = id or 10 * subscriber + part
    return QueuedDelivery(number, edition, part, subscriber, 0, address, domain, 0, None)


def origin(
    base_url: str = WEB, *, reply_to: bool = False, bounces: bool = False, own_key: bool = False
) -> Origin:
    """Returns the sender as configured."""
    by = replace(
        SENDER,
        archive=f"{base_url}/archive" if base_url else "",
        reply_to=Address("Küster", "kuester", "example.org") if reply_to else None,
    )
    bounce_domain = "bounces.example.org" if bounces else ""
    return Origin(by, base_url, bounce_domain, LINK_KEY if own_key else None)


def names(base_url: str, *, reply_to: bool) -> list[str]:
    """Returns the names of all header fields of an edition."""
    found = [*TO_ONE, *["list-archive"] * bool(base_url), *["reply-to"] * reply_to]
    return sorted(name for name in found if base_url or name != "list-unsubscribe-post")


NOTICE = [
    "auto-submitted", "content-transfer-encoding", "content-type", "date", "from", "message-id",
    "mime-version", "subject", "to",
]  # fmt: skip
"""The names of all header fields of a notice."""
