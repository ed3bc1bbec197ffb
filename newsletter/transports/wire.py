"""The connection to a mail server, and its settings.

`smtplib` connects, sends EHLO and reads the server's extensions. Replies are read here, within
limits on size and time, whatever the server sends. The socket is non-blocking and polled only
when there is something to wait for: a blocking socket with a timeout costs an extra system call
for every step, and with many concurrent sessions each one competes for the interpreter's lock.
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
"""Raised when a connection is no longer usable. Timeouts are included."""

_CHECK_INTERVAL = 0.1  # seconds between checks of the clock and of `stop` while waiting
_CHUNK = 8192  # bytes


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server and how to connect to it. Times are in seconds."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"] = "tls"
    """`none` is for this machine only."""
    username: str = ""
    """Empty for no login."""
    password: str = field(default="", repr=False)
    token_command: str = field(default="", repr=False)
    """A command whose first line of output is an OAuth 2 token, used instead of a password."""
    timeout: float = 30.0
    """For the connection, for every reply before the final dot, and for each write."""
    reply_timeout: float = 600.0
    """For the reply to the final dot (RFC 5321 4.5.3.2.6)."""
    stop_grace: float = 7.5
    """The limit on the rest of either timeout once `stop` is set."""
    local_hostname: str | None = None
    """The host name sent with EHLO; by default this machine's name."""
    ca_file: str | Path | None = None
    """Certificates to trust instead of the system's."""


class Wire(smtplib.SMTP):
    """An `smtplib` connection with its own reading of replies and its own writes.

    Args:
        settings: the server's settings.
        tls: the TLS context.
        stop: once set, replies are awaited for `stop_grace` seconds at most.
        clock: returns monotonic time in seconds.
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
        """Writes all of `data`.

        Raises:
            OSError: not all of it was written; in particular, not its end.
            ReplyBroken: unexpected replies have been received.
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
        """Checks, without waiting, that the server is connected and has sent nothing more.

        Raises:
            OSError: the server hung up.
            ReplyBroken: it sent a reply that would be taken as the answer to the next command.
        """
        self._expect_nothing()
        self._receive(0.0)
        self._expect_nothing()

    def reply(self, timeout: float) -> RawReply:
        """Reads the next reply.

        Args:
            timeout: seconds that the whole reply may take.

        Raises:
            OSError: the connection ended, or the reply timed out.
            ReplyBroken: the reply is malformed.
        """
        start, hurried = self._clock(), False
        ends = start + timeout
        while (found := take_reply(self._received)) is None:
            now = self._clock()
            if not hurried and self._stop and self._stop.is_set():
                hurried, ends = True, min(ends, now + self._settings.stop_grace)
            # Data that has already arrived counts, even after the deadline.
            if not self._receive(max(0.0, min(_CHECK_INTERVAL, ends - now))) and now >= ends:
                raise TimeoutError(f"no reply within {ends - start:g} s")
        return found

    def send(self, s: ReadableBuffer | str) -> None:
        """Writes the data that `smtplib` itself sends."""
        self.write(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def getreply(self) -> tuple[int, bytes]:
        """Reads replies for `smtplib`, whose own method has no limit on the number of lines."""
        try:
            found = self.reply(self._settings.timeout)
        except BROKEN:
            self.close()
            raise
        return found.code, b"\n".join(found.lines)

    def secure(self) -> None:
        """Starts TLS. Nothing that the server announced before it remains valid.

        Raises:
            OSError: TLS could not be established.
            ReplyBroken: replies were injected before it.
        """
        self._socket.settimeout(self._settings.timeout)  # for the handshake
        self.starttls(context=self._tls)
        self._socket.setblocking(False)
        self._expect_nothing()

    def _expect_nothing(self) -> None:
        if self._received:
            raise ReplyBroken(
                f"the server sent an unexpected reply: {bytes(self._received[:80])!r}"
            )

    @property
    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise ConnectionError("the connection is closed")
        return self.sock

    def _receive(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for data. Returns whether any arrived."""
        wire = self._socket
        decrypted = isinstance(wire, ssl.SSLSocket) and wire.pending()
        if not decrypted and not _is_ready(wire, select.POLLIN, timeout):
            return False
        try:
            data = wire.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False  # part of a TLS record, or one without data
        if not data:
            raise ConnectionError("the server ended the connection")
        self._received += data
        return True

    def _await(self, event: int, ends: float) -> None:
        """Waits for `event` until `ends`; raises `TimeoutError` after that."""
        left = ends - self._clock()
        if left <= 0 or not _is_ready(self._socket, event, left):
            raise TimeoutError("the server stopped reading")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        # The end of a message must not wait for the acknowledgement of its beginning.
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
    """Whether `event`, or the end of the connection, occurs within `timeout` seconds."""
    poll = select.poll()
    poll.register(wire, event)
    return bool(poll.poll(timeout * 1000))


def words_for(error: BaseException) -> str:
    """Returns a readable description of the error."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


@cache  # without a name server, every session would wait for the lookup
def _own_name() -> str:
    """Returns this machine's full name if a mail server would accept it, or `[127.0.0.1]`."""
    name = socket.getfqdn()
    return name if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) else "[127.0.0.1]"
