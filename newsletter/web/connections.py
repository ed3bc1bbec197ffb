"""Bounds what one connection may take: its number, and the time of a request and of a response.

uvicorn limits neither how long a client sends a request nor how many connections stay open. A
client that sends nothing, a byte a minute or reads no response would keep one for hours, and
enough of them would leave no file descriptor for the database and the mail.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from newsletter.app import open_files
from newsletter.web.repetitions import Repetitions
from newsletter.web.strict_http import StrictConnection

log = structlog.get_logger()

REQUEST_SECONDS = 10.0
"""Seconds within which a request must have arrived: its headers and its form."""
RESPONSE_SECONDS = 60.0
"""Seconds within which a response must have been sent."""
_COMPLETE = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
_UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)
_LARGEST_HEAD = 16 * 1024
_FULL = b"too many connections at the moment\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Cache-Control: no-store\r\nRetry-After: 10\r\nConnection: close\r\n\r\n%s"
) % (len(_FULL), _FULL)


class Connection(H11Protocol):
    """A connection with deadlines. Beyond the limit, the oldest idle one makes room.

    Args:
        args: as for uvicorn's protocol.

    Attributes:
        opened_at: when it was opened, on the clock of the event loop.
        most: connections that may be open at once.
        request_seconds: time for a request to arrive.
        response_seconds: time for a response to be sent.
    """

    most: ClassVar[int] = open_files.CONNECTIONS
    request_seconds: ClassVar[float] = REQUEST_SECONDS
    response_seconds: ClassVar[float] = RESPONSE_SECONDS
    _closed: ClassVar[Repetitions] = Repetitions()

    _deadline: asyncio.TimerHandle | None = None
    opened_at = 0.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn = StrictConnection(h11.SERVER, _LARGEST_HEAD)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the deadline of the first request, and makes room if there is none."""
        super().connection_made(transport)
        self.opened_at = self.loop.time()
        self._end_after(self.request_seconds)
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Takes what arrived. What is left of the request's time goes on running."""
        if self._deadline is None:
            self._end_after(self.request_seconds)
        super().data_received(data)
        if self.conn.their_state in _COMPLETE:
            self._end_after(self.response_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadline with the connection."""
        self._no_deadline()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Ends the deadline, unless the client has yet to read the response."""
        if not self.transport.get_write_buffer_size():
            self._no_deadline()
        super().on_response_complete()
        # The next request, or a part of it, may have arrived together with this one.
        if not self.is_idle:
            self._end_after(self.response_seconds)
        elif self._deadline is None and self._has_begun:
            self._end_after(self.request_seconds)

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request; in the middle of a response or after it, without a word."""
        if self.conn.our_state in _UNANSWERED:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for its client: no complete request is being answered on it."""
        is_answered = bool(getattr(self.cycle, "response_complete", True))
        return is_answered or self.conn.their_state not in _COMPLETE

    @property
    def _has_begun(self) -> bool:
        """Whether a part of a request has arrived."""
        return self.conn.their_state is not h11.IDLE or bool(self.conn.trailing_data[0])

    def _make_room(self) -> None:
        idle = [one for one in self.connections if isinstance(one, Connection) and one.is_idle]
        oldest = min(idle, key=lambda one: one.opened_at)  # this one, if all others are at work
        if oldest is self:
            self.connections.discard(self)
            self.transport.write(_REFUSAL)
            self.transport.close()
        else:
            oldest.abort()
        if count := self._closed.count("connections"):
            log.warning("too many connections; the oldest idle ones are closed", closed=count)

    def abort(self) -> None:
        """Closes the connection at once, whatever waits to be sent."""
        self.connections.discard(self)
        self.transport.abort()

    def _end_after(self, seconds: float) -> None:
        self._no_deadline()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
