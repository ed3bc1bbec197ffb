"""The server's side of SMTP on one connection: strict, with faults exactly where a test wants.

A command out of order gets 503, so that a client that leaves a transaction half open is
detected. At every place (`connect`, a verb, `content` for the middle of a message, `dot` for its
end) the dialogue asks its server for a fault. A fault is bytes, sent instead of the ordinary
reply and without its effect; a function, which receives the `Dialogue` and returns whether the
ordinary reply follows; or `None` for the ordinary reply.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Fault = bytes | Callable[["Dialogue"], bool | None] | None

_LONGEST_LINE = 4_096


class Over(Exception):
    """The dialogue is over."""


@dataclass(frozen=True)
class Received:
    """A message that arrived: the envelope as written, the content as on the wire."""

    mail: str
    rcpt: str
    raw: bytes
    """Dot-stuffed, without the final dot."""

    @property
    def content(self) -> bytes:
        """The message without dot-stuffing (RFC 5321 4.5.2)."""
        return b"".join(
            line[1:] if line.startswith(b".") else line for line in self.raw.splitlines(True)
        )


@dataclass
class Options:
    """The server's options.

    Attributes:
        size: the announced limit in bytes, as written; `None` to announce none.
        auth: mechanisms, offered only on TLS.
        login: whether clients must log in as `papers`.
        starttls: with `tls`: TLS starts on STARTTLS, not at once.
        data_without_recipient: reply 354 although there is no recipient, as RFC 2920 allows.
        faults: a list by place, one item for each time the place is reached; after the last
            item replies are ordinary.
    """

    pipelining: bool = True
    size: str | None = "10000000"
    extensions: tuple[str, ...] = ("8BITMIME", "ENHANCEDSTATUSCODES")
    auth: str = ""
    password: str = "secret"
    login: bool = False
    starttls: bool = False
    tls: ssl.SSLContext | None = None
    data_without_recipient: bool = False
    faults: dict[str, list[Fault]] = field(default_factory=dict)


class Script(Protocol):
    """The interface of a server to its dialogues."""

    options: Options
    over: threading.Event
    """Set at the end of the test."""

    def note(self, command: str, *, secured: bool) -> None:
        """Records a command line."""

    def fault(self, place: str, recipient: str) -> Fault:
        """Returns the fault at a place; `recipient` is empty before RCPT."""

    def finish(self, number: int, recipient: str, message: Received) -> Fault:
        """Accepts a whole message or not, and returns the fault of the reply."""


class Dialogue:
    """One connection.

    Args:
        number: number of the connection, from 1.
    """

    def __init__(self, server: Script, connection: socket.socket, number: int = 1) -> None:
        self.server = server
        self.connection = connection
        self._number = number
        self._input = connection.makefile("rb")
        self._logged_in = False
        self._forget()

    @property
    def options(self) -> Options:
        """The server's current options."""
        return self.server.options

    @property
    def secured(self) -> bool:
        """Whether TLS is on."""
        return isinstance(self.connection, ssl.SSLSocket)

    def run(self) -> None:
        """Replies until the client closes the connection."""
        if self.options.tls and not self.options.starttls:
            self.secure()
        self._say("connect", b"220 mail.example ESMTP\r\n")
        while line := self._input.readline(_LONGEST_LINE):
            if line.startswith(b"\x16"):
                raise Over  # a TLS handshake
            assert line.endswith(b"\r\n"), "a command that is too long or ends without CRLF"
            command = line[:-2].decode()
            self.server.note(command, secured=self.secured)
            verb, _, rest = command.partition(" ")
            act = getattr(self, f"_do_{verb.lower()}", None)
            if act is None:
                self.say(b"500 5.5.2 what?\r\n")
            else:
                act(rest)

    def say(self, data: bytes) -> None:
        """Sends bytes unchanged."""
        self.connection.sendall(data)

    def read(self, size: int) -> bytes:
        """Reads `size` bytes from the client."""
        return self._input.read(size)

    def await_more(self) -> None:
        """Waits until the client has sent more."""
        self._input.peek(1)

    def secure(self) -> None:
        """Starts TLS."""
        assert self.options.tls is not None
        self._input.close()
        self.connection = self.options.tls.wrap_socket(self.connection, server_side=True)
        self._input = self.connection.makefile("rb")

    def end(self) -> None:
        """Closes the connection. Unread data turns this into a reset."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self.break_off()

    def break_off(self) -> None:
        """Closes the connection without a reply."""
        with contextlib.suppress(OSError):
            self._input.close()
        self.connection.close()

    def _say(self, place: str, ordinary: bytes) -> bool:
        """Sends the fault that is due, or the ordinary reply. Returns whether it was the latter."""
        return self._answer(self.server.fault(place, self._recipient), ordinary)

    def _answer(self, fault: Fault, ordinary: bytes) -> bool:
        if isinstance(fault, bytes):
            self.say(fault)
            if fault.startswith(b"421"):
                raise Over
            return False
        if fault is not None and not fault(self):
            return False
        self.say(ordinary)
        return True

    def _forget(self) -> None:
        self._mail: str | None = None
        self._rcpt: str | None = None
        self._recipient = ""

    def _do_ehlo(self, _: str) -> None:
        options = self.options
        lines = ["mail.example", *options.extensions]
        lines += ["PIPELINING"] * options.pipelining
        lines += [f"SIZE {options.size}".strip()] * (options.size is not None)
        lines += ["STARTTLS"] * (options.starttls and not self.secured)
        lines += [f"AUTH {options.auth}"] * (bool(options.auth) and self.secured)
        reply = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
        self._forget()
        self._say("EHLO", reply.encode())

    def _do_starttls(self, _: str) -> None:
        if self.secured or not self.options.starttls:
            self.say(b"503 5.5.1 no\r\n")
        elif self._say("STARTTLS", b"220 go\r\n"):
            self.secure()

    def _do_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if not self.secured or mechanism not in self.options.auth.split():
            self.say(b"504 5.5.4 not that way\r\n")
            return
        user, password = self._credentials(mechanism, initial)
        if (user, password) == ("papers", self.options.password):
            self._logged_in = self._say("AUTH", b"235 2.7.0 welcome\r\n")
            return
        if mechanism == "XOAUTH2":
            self._ask(json.dumps({"status": "401"}).encode())
        self.say(b"535 5.7.8 bad credentials\r\n")

    def _credentials(self, mechanism: str, initial: str) -> tuple[str, str]:
        if mechanism == "LOGIN":
            return self._ask(b"Username:"), self._ask(b"Password:")
        proof = base64.b64decode(initial).decode()
        if mechanism == "PLAIN":
            _, user, password = proof.split("\0")
        else:
            user, password = proof.strip("\x01").split("\x01auth=Bearer ")
        return user.removeprefix("user="), password

    def _ask(self, challenge: bytes) -> str:
        self.say(b"334 " + base64.b64encode(challenge) + b"\r\n")
        return base64.b64decode(self._input.readline(_LONGEST_LINE)).decode()

    def _do_mail(self, rest: str) -> None:
        if self._mail is not None:
            self.say(b"503 5.5.1 nested MAIL\r\n")
        elif self.options.login and not self._logged_in:
            self.say(b"530 5.7.0 log in first\r\n")
        elif self._is_too_large(rest):
            self.say(b"552 5.3.4 too large\r\n")
        elif self._say("MAIL", b"250 2.1.0 ok\r\n"):
            self._mail = rest

    def _is_too_large(self, rest: str) -> bool:
        limit, size = self.options.size or "", re.search(r" SIZE=(\d+)", rest)
        return limit.isdigit() and bool(size) and 0 < int(limit) < int(size[1] if size else 0)

    def _do_rcpt(self, rest: str) -> None:
        if self._mail is None:
            self.say(b"503 5.5.1 need MAIL\r\n")
            return
        self._recipient = rest.partition("<")[2].partition(">")[0]
        if self._say("RCPT", b"250 2.1.5 ok\r\n"):
            self._rcpt = rest
        else:
            self._recipient = ""

    def _do_data(self, _: str) -> None:
        if self._rcpt is None and not self.options.data_without_recipient:
            self.say(b"554 5.5.1 no valid recipients\r\n")
        elif self._say("DATA", b"354 go\r\n"):
            self._take_content()

    def _take_content(self) -> None:
        fault = self.server.fault("content", self._recipient)
        if callable(fault):
            fault(self)
        lines: list[bytes] = []
        while (line := self._input.readline()) != b".\r\n":
            if not line:
                raise Over
            lines.append(line)
        mail, rcpt, recipient = self._mail, self._rcpt, self._recipient
        if rcpt is None or mail is None:
            self._forget()
            self._say("no_recipient", b"554 5.5.1 no valid recipients\r\n")
            return
        fault = self.server.finish(self._number, recipient, Received(mail, rcpt, b"".join(lines)))
        self._forget()
        self._answer(fault, b"250 2.0.0 taken\r\n")

    def _do_rset(self, _: str) -> None:
        if self._say("RSET", b"250 2.0.0 forgotten\r\n"):
            self._forget()

    def _do_quit(self, _: str) -> None:
        self._say("QUIT", b"221 2.0.0 bye\r\n")
        raise Over
