"""Limits on what a client may use: connections, time, file descriptors and log lines."""

from __future__ import annotations

import asyncio
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
from datetime import date, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message
from structlog.testing import capture_logs

from newsletter.app import open_files
from newsletter.errors import OutputError
from newsletter.web.cache import MOST, PageCache
from newsletter.web.connections import Connection
from newsletter.web.guard import Guard
from newsletter.web.repetitions import INTERVAL, OncePerMinute, Repetitions
from newsletter.web.server import Server, listening
from tests.support.ports import free_port
from tests.support.website import opened

PATIENCE = 30.0
LARGE = 30_000_000
"""More bytes than a socket keeps for a client that does not read."""


class Few(Connection):
    """Four connections, and deadlines short enough for a test."""

    most = 4
    request_seconds = 0.5
    response_seconds = 0.5


async def form(request: Request) -> Response:
    """Reads the whole body."""
    return PlainTextResponse(f"{len(await request.body())} bytes")


ROUTES = [
    Route("/healthz", lambda _request: PlainTextResponse("ok")),
    Route("/form", form, methods=["POST"]),
    Route("/large", lambda _request: PlainTextResponse("x" * LARGE)),
]
APP = Guard(Starlette(routes=ROUTES), "")


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server with few connections."""
    wire = listening("127.0.0.1", 0)
    server = Server(APP, wire, Few)
    server.start()
    try:
        yield wire.getsockname()[1]
    finally:
        server.stop(10.0)


@contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    """Opens a connection and sends this."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall(sent)
        yield wire


def received(wire: socket.socket) -> bytes:
    """Returns everything that is sent until the server closes the connection."""
    parts = []
    try:
        while part := wire.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def asked(path: str, *headers: str, method: str = "GET") -> bytes:
    """Returns the head of a request."""
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


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        asked("/form", "Content-Length: 100", method="POST") + b"address=",
    ],
    ids=["half a head", "half a form"],
)
def test_a_request_behind_another_has_a_deadline_too(port: int, sent: bytes) -> None:
    """Though they arrived together, so that nothing is received after the first answer."""
    with connected(port, asked("/healthz") + sent) as wire:
        assert received(wire).count(b"HTTP/1.1 ") == 1


def test_a_slow_sender_gets_no_more_time(port: int) -> None:
    """The deadline applies to the whole request."""
    with connected(port, asked("/form", "Content-Length: 100000", method="POST")) as wire:
        ends = time.monotonic() + PATIENCE
        with pytest.raises(OSError, match=r"reset|pipe"):
            while time.monotonic() < ends:
                wire.sendall(b"a")
                time.sleep(0.02)


def test_a_response_that_is_not_read_is_ended(port: int) -> None:
    """The rest of it is not sent."""
    with connected(port, asked("/large")) as wire:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
            other.sendall(asked("/healthz"))
            assert received(other).endswith(b"ok")  # it ends by the keep-alive limit
        assert len(received(wire)) < LARGE


def test_a_connection_serves_several_requests(port: int) -> None:
    """The deadlines apply to each request."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        for _ in range(3):
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b"ok"


class Patient(Few):
    """Deadlines longer than any test."""

    request_seconds = response_seconds = PATIENCE * 2


@contextmanager
def patient(*routes: Route) -> Iterator[int]:
    """A server with four connections and long deadlines; its port."""
    wire = listening("127.0.0.1", 0)
    server = Server(Guard(Starlette(routes=[*ROUTES, *routes]), ""), wire, Patient)
    server.start()
    try:
        yield wire.getsockname()[1]
    finally:
        server.stop(10.0)


SLOW = asked("/form", "Content-Length: 100", "Expect: 100-continue", method="POST") + b"address="


@pytest.mark.parametrize("before", [b"", asked("/healthz")], ids=["first", "second"])
def test_slow_forms_keep_no_one_out(before: bytes) -> None:
    """A connection that waits for its client is closed like an idle one to make room."""
    with patient() as port, ExitStack() as stack:
        slow = [stack.enter_context(connected(port, before + SLOW)) for _ in range(Patient.most)]
        for one in slow:
            answer = b""
            while b" 100 " not in answer:  # the server is reading the form
                answer += one.recv(65536)
        for _ in range(Patient.most):
            with connected(port, asked("/healthz", "Connection: close")) as wire:
                assert received(wire).endswith(b"ok")
        assert received(slow[0]) == b""


def test_connections_at_work_are_not_ended() -> None:
    """Beyond the limit, a new connection gets 503; those whose requests are being processed
    finish.
    """
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(_request: Request) -> Response:
        begun.release()
        assert go_on.wait(PATIENCE)
        return PlainTextResponse("done")

    with patient(Route("/slow", slow)) as port, ExitStack() as stack:
        sent = asked("/slow", "Connection: close")
        busy = [stack.enter_context(connected(port, sent)) for _ in range(Patient.most)]
        for _ in busy:
            assert begun.acquire(timeout=PATIENCE)
        with connected(port) as wire:
            answer = received(wire)
        go_on.set()
        assert all(received(one).endswith(b"done") for one in busy)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in answer


FORM = "POST /form HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = "3\r\na=b\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        f"{FORM}Content-Length: 3\r\nContent-Length: 3\r\n\r\na=b",
        f"{FORM}Content-Length: 3\r\nContent-Length: 4\r\n\r\na=b",
        f"{FORM}Content-Length: 3, 3\r\n\r\na=b",
        f"{FORM}Content-Length : 3\r\n\r\na=b",
        f"{FORM}Content-Length: +3\r\n\r\na=b",
        f"{FORM}Content-Length: 3\r\n\r\na=b".replace("\r\n", "\n"),
        f"{FORM}X: y\nContent-Length: 3\r\n\r\na=b",
        f"{FORM}X: y\r\n z\r\nContent-Length: 3\r\n\r\na=b",
        f"{FORM}X: y\r\n\tz\r\nContent-Length: 3\r\n\r\na=b",
        f"{FORM}Transfer-Encoding:\r\n chunked\r\n\r\n{CHUNKED}",
        f"{FORM}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}",
        f"{FORM}Transfer-Encoding: xchunked\r\n\r\n{CHUNKED}",
        f"{FORM}Transfer-Encoding: chunked\r\n\r\n{CHUNKED}".replace("/1.1", "/1.0"),
        f"{FORM}Host: localhost\r\nContent-Length: 3\r\n\r\na=b",
    ],
)
def test_ambiguous_requests_are_refused(sent: str) -> None:
    """With one response, whatever follows, and at any position on the connection."""
    with patient() as port:
        for before in (b"", asked("/healthz")):
            with connected(port, before + sent.encode() + asked("/healthz")) as wire:
                answer = received(wire)
            assert answer.count(b"HTTP/1.1 400 ") == 1
            assert answer.count(b"HTTP/1.1 ") == 1 + bool(before)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_form_in_pieces_is_read(size: int) -> None:
    """Wherever it is split into packets, and with a blank line in its body."""
    body = "a=" + "\n\r\n b\r\n\r\n c"
    sent = f"{FORM}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    with patient() as port, connected(port) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(sent), size):
            wire.sendall(sent[at : at + size])
        assert received(wire).endswith(f"\r\n\r\n{len(body)} bytes".encode())


def test_a_broken_unread_body_causes_no_traceback(port: int) -> None:
    """A broken body that no page reads closes the connection without a traceback in the log."""
    with (
        capture_logs() as logged,
        connected(port, asked("/healthz", "Transfer-Encoding: chunked")) as wire,
    ):
        assert b" 200 " in wire.recv(65536)
        wire.sendall(b"zzz\r\n")
        received(wire)
    assert logged == []


def test_a_client_that_disconnects_is_no_error() -> None:
    """In the middle of its form: no response is sent, and nothing is logged."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/form",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(APP(scope, receive, send))
    assert [one["status"] for one in sent if one["type"] == "http.response.start"] == [500]


@pytest.mark.parametrize("order", [1, -1])
def test_two_lengths_are_refused(port: int, order: int) -> None:
    """The rest is not taken for a second request, whichever length a proxy believes."""
    lengths = ["Content-Length: 4", "Transfer-Encoding: chunked"][::order]
    sent = asked("/form", *lengths, method="POST") + b"0\r\n\r\n" + asked("/healthz")
    with connected(port, sent) as wire:
        answer = received(wire)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_repeated_warning_is_logged_once_a_minute() -> None:
    """With the number of repetitions; other kinds are logged as well."""
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
    """Connections get only the descriptors that the database, captures and mail do not need."""
    assert open_files.connections(files) == most


# --- realistic numbers


IDLE = 2_000


@pytest.mark.soak  # thousands of sockets for a minute
def test_the_service_under_idle_connections(tmp_path: Path) -> None:
    """`/healthz` responds within a second throughout, and the log stays small."""
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
    """Returns the response time of `/healthz` in seconds, or `inf` while there is no server."""
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
    """Waits until the condition holds."""
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)


# --- a page is computed once at a time


def test_a_page_is_made_once_for_many_requests() -> None:
    """Simultaneous requests share it, and a request for another page does not wait."""
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


def test_waiting_for_a_slow_page_times_out() -> None:
    """The waiting request is told so; the computation goes on."""
    cache: PageCache[str] = PageCache(lambda: 1, wait=0.01)
    with pytest.raises(OutputError, match="takes longer"):
        cache.get("day", lambda: cache.get("day", lambda: "inner"))
    assert cache.get("day", lambda: "page") == "page"


def test_a_page_that_fails_is_made_anew() -> None:
    """An error is not cached, and delays no other request."""
    cache: PageCache[str] = PageCache(lambda: 1)

    def fails() -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.get("day", fails)
    assert cache.get("day", lambda: "page") == "page"


def test_missing_pages_evict_nothing_from_the_cache(tmp_path: Path) -> None:
    """However many are requested, an existing page is not computed again."""

    def statements(path: str) -> list[str]:
        said: list[str] = []

        def heard(_wire: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            said.append(statement)

        event.listen(Engine, "before_cursor_execute", heard)
        try:
            assert site.get(path).status_code == 200
        finally:
            event.remove(Engine, "before_cursor_execute", heard)
        return said

    with opened(tmp_path) as site:
        day = "/archive/2026-11-20"
        first, kept = statements(day), statements(day)
        assert len(kept) < len(first)
        for number in range(MOST):
            missing = date(1900, 1, 1) + timedelta(days=number)
            assert site.get(f"/archive/{missing}").status_code == 404
            assert site.get(f"/editions/{number:032x}").status_code == 404
            assert site.get(f"/archive?before={missing}").status_code == 200
        assert statements(day) == kept
