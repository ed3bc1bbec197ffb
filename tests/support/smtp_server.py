"""A small SMTP server on loopback that fails exactly where a test wants.

It is strict: a command out of order gets 503, so a client that leaves a transaction half
open is found out. What it says is steered by `faults`: for a place (a verb, "connect",
"dot", or "content" for the middle of a message) a list, one item for each time the place
is reached. An item is bytes, said instead of the ordinary reply and without its effect; a
function, which gets the `Dialogue`; or `None` for the ordinary reply. After the last item
everything is ordinary.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Fault = bytes | Callable[["Dialogue"], None] | None
Faults = Mapping[str, Sequence[Fault]]


class Over(Exception):
    """The dialogue ends here."""


@dataclass(frozen=True)
class Received:
    """A message that was taken: the envelope as written, the content as on the wire."""

    mail: str
    rcpt: str
    raw: bytes
    """Dot-stuffed, without the final dot."""

    @property
    def content(self) -> bytes:
        """The message itself (RFC 5321 4.5.2)."""
        return b"".join(
            line[1:] if line.startswith(b".") else line for line in self.raw.splitlines(True)
        )


@dataclass
class Options:
    """What the server offers."""

    pipelining: bool = True
    size: str | None = "10000000"
    extensions: tuple[str, ...] = ("8BITMIME", "ENHANCEDSTATUSCODES")
    auth: str = ""
    """Mechanisms, offered on TLS only."""
    password: str = "secret"
    starttls: bool = False
    tls: ssl.SSLContext | None = None
    content_for_nobody: bool = False
    """354 although there is no recipient, as RFC 2920 allows."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)


class Server:
    """Serves until it is closed. Implicit TLS with `tls` and without `starttls`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.received: list[Received] = []
        self.commands: list[str] = []
        """Every command line, of all connections."""
        self.in_clear: list[str] = []
        """Those of them that came without TLS."""
        self.connections = 0
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def verbs(self) -> list[str]:
        """The first word of every command."""
        return [command.split(" ")[0].upper() for command in self.commands]

    def close(self) -> None:
        """End everything and wait until it has ended."""
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._listener.close()
        self._threads[0].join()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._sockets.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        dialogue = Dialogue(self, connection)
        with contextlib.suppress(OSError, Over):
            dialogue.run()
        dialogue.end()


class Dialogue:
    """One connection."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self.server = server
        self.options = server.options
        self.connection = connection
        self._input = connection.makefile("rb")
        self._mail: str | None = None
        self._rcpt: str | None = None

    def run(self) -> None:
        """Answers until the client leaves."""
        if self.options.tls and not self.options.starttls:
            self.secure()
        self._say("connect", b"220 mail.example ESMTP\r\n")
        while line := self._input.readline(4096):
            if line.startswith(b"\x16"):
                raise Over  # a TLS greeting
            assert line.endswith(b"\r\n"), "a command without CRLF"
            command = line[:-2].decode()
            self.server.commands.append(command)
            if not self.secured:
                self.server.in_clear.append(command)
            verb, _, rest = command.partition(" ")
            act = getattr(self, f"_do_{verb.lower()}", None)
            if act is None:
                self.say(b"500 5.5.2 what?\r\n")
            else:
                act(rest)

    @property
    def secured(self) -> bool:
        """Whether TLS is on."""
        return isinstance(self.connection, ssl.SSLSocket)

    def say(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.connection.sendall(data)

    def read(self, size: int) -> bytes:
        """That much of what the client sends."""
        return self._input.read(size)

    def end(self) -> None:
        """Closes the connection. What was not read makes it a reset."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self.break_off()

    def break_off(self) -> None:
        """Closes the connection without a farewell."""
        with contextlib.suppress(OSError):
            self._input.close()
        self.connection.close()

    def _say(self, place: str, ordinary: bytes) -> bool:
        """The fault that is due, or the ordinary reply; whether it was the latter."""
        waiting = self.options.faults.get(place)
        fault = waiting.pop(0) if waiting else None
        if fault is None:
            self.say(ordinary)
            return True
        if isinstance(fault, bytes):
            self.say(fault)
            if fault.startswith(b"421"):
                raise Over
        else:
            fault(self)
        return False

    def secure(self) -> None:
        """Begins TLS."""
        assert self.options.tls is not None
        self._input.close()
        self.connection = self.options.tls.wrap_socket(self.connection, server_side=True)
        self._input = self.connection.makefile("rb")

    def _forget(self) -> None:
        self._mail = self._rcpt = None

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
        if self._say("STARTTLS", b"220 go\r\n"):
            self.secure()

    def _do_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        user, password = "", initial
        if mechanism == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        elif mechanism == "LOGIN":
            user, password = self._ask(b"Username:"), self._ask(b"Password:")
        else:
            told = base64.b64decode(initial).decode()
            user, password = told.strip("\x01").split("\x01auth=Bearer ")
        if (user.removeprefix("user="), password) == ("papers", self.options.password):
            self._say("AUTH", b"235 2.7.0 welcome\r\n")
            return
        if mechanism == "XOAUTH2":
            self._ask(json.dumps({"status": "401"}).encode())
        self.say(b"535 5.7.8 bad credentials\r\n")

    def _ask(self, challenge: bytes) -> str:
        self.say(b"334 " + base64.b64encode(challenge) + b"\r\n")
        return base64.b64decode(self._input.readline(4096)).decode()

    def _do_mail(self, rest: str) -> None:
        if self._mail is not None:
            self.say(b"503 5.5.1 nested MAIL\r\n")
        elif self._say("MAIL", b"250 2.1.0 ok\r\n"):
            self._mail = rest

    def _do_rcpt(self, rest: str) -> None:
        if self._mail is None:
            self.say(b"503 5.5.1 need MAIL\r\n")
        elif self._say("RCPT", b"250 2.1.5 ok\r\n"):
            self._rcpt = rest

    def _do_data(self, _: str) -> None:
        if self._rcpt is None and not self.options.content_for_nobody:
            self.say(b"554 5.5.1 no valid recipients\r\n")
        elif self._say("DATA", b"354 go\r\n"):
            self._take_content()

    def _take_content(self) -> None:
        if faults := self.options.faults.get("content"):
            fault = faults.pop(0)
            if callable(fault):
                fault(self)
        lines: list[bytes] = []
        while (line := self._input.readline()) != b".\r\n":
            if not line:
                raise Over
            lines.append(line)
        mail, rcpt = self._mail, self._rcpt
        self._forget()
        if rcpt is None or mail is None:
            self._say("nobody", b"554 5.5.1 no valid recipients\r\n")
            return
        if not any(self.options.faults.get("dot", [])[:1]):
            self.server.received.append(Received(mail, rcpt, b"".join(lines)))
        self._say("dot", b"250 2.0.0 taken\r\n")

    def _do_rset(self, _: str) -> None:
        if self._say("RSET", b"250 2.0.0 forgotten\r\n"):
            self._forget()

    def _do_quit(self, _: str) -> None:
        self._say("QUIT", b"221 2.0.0 bye\r\n")
        raise Over


def hang_up(dialogue: Dialogue) -> None:
    """The connection ends."""
    raise Over


def reset(dialogue: Dialogue) -> None:
    """The connection breaks."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    dialogue.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    dialogue.break_off()
    raise Over


def say_and_hang_up(data: bytes, after: int = 0) -> Fault:
    """Bytes, and the connection ends behind them; before, so many of the client's are read."""

    def act(dialogue: Dialogue) -> None:
        dialogue.read(after)
        dialogue.say(data)
        raise Over

    return act


def endless(start: bytes, then: bytes) -> Fault:
    """`start`, then `then` for as long as the client listens."""

    def act(dialogue: Dialogue) -> None:
        dialogue.say(start)
        while not dialogue.server.over.is_set():
            dialogue.say(then)

    return act


def silence(then: Callable[[], object] = lambda: None) -> Fault:
    """No reply until the test is over. `then` is called when the silence begins."""

    def act(dialogue: Dialogue) -> None:
        then()
        dialogue.server.over.wait()
        raise Over

    return act
