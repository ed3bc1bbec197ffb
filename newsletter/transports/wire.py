"""The connection to a mail server, and the settings of it.

`smtplib` connects, greets and reads what the server can do. Replies are read here: each
within its size and its time, whatever the server sends. The socket does not block, and is
waited for where there is something to wait for: a blocking one with a time limit is a call of
the system more for every step, and with many sessions at once each is a fight for the
interpreter's lock.
"""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from newsletter.transports.replies import RawReply, ReplyBroken, take_reply

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BROKEN = (OSError, ReplyBroken)
"""What is raised when a connection is of no more use. Time-outs are among them."""

_LOOK = 0.1  # seconds between two looks at the clock and at `stop` while waiting
_CHUNK = 8192  # bytes


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server and how we talk to it. Times are in seconds."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"] = "tls"
    """`none` is for this machine itself only."""
    username: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    token_command: str = field(default="", repr=False)
    """Instead of a password: a command whose first line of output is an OAuth 2 token."""
    timeout: float = 30.0
    """For the connection, for every reply before the final dot, and for each write."""
    reply_timeout: float = 600.0
    """For the reply to the final dot (RFC 5321 4.5.3.2.6)."""
    stop_grace: float = 7.5
    """What is left of either once we are told to stop."""
    local_hostname: str | None = None
    """Who we say we are; by default this machine's name."""
    ca_file: str | Path | None = None
    """Certificates to trust instead of the system's."""


class Wire(smtplib.SMTP):
    """The connection that `smtplib` opens, with replies and writes of our own.

    Args:
        settings: where to.
        tls: what makes a connection secure.
        stop: set when we should not wait any longer than necessary.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: SmtpSettings,
        tls: ssl.SSLContext,
        stop: threading.Event | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._stop = stop
        self._clock = clock
        self._received = bytearray()
        name = settings.local_hostname or _own_name()
        super().__init__(settings.host, settings.port, name, settings.timeout)

    def write(self, data: ReadableBuffer) -> None:
        """All of `data`.

        Raises:
            OSError: not all of it was written; in particular not its end.
            ReplyBroken: there are replies left that nobody asked for.
        """
        self._expect_nothing()
        left = memoryview(data).cast("B")
        ends = self._clock() + self._settings.timeout
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(select.POLLOUT, ends)
            except ssl.SSLWantReadError:
                self._await(select.POLLIN, ends)

    def expect_silence(self) -> None:
        """Looks, without waiting, whether the server is still there and has no more to say.

        Raises:
            OSError: it hung up.
            ReplyBroken: what it says now would be taken for the answer to what we say next.
        """
        self._expect_nothing()
        self._receive(0.0)
        self._expect_nothing()

    def reply(self, timeout: float) -> RawReply:
        """The next reply.

        Args:
            patience: how many seconds it may take altogether.

        Raises:
            OSError: the connection ended, or the time is over.
            ReplyBroken: it is none.
        """
        start, hurried = self._clock(), False
        ends = start + timeout
        while (found := take_reply(self._received)) is None:
            now = self._clock()
            if not hurried and self._stop and self._stop.is_set():
                hurried, ends = True, min(ends, now + self._settings.stop_grace)
            # What is there already counts, however late it is.
            if not self._receive(max(0.0, min(_LOOK, ends - now))) and now >= ends:
                raise TimeoutError(f"no reply within {ends - start:g} s")
        return found

    def send(self, s: ReadableBuffer | str) -> None:
        """What `smtplib` itself writes."""
        self.write(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def getreply(self) -> tuple[int, bytes]:
        """What `smtplib` itself reads; its own would take lines without end."""
        try:
            found = self.reply(self._settings.timeout)
        except BROKEN:
            self.close()
            raise
        return found.code, b"\n".join(found.lines)

    def secure(self) -> None:
        """STARTTLS. What was said before it counts for nothing after it.

        Raises:
            OSError: there is no TLS.
            ReplyBroken: somebody put replies in front of it.
        """
        self._socket.settimeout(self._settings.timeout)  # for the handshake
        self.starttls(context=self._tls)
        self._socket.setblocking(False)
        self._expect_nothing()

    def _expect_nothing(self) -> None:
        if self._received:
            raise ReplyBroken(f"the server speaks out of turn: {bytes(self._received[:80])!r}")

    @property
    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise ConnectionError("the connection is closed")
        return self.sock

    def _receive(self, timeout: float) -> bool:
        """Waits some seconds, or not at all, for more; whether there was any."""
        wire = self._socket
        decrypted = isinstance(wire, ssl.SSLSocket) and wire.pending()
        if not decrypted and not _is_ready(wire, select.POLLIN, timeout):
            return False
        try:
            data = wire.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False  # part of a TLS record, or one that is no data
        if not data:
            raise ConnectionError("the server ended the connection")
        self._received += data
        return True

    def _await(self, event: int, ends: float) -> None:
        """Waits until the connection takes or brings more; `TimeoutError` when it is too late."""
        left = ends - self._clock()
        if left <= 0 or not _is_ready(self._socket, event, left):
            raise TimeoutError("the server takes no more")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        # The end of a message must not wait for the receipt of its beginning.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made = plain
        try:
            if self._settings.security == "tls":
                made = self._tls.wrap_socket(plain, server_hostname=host)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
        return made


def _is_ready(wire: socket.socket, event: int, timeout: float) -> bool:
    """Whether what is waited for, or the end, comes within so many seconds."""
    poll = select.poll()
    poll.register(wire, event)
    return bool(poll.poll(timeout * 1000))


def words_for(error: BaseException) -> str:
    """What broke, for a person."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


@cache  # a machine without a name server would look for it with every session
def _own_name() -> str:
    """This machine's full name, if it has one that a mail server takes."""
    name = socket.getfqdn()
    return name if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) else "[127.0.0.1]"
