"""The SMTP transport: its sessions are connections to a mail server."""

from __future__ import annotations

import threading

from newsletter.transports.base import OutgoingMessage
from newsletter.transports.replies import Reply
from newsletter.transports.smtp_checks import for_the_wire
from newsletter.transports.smtp_session import SmtpSession
from newsletter.transports.wire import SmtpSettings


class Smtp:
    """Sends through a mail server; each session has its own connection.

    Args:
        settings: the server's settings.
        stop: once set, sessions wait only a few seconds more for a reply.
    """

    def __init__(self, settings: SmtpSettings, stop: threading.Event | None = None) -> None:
        self._settings = settings
        self._stop = stop

    def encoded(self, data: bytes) -> bytes:
        """Returns the message with CRLF line ends only, and dot-stuffed."""
        return for_the_wire(data)

    def session(self) -> SmtpTransportSession:
        """Returns a new session."""
        return SmtpTransportSession(SmtpSession(self._settings, stop=self._stop))


class SmtpTransportSession:
    """Sends messages over an `SmtpSession`. A server has no use for a message's name."""

    def __init__(self, session: SmtpSession) -> None:
        self._session = session

    @property
    def is_open(self) -> bool:
        """Whether the session can take another message."""
        return self._session.is_open

    def open(self) -> None:
        """Connects; raises `SessionFailed`."""
        self._session.open()

    def send(self, message: OutgoingMessage) -> Reply:
        """Sends one message. Failures are returned as replies, not raised."""
        return self._session.send(message.sender, message.recipient, message.pieces)

    def close(self) -> None:
        """Sends QUIT if possible, and closes the connection. Never raises."""
        self._session.close()
