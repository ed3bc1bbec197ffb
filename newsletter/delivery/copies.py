"""A delivery as the letter that its transport takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from newsletter import tokens
from newsletter.letters import Copy, Stencil, edition_stencil, notice_stencil
from newsletter.message import Sender
from newsletter.recipients import Address
from newsletter.storage import editions, notices
from newsletter.storage.database import Database
from newsletter.storage.outbox import Waiting
from newsletter.transports.base import Letter

_KEPT = 32
"""Stencils in memory, some 100 KB each."""


@dataclass(frozen=True, slots=True)
class Origin:
    """From whom mail comes, and where its links lead.

    Attributes:
        base_url: of the web pages; empty where there are none.
        bounce_domain: in ASCII; takes the bounces, each to an address of its own; empty where the
            sender takes them.
        link_key: signs links; `None` for the database's own.
    """

    sender: Sender
    base_url: str = ""
    bounce_domain: str = ""
    link_key: bytes | None = None


class Copies:
    """Makes letters.

    Args:
        database: where editions and keys are.
        origin: from whom.
        encode: brings a whole mail into the form its transport takes.
    """

    def __init__(
        self, database: Database, origin: Origin, encode: Callable[[bytes], bytes]
    ) -> None:
        self._database = database
        self._origin = origin
        self._encode = encode
        self._own_key = database.keys.own
        self._link_key = origin.link_key or database.keys.links
        self._stencils: OrderedDict[tuple[int, int, int], tuple[str, str, Stencil]] = OrderedDict()

    def letter(self, waiting: Waiting, to: Address, at: datetime) -> Letter:
        """The letter of a delivery to this address, dated `at`.

        Raises:
            RenderError: it cannot be made.
        """
        key, domain, stencil = self._stencil(waiting)
        name = copy_name(self._own_key, key, waiting.part, waiting.subscriber or waiting.notice)
        copy = Copy(
            to=to.spec,
            message_id=f"{name}@{domain}",
            token=tokens.token(self._link_key, tokens.UNSUBSCRIBE, waiting.subscriber),
        )
        return Letter(
            name=name,
            sender=self._envelope_sender(waiting.id),
            recipient=to.spec,
            pieces=stencil.pieces(copy, at),
        )

    def _envelope_sender(self, delivery: int) -> str:
        address = self._origin.sender.address
        if not self._origin.bounce_domain:
            return f"{address.username}@{self._origin.sender.domain}"
        proof = tokens.label(self._own_key, tokens.BOUNCE, delivery, size=5)
        return f"bounce+{delivery}.{proof}@{self._origin.bounce_domain}"

    def _stencil(self, waiting: Waiting) -> tuple[str, str, Stencil]:
        """The key or kind, the domain of Message-IDs, and the stencil."""
        which = (waiting.edition, waiting.part, waiting.notice)
        if which not in self._stencils:
            self._stencils[which] = self._made(waiting)
            if len(self._stencils) > _KEPT:
                self._stencils.popitem(last=False)
        self._stencils.move_to_end(which)
        return self._stencils[which]

    def _made(self, waiting: Waiting) -> tuple[str, str, Stencil]:
        origin = self._origin
        with self._database.read() as tx:
            if waiting.notice:
                kind, subject, text = notices.content(tx, waiting.notice)
                made = notice_stencil(subject, text, origin.sender, self._encode)
                return kind, origin.sender.domain, made
            content = editions.content(tx, waiting.edition)
        part = content.parts[waiting.part - 1]
        made = edition_stencil(part, content.key, origin.sender, origin.base_url, self._encode)
        return content.key, content.domain or origin.sender.domain, made


def copy_name(own_key: bytes, key: str, part: int, person: int) -> str:
    """The local part of a copy's Message-ID: the same whenever the copy is made again.

    Args:
        own_key: the database's own.
        key: the edition's; of a notice its kind.
        person: the subscriber's number, or the notice's.
    """
    return (
        f"{key[:16]}.{part}.{tokens.label(own_key, tokens.COPY + key.encode()[:12], person, part)}"
    )
