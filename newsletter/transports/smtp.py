"""Mail to a server: the transport whose sessions are SMTP connections."""

from __future__ import annotations

import threading

from newsletter.transports.base import OutgoingMessage
from newsletter.transports.replies import Reply
from newsletter.transports.smtp_checks import dot_stuffed
from newsletter.transports.smtp_session import SmtpSession
from newsletter.transports.wire import SmtpSettings


class Smtp:
    """A mail server; each session is a connection of its own.

    Args:
        settings: the server.
        stop: once set, no reply is awaited for more than a few seconds.
    """

    def __init__(self, settings: SmtpSettings, stop: threading.Event | None = None) -> None:
        self._settings = settings
        self._stop = stop

    def encoded(self, data: bytes) -> bytes:
        """The message `dot_stuffed`."""
        return dot_stuffed(data)

    def session(self) -> LetterSession:
        """A session of its own."""
        return LetterSession(SmtpSession(self._settings, stop=self._stop))


class LetterSession:
    """A session for letters. A message's name is of no use to a server."""

    def __init__(self, session: SmtpSession) -> None:
        self._session = session

    @property
    def is_open(self) -> bool:
        """Whether the next message can go through."""
        return self._session.is_open

    def open(self) -> None:
        """Connects; raises `SessionFailed`."""
        self._session.open()

    def send(self, message: OutgoingMessage) -> Reply:
        """Sends one message; whatever happens is an outcome."""
        return self._session.send(message.sender, message.recipient, message.pieces)

    def close(self) -> None:
        """Says goodbye if it can, and lets go. Never raises."""
        self._session.close()
