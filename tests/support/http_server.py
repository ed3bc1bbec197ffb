"""A small HTTP server on loopback whose responses can be as broken as a test needs.

An answer is bytes, sent unchanged, or a function that receives the connection and an
event that is set at the end of the test. A path has one answer, or a list: one for
each request, and the last one for all further requests.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Answer = bytes | Callable[[socket.socket, threading.Event], None]
Answers = Mapping[str, Answer | list[Answer]]


@dataclass(frozen=True)
class Request:
    """A client's request; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""


def reply(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Returns a well-formed response; header names have `_` for `-`."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [
        f"HTTP/1.1 {status} Words",
        *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def then_close(answer: bytes) -> Answer:
    """Sends the response, then closes the connection."""

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return act


def no_response(connection: socket.socket, over: threading.Event) -> None:
    """Sends nothing until the end of the test."""
    over.wait()


def reset(connection: socket.socket, over: threading.Event) -> None:
    """Resets the connection."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def drip(start: bytes, then: bytes = b"x", pause: float = 0.02) -> Answer:
    """Sends `start`, then `then` repeatedly, without end."""

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(pause):
            connection.sendall(then)

    return act


class Server:
    """Serves the answers until it is closed.

    Args:
        answers: the answers by path; other paths return 404.
        tls: speak TLS with this certificate.
    """

    def __init__(self, answers: Answers, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._answers = {
            path: list(answer) if isinstance(answer, list) else [answer]
            for path, answer in answers.items()
        }
        self._tls = tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Returns the URL of a path."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        """Returns the requested paths, in order."""
        return [request.path for request in self.requests]

    def close(self) -> None:
        """Stops the server and waits for its threads."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._listener.close()
        self._threads[0].join()
        for connection in self._connections:
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
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if not self._tls:
                self._answer_all(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._answer_all(secured)

    def _answer_all(self, connection: socket.socket) -> None:
        while (request := _read(connection)) is not None:
            self.requests.append(request)
            answers = self._answers.get(request.path, [reply(status=404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if not isinstance(answer, bytes):
                answer(connection, self._over)
                return
            connection.sendall(answer)


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return None
        data += received
        if not data.startswith((b"GET ", b"POST ")):
            return Request("/", {})  # not HTTP, for example a TLS handshake
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in fields.items()}
    while len(body) < int(headers.get("content-length", 0)):
        received = connection.recv(65536)
        if not received:
            return None
        body += received
    method, path, _ = first.split(" ")
    return Request(path, headers, method, body)
