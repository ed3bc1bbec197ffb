"""What a client may take of the server: connections, time, descriptors and log lines."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newsletter.app import open_files
from newsletter.errors import OutputError
from newsletter.web.cache import PageCache
from newsletter.web.connections import Connection
from newsletter.web.guard import Guard
from newsletter.web.repetitions import INTERVAL, OncePerMinute, Repetitions
from newsletter.web.server import Server, listening
from tests.support.ports import free_port

PATIENCE = 30.0
LARGE = 30_000_000
"""More bytes than a socket keeps for a client that does not read."""


class Few(Connection):
    """Four connections, and deadlines that a test can wait for."""

    most = 4
    request_seconds = 0.5
    response_seconds = 0.5


async def form(request: Request) -> Response:
    """Reads the whole body."""
    return PlainTextResponse(f"{len(await request.body())} bytes")


APP = Guard(
    Starlette(
        routes=[
            Route("/healthz", lambda _request: PlainTextResponse("ok")),
            Route("/form", form, methods=["POST"]),
            Route("/large", lambda _request: PlainTextResponse("x" * LARGE)),
        ]
    ),
    "",
)


@pytest.fixture
def port() -> Iterator[int]:
    """A server with few connections."""
    wire = listening("127.0.0.1", 0)
    server = Server(APP, wire, Few)
    server.start()
    try:
        yield wire.getsockname()[1]
    finally:
        server.stop(10.0)


@contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection that has sent this."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall(sent)
        yield wire


def received(wire: socket.socket) -> bytes:
    """All that is sent until the server closes the connection."""
    parts = []
    try:
        while part := wire.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def asked(path: str, *headers: str, method: str = "GET") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def test_idle_connections_keep_no_one_out(port: int) -> None:
    """The oldest ones are closed, and the page answers."""
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(port)) for _ in range(Few.most * 5)]
        with connected(port, asked("/healthz", "Connection: close")) as wire:
            assert received(wire).endswith(b"ok")
        assert [received(one) for one in idle] == [b""] * len(idle)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        asked("/form", "Content-Length: 100", method="POST") + b"address=",
        asked("/form", "Transfer-Encoding: chunked", method="POST") + b"5\r\naddre",
    ],
    ids=["nothing", "half a head", "half a form", "half a chunk"],
)
def test_a_request_that_does_not_arrive_is_ended(port: int, sent: bytes) -> None:
    """Without a complete request there is no answer."""
    with connected(port, sent) as wire:
        assert received(wire) == b""


def test_a_byte_now_and_then_buys_no_time(port: int) -> None:
    """The deadline is that of the whole request."""
    with connected(port, asked("/form", "Content-Length: 100000", method="POST")) as wire:
        ends = time.monotonic() + PATIENCE
        with pytest.raises(OSError, match=r"reset|pipe"):
            while time.monotonic() < ends:
                wire.sendall(b"a")
                time.sleep(0.02)


def test_a_response_that_is_not_read_is_ended(port: int) -> None:
    """What is left of it is not sent."""
    with connected(port, asked("/large")) as wire:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
            other.sendall(asked("/healthz"))
            assert received(other).endswith(b"ok")  # which ends by its own keep-alive limit
        assert len(received(wire)) < LARGE


def test_a_connection_serves_several_requests(port: int) -> None:
    """The deadlines are those of each request."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        for _ in range(3):
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b"ok"


@pytest.mark.parametrize("order", [1, -1])
def test_two_lengths_are_refused(port: int, order: int) -> None:
    """What follows is not taken for a request, whichever length a proxy believes."""
    lengths = ["Content-Length: 4", "Transfer-Encoding: chunked"][::order]
    sent = asked("/form", *lengths, method="POST") + b"0\r\n\r\n" + asked("/healthz")
    with connected(port, sent) as wire:
        answer = received(wire)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_what_a_client_repeats_is_logged_once_a_minute() -> None:
    """With the number of times; other kinds are logged as well."""
    now = [0.0]
    seen = Repetitions(lambda: now[0])
    assert [seen.count("a") for _ in range(5)] == [1, 0, 0, 0, 0]
    assert seen.count("b") == 1
    now[0] = INTERVAL
    assert seen.count("a") == 5
    assert sum(bool(seen.count(f"kind {number}")) for number in range(500)) < 110


def test_invalid_requests_fill_no_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn's own warning is written once."""
    with caplog.at_level(logging.WARNING, "uvicorn.error"):
        for _ in range(20):
            with connected(port, b"\0\0\r\n\r\n") as wire:
                assert b" 400 " in received(wire)
    assert len([one for one in caplog.records if one.name == "uvicorn.error"]) <= 1
    filters = logging.getLogger("uvicorn.error").filters
    assert sum(isinstance(one, OncePerMinute) for one in filters) == 1


@pytest.mark.parametrize(("files", "most"), [(10_000, 1_000), (1_024, 640), (256, 32)])
def test_descriptors_are_left_for_mail(files: int, most: int) -> None:
    """Connections get what the database, captures and mail do not need."""
    assert open_files.connections(files) == most


# --- the real size


IDLE = 2_000


@pytest.mark.soak  # thousands of sockets, and a minute of attempts
def test_the_service_under_idle_connections(tmp_path: Path) -> None:
    """`/healthz` answers within a second all along, and the log stays small."""
    port = free_port()
    (tmp_path / "config.toml").write_text(
        '[newsletter]\nowner = "o@example.org"\n'
        f'[delivery]\ntransport = "eml"\n[web]\nport = {port}\n'
    )
    command = [sys.executable, "-m", "newsletter"]
    subprocess.run([*command, "ingest"], cwd=tmp_path, check=False, capture_output=True)
    with (tmp_path / "log").open("wb") as log:
        limited = ["bash", "-c", 'ulimit -n 1024; exec "$@"', "-", *command, "web", "--log", "json"]
        process = subprocess.Popen(limited, cwd=tmp_path, stderr=log)
    try:
        until(lambda: healthz(port) < PATIENCE)
        with ExitStack() as stack:
            taken = []
            for number in range(IDLE):
                stack.enter_context(connected(port))
                if number % 50 == 0:
                    taken.append(healthz(port))
            assert max(taken) < 1.0
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert sum("too many connections" in json.loads(line)["event"] for line in lines) in (1, 2)
    assert len(lines) < 20


def healthz(port: int) -> float:
    """Seconds that `/healthz` takes; `inf` while there is no server."""
    began = time.monotonic()
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return float("inf")
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
            return float("inf")
        raise
    return time.monotonic() - began


def until(is_so: Callable[[], object]) -> None:
    """Waits until it is so."""
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)


# --- a page is made once at a time


def test_a_page_is_made_once_for_many_requests() -> None:
    """They all get it; another page does not wait."""
    cache: PageCache[str] = PageCache(lambda: 1)
    made: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        made.append("slow")
        begun.set()
        assert go_on.wait(PATIENCE)
        return "page"

    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get("day", slow))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(PATIENCE)
    assert cache.get("other", lambda: "other page") == "other page"
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == ["page"] * 8
    assert made == ["slow"]


def test_a_page_that_takes_too_long_is_given_up() -> None:
    """The request that waits is told so; the one that makes it goes on."""
    cache: PageCache[str] = PageCache(lambda: 1, wait=0.01)
    with pytest.raises(OutputError, match="takes longer"):
        cache.get("day", lambda: cache.get("day", lambda: "inner"))
    assert cache.get("day", lambda: "page") == "page"


def test_a_page_that_fails_is_made_anew() -> None:
    """An error is not kept, and keeps no other request waiting."""
    cache: PageCache[str] = PageCache(lambda: 1)

    def fails() -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.get("day", fails)
    assert cache.get("day", lambda: "page") == "page"
