"""Mail to nowhere: to try everything but the sending."""

from __future__ import annotations

from newsletter.transports.base import NOT_OPEN, OutgoingMessage
from newsletter.transports.replies import Reply, ReplyKind, without_reply

_DISCARDED = without_reply(ReplyKind.SENT, "dot", "discarded")


class Null:
    """Takes every message, and keeps none."""

    def encoded(self, data: bytes) -> bytes:
        """The message as it is."""
        return data

    def session(self) -> NullSession:
        """A session of its own."""
        return NullSession()


class NullSession:
    """Open or closed, as others are."""

    def __init__(self) -> None:
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether messages are taken."""
        return self._is_open

    def open(self) -> None:
        """Takes messages from now on."""
        self._is_open = True

    def send(self, message: OutgoingMessage) -> Reply:  # noqa: ARG002  # nobody looks at it
        """Forgets the message."""
        return _DISCARDED if self._is_open else NOT_OPEN

    def close(self) -> None:
        """Takes no more messages."""
        self._is_open = False
