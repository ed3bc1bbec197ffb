"""Discards all mail: to try everything except sending."""

from __future__ import annotations

from newsletter.transports.base import NOT_OPEN, OutgoingMessage
from newsletter.transports.replies import Reply, ReplyKind, without_reply

_DISCARDED = without_reply(ReplyKind.SENT, "dot", "discarded")


class Null:
    """Accepts every message and discards it."""

    def encoded(self, data: bytes) -> bytes:
        """Returns the message unchanged."""
        return data

    def session(self) -> NullSession:
        """Returns a new session."""
        return NullSession()


class NullSession:
    """A session that opens and closes like the others."""

    def __init__(self) -> None:
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether messages are accepted."""
        return self._is_open

    def open(self) -> None:
        """Starts accepting messages."""
        self._is_open = True

    def send(self, message: OutgoingMessage) -> Reply:  # noqa: ARG002  # discarded
        """Discards the message."""
        return _DISCARDED if self._is_open else NOT_OPEN

    def close(self) -> None:
        """Stops accepting messages."""
        self._is_open = False
