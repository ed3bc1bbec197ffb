"""Builds the personalised message of a delivery, ready for its transport."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from newsletter.messages import tokens
from newsletter.messages.dkim import Signer
from newsletter.messages.mime import Sender
from newsletter.messages.personalised import (
    MessageTemplate,
    RecipientFields,
    edition_template,
    notice_template,
)
from newsletter.storage import editions, notices
from newsletter.storage.database import Database
from newsletter.storage.outbox import QueuedDelivery
from newsletter.subscribers.address import Address
from newsletter.transports.base import OutgoingMessage

_KEPT = 32
"""Message templates kept in memory, about 100 KB each."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender of a newsletter's mail, and the base of its links.

    Attributes:
        base_url: base URL of the web pages; empty if there are none.
        bounce_domain: domain, in ASCII, that receives bounces, with an address for each delivery;
            empty if bounces go to the sender's address.
        link_key: key that signs links; `None` for the database's own.
        notice_sender: the sender of notices; `None` if it is `sender`.
        signer: signs messages with DKIM; `None` if they are not signed here.
    """

    sender: Sender
    base_url: str = ""
    bounce_domain: str = ""
    link_key: bytes | None = None
    notice_sender: Sender | None = None
    signer: Signer | None = None

    @property
    def of_notices(self) -> Sender:
        """The sender of notices."""
        return self.notice_sender or self.sender


class Personaliser:
    """Builds personalised messages.

    Args:
        database: where editions and keys are stored.
        origin: the sender and the base of its links.
        encode: converts a whole message to the form its transport takes.
    """

    def __init__(
        self, database: Database, origin: Origin, encode: Callable[[bytes], bytes]
    ) -> None:
        self._database = database
        self._origin = origin
        self._encode = encode
        self._own_key = database.keys.own
        self._link_key = origin.link_key or database.keys.links
        self._templates: OrderedDict[tuple[int, int, int], tuple[str, str, MessageTemplate]] = (
            OrderedDict()
        )

    def message(self, waiting: QueuedDelivery, to: Address, at: datetime) -> OutgoingMessage:
        """Builds the message of a delivery to this address, dated `at`.

        Raises:
            RenderError: the message cannot be built.
        """
        key, domain, template = self._template(waiting)
        name = message_id_local(
            self._own_key, key, waiting.part, waiting.subscriber or waiting.notice
        )
        copy = RecipientFields(
            to=to.spec,
            message_id=f"{name}@{domain}",
            token=tokens.token(self._link_key, tokens.UNSUBSCRIBE, waiting.subscriber),
        )
        return OutgoingMessage(
            name=name,
            sender=self._envelope_sender(waiting),
            recipient=to.spec,
            pieces=template.pieces(copy, at),
        )

    def _envelope_sender(self, waiting: QueuedDelivery) -> str:
        if not self._origin.bounce_domain:
            sender = self._origin.of_notices if waiting.notice else self._origin.sender
            return f"{sender.address.username}@{sender.domain}"
        proof = tokens.label(self._own_key, tokens.BOUNCE, waiting.id, size=5)
        return f"bounce+{waiting.id}.{proof}@{self._origin.bounce_domain}"

    def _template(self, waiting: QueuedDelivery) -> tuple[str, str, MessageTemplate]:
        """Returns the edition's key or notice's kind, the Message-ID domain and the template."""
        which = (waiting.edition, waiting.part, waiting.notice)
        if which not in self._templates:
            self._templates[which] = self._made(waiting)
            if len(self._templates) > _KEPT:
                self._templates.popitem(last=False)
        self._templates.move_to_end(which)
        return self._templates[which]

    def _made(self, waiting: QueuedDelivery) -> tuple[str, str, MessageTemplate]:
        origin = self._origin
        with self._database.read() as tx:
            if waiting.notice:
                kind, subject, text = notices.content(tx, waiting.notice)
                made = notice_template(
                    subject, text, origin.of_notices, self._encode, origin.signer
                )
                return kind, origin.of_notices.domain, made
            content = editions.content(tx, waiting.edition)
        part = content.parts[waiting.part - 1]
        made = edition_template(
            part, content.key, origin.sender, origin.base_url, self._encode, origin.signer
        )
        return content.key, content.domain or origin.sender.domain, made


def message_id_local(own_key: bytes, key: str, part: int, number: int) -> str:
    """Returns the local part of a message's Message-ID, the same each time the message is built.

    Args:
        own_key: the database's own key.
        key: the edition's key, or the notice's kind.
        part: the part of the edition.
        number: the id of the subscriber, or of the notice.
    """
    return (
        f"{key[:16]}.{part}.{tokens.label(own_key, tokens.COPY + key.encode()[:12], number, part)}"
    )
