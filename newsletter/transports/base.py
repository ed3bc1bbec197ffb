"""What every transport shares: the letter it takes, its shape, and the end of an attempt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from newsletter.errors import OutputError
from newsletter.transports.replies import Reply, ReplyKind, without_reply
from newsletter.transports.wire import SmtpSettings

NOT_OPEN = without_reply(ReplyKind.LOST, "connect", "the session is not open")
"""What a session says that was not opened, or is closed."""


class SessionFailed(OutputError):
    """There is no session; `outcome` says why."""

    def __init__(self, reply: Reply, *, where: str = "", hint: str = "") -> None:
        super().__init__(reply.text, where=where, hint=hint)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Settings:
    """What transports are made from; each takes what it needs."""

    smtp: SmtpSettings | None = None
    """The mail server, for `smtp`."""
    folder: Path | None = None
    """Where messages are put, for `eml` and `maildir`; made if missing."""
    stop: threading.Event | None = None
    """Once set, no reply is awaited for more than a few seconds."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One copy of a message, for one recipient."""

    name: str
    """Unique, and the same for a copy made again: letters, digits, `.`, `_`, `=` and `-`."""
    sender: str
    """The envelope's sender, ASCII; empty for a mail nobody answers."""
    recipient: str
    """The address, its domain in ASCII."""
    pieces: Sequence[bytes]
    """The message, `encoded` as a whole and cut. Pieces that come again as the same objects
    cost less."""


class Session(Protocol):
    """What many messages are handed to, one after the other. Not for several threads."""

    @property
    def is_open(self) -> bool:
        """Whether the next message can go through."""
        ...

    def open(self) -> None:
        """Makes ready for messages; also once more after `close`, or when it is not open.

        Raises:
            SessionFailed: `outcome` says why. `LOST` and `DEFERRED` may pass, `OURS` will not.
        """
        ...

    def send(self, message: OutgoingMessage) -> Reply:
        """Hands over one message; whatever happens is an outcome.

        What was `SENT` survives a power cut here, or is the server's to keep.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds. Never raises."""
        ...


class Transport(Protocol):
    """A way for mail to leave."""

    def encoded(self, data: bytes) -> bytes:
        """A whole message in CRLF lines, in the form that letters have here."""
        ...

    def session(self) -> Session:
        """A session of its own for each thread, not yet open."""
        ...
