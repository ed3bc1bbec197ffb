"""A small SMTP server on loopback that fails exactly where a test wants.

`Server` runs in threads of the test's own process, so that its faults may be functions of
the test; `tests.support.smtp_process` runs it in a process of its own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.support.smtp_dialogue import Dialogue, Fault, Options, Over, Received

__all__ = [
    "Dialogue",
    "Fault",
    "Options",
    "Received",
    "Server",
    "endless",
    "hang_up",
    "reset",
    "say_and_hang_up",
    "silence",
]


class Server:
    """Serves until it is closed. Implicit TLS with `tls` and without `starttls`.

    Args:
        port: 0 for any.
        host: the address it listens on.
    """

    def __init__(self, options: Options, port: int = 0, host: str = "127.0.0.1") -> None:
        self.options = options
        self.received: list[Received] = []
        self.commands: list[str] = []
        """All command lines of all connections."""
        self.in_clear: list[str] = []
        """Those received without TLS."""
        self.connections = 0
        self.over = threading.Event()
        self._listener = socket.create_server((host, port))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def verbs(self) -> list[str]:
        """Returns the first word of every command."""
        return [command.split(" ")[0].upper() for command in self.commands]

    def note(self, command: str, *, secured: bool) -> None:
        """Records a command line."""
        self.commands.append(command)
        if not secured:
            self.in_clear.append(command)

    def fault(self, place: str, recipient: str) -> Fault:  # noqa: ARG002
        """Returns the next fault of a place; each occurs once."""
        waiting = self.options.faults.get(place)
        return waiting.pop(0) if waiting else None

    def finish(self, number: int, recipient: str, message: Received) -> Fault:  # noqa: ARG002
        """Accepts a message, unless there is a fault at its final dot."""
        fault = self.fault("dot", recipient)
        if fault is None:
            self.received.append(message)
        return fault

    def close(self) -> None:
        """Stops the server and waits for its threads."""
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
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        dialogue = Dialogue(self, connection, number)
        try:
            with contextlib.suppress(OSError, Over):
                dialogue.run()
        finally:
            dialogue.end()


def hang_up(dialogue: Dialogue) -> None:
    """Closes the connection."""
    raise Over


def reset(dialogue: Dialogue) -> None:
    """Resets the connection."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    dialogue.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    dialogue.break_off()
    raise Over


def say_and_hang_up(data: bytes, after: int = 0) -> Fault:
    """Reads `after` bytes, sends `data`, and closes the connection."""

    def act(dialogue: Dialogue) -> None:
        dialogue.read(after)
        dialogue.say(data)
        raise Over

    return act


def endless(start: bytes, then: bytes) -> Fault:
    """Sends `start`, then `then` for as long as the client reads."""

    def act(dialogue: Dialogue) -> None:
        dialogue.say(start)
        while not dialogue.server.over.is_set():
            dialogue.say(then)

    return act


def silence(then: Callable[[], object] = lambda: None) -> Fault:
    """Sends no reply until the end of the test. Calls `then` when the silence starts."""

    def act(dialogue: Dialogue) -> None:
        then()
        dialogue.server.over.wait()
        raise Over

    return act
