"""The parts that all transports share: the message, the interface and the failures."""

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
"""The reply of a session that was not opened, or is closed."""


class SessionFailed(OutputError):
    """The session could not be opened; `reply` says why.

    Attributes:
        may_pass: whether another attempt may succeed without changes here.
    """

    def __init__(
        self, reply: Reply, *, where: str = "", hint: str = "", may_pass: bool = True
    ) -> None:
        super().__init__(reply.text, where=where, hint=hint)
        self.reply = reply
        self.may_pass = may_pass


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of transports; each uses those it needs."""

    smtp: SmtpSettings | None = None
    """The mail server, for `smtp`."""
    folder: Path | None = None
    """The folder for messages, for `eml` and `maildir`; created if missing."""
    stop: threading.Event | None = None
    """Once set, sessions wait only a few seconds more for a reply."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A personalised message to one recipient."""

    name: str
    """Unique, and the same if the message is built again: letters, digits, `.`, `_`, `=`, `-`."""
    sender: str
    """The envelope sender, in ASCII; empty for the null sender."""
    recipient: str
    """The recipient's address, with its domain in ASCII."""
    pieces: Sequence[bytes]
    """The message, `encoded` as a whole and then cut. Pieces shared between messages as the same
    objects cost less."""


class Session(Protocol):
    """Sends messages one after the other. Not safe for use by several threads."""

    @property
    def is_open(self) -> bool:
        """Whether the session can take another message."""
        ...

    def open(self) -> None:
        """Opens the session, or opens it again after `close` or a lost connection.

        Raises:
            SessionFailed: `reply` says why, and `may_pass` whether to try again.
        """
        ...

    def send(self, message: OutgoingMessage) -> Reply:
        """Sends one message. Failures are returned as replies, not raised.

        A `SENT` message survives a power cut here, or is the server's responsibility.
        """
        ...

    def close(self) -> None:
        """Releases the session's resources. Never raises."""
        ...


class Transport(Protocol):
    """A way to send mail."""

    def encoded(self, data: bytes) -> bytes:
        """Returns a whole message (with CRLF line ends) in the form that this transport sends."""
        ...

    def session(self) -> Session:
        """Returns a new session, not yet open. Each thread needs its own."""
        ...
