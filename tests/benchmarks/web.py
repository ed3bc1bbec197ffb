"""The pages under load, with a real process and real sockets.

Compared with limits, not peers: the time that visitors and mail providers can wait.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from newsletter.app.composition import App
from newsletter.config.file import load_config
from newsletter.config.schema import Config
from newsletter.models import Rendered
from newsletter.storage import editions, log
from newsletter.storage.database import Database
from newsletter.subscribers.csv_import import read
from newsletter.subscribers.list_import import Imported
from tests.benchmarks.invented import DAY, api_json, papers
from tests.benchmarks.measure import Row, newsletter
from tests.benchmarks.million import MANY, subscriber_lines

PAPERS = 100_000
EDITIONS = 1_000
_A_CAPTURE = 100
_SECONDS = 5.0
_CLIENTS = 4

ARCHIVE_RATE = 300  # requests per second
SEARCH_MS = 50
UNSUBSCRIBE_MS = 50


def run() -> Iterator[Row]:
    """The archive and its search; then unsubscribing from a list of a million."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = _archive(folder)
        with _serving(folder) as port:
            for path, limit in (
                ("/archive", ARCHIVE_RATE),
                (f"/editions/{keys[-1]}", None),
                ("/", None),
                ("/feed.xml", None),
            ):
                yield _rate(path.partition(keys[-1])[0], _requests_per_second(port, path), limit)
            yield from _searches(port)
    yield from _unsubscribing()


def _archive(folder: Path) -> list[str]:
    """Creates a database with papers and editions. Returns the editions' keys."""
    path = folder / "papers.db"
    with closing(App(Config(), Database(f"sqlite:///{path}"))) as app:
        for first in range(0, PAPERS, _A_CAPTURE):
            capture = folder / f"{first}.json"
            day = DAY - timedelta(days=(PAPERS - first) // _A_CAPTURE)
            capture.write_bytes(api_json(papers(first, _A_CAPTURE), day))
            list(app.sources.replay([str(capture)]))
            capture.unlink()
    rendered = Rendered("A day of papers", "<p>lamps</p>" * 10_000, "lamps")
    keys = []
    with Database(f"sqlite:///{path}") as database, database.write() as tx:
        known = [one.position for one in log.new_entries(tx, after=0, up_to=log.head(tx))]
        size = len(known) // EDITIONS
        for number in range(EDITIONS):
            chosen = known[number * size : (number + 1) * size]
            at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)
            key = f"{number:032x}"
            row = editions.freeze(tx, key, chosen, "en", "default", [rendered], at, public=True)
            editions.note_planned(tx, row.id, at)
            keys.append(key)
    return keys


def _searches(port: int) -> Iterator[Row]:
    random = Random(2)
    words = [one.title.split()[3] for one in papers(0, 400)]
    asked = [f"/archive?q={random.choice(words)}+{random.choice(words)[:3]}" for _ in range(100)]
    asked += [f"/archive?q={word}" for word in ("of", "we", "pre", "with", "a")] * 20
    times = sorted(_latencies(port, asked))
    yield _limited("search, p50", times[len(times) // 2], SEARCH_MS)
    yield _limited("search, p99", times[int(len(times) * 0.99)], SEARCH_MS)


def _unsubscribing() -> Iterator[Row]:
    """One-click unsubscribing from a list of a million, idle and while an edition is planned."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = _config(folder)
        with closing(App(config)) as app:
            capture = folder / "papers.json"
            capture.write_bytes(api_json(papers(0, 100)))
            list(app.sources.ingest_named([str(capture)]))
            list(app.subscribers.list_import.add(read(subscriber_lines()).rows, Imported()))
            _ = app.builder
            links = app.subscribers.links
            random = Random(3)

            def posts(many: int) -> list[str]:
                numbers = (random.randint(1, MANY) for _ in range(many))
                return [f"/unsubscribe/{links.unsubscribe_token(one)}" for one in numbers]

            with _serving(folder) as port:
                calm = sorted(_latencies(port, posts(500), one_click=True))
                yield _limited("one-click, p99", calm[int(len(calm) * 0.99)], UNSUBSCRIBE_MS)
                busy, planned, seconds = _while_planning(app, port, posts(20_000))
        what = f"one-click, p99, while {planned:,} are planned ({seconds:.0f} s)"
        yield _limited(what, busy[int(len(busy) * 0.99)], UNSUBSCRIBE_MS)


def _while_planning(app: App, port: int, paths: Sequence[str]) -> tuple[list[float], int, float]:
    over = threading.Event()
    times: list[float] = []

    def click() -> None:
        times.extend(_latencies(port, paths, one_click=True, pause=0.01, until=over.is_set))

    clicks = threading.Thread(target=click)
    clicks.start()
    now = datetime.now(UTC)
    began = time.perf_counter()
    at = now + timedelta(days=14 - now.weekday(), hours=12)
    found = app.planning.plan(at)
    seconds = time.perf_counter() - began
    over.set()
    clicks.join()
    return sorted(times), found.subscribers, seconds


def _config(folder: Path) -> Config:
    return load_config(str(_written(folder, 8000)))


def _written(folder: Path, port: int) -> Path:
    path = folder / "config.toml"
    path.write_text(
        '[newsletter]\nsender = "L <l@papers.example>"\nowner = "o@papers.example"\n'
        f'base_url = "http://127.0.0.1:{port}"\n'
        '[database]\nurl = "sqlite:///papers.db"\n[delivery]\ntransport = "null"\n'
        f"[web]\nport = {port}\n"
    )
    return path


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    """Runs `newsletter web` on a free port."""
    with socket.socket() as wire:
        wire.bind(("127.0.0.1", 0))
        port = int(wire.getsockname()[1])
    command = newsletter("--config", str(_written(folder, port)), "web", "--log", "json")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as served:
        try:
            _wait_for(port)
            yield port
        finally:
            served.terminate()
            served.wait(15)


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 30
    while True:
        try:
            _Client(port).ask("GET", "/readyz")
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


class _Client:
    """A client with one persistent connection."""

    def __init__(self, port: int) -> None:
        self._wire = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._port = port

    def ask(self, method: str, path: str, body: str = "") -> int:
        """Sends a request and reads the whole response. Returns its status."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        if body:
            head += "Content-Type: application/x-www-form-urlencoded\r\n"
            head += f"Content-Length: {len(body)}\r\n"
        self._wire.sendall(f"{head}\r\n{body}".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head_bytes, _, rest = data.partition(b"\r\n\r\n")
        size = int(head_bytes.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        had = len(rest)
        while had < size:
            had += len(self._more())
        return int(data.split(b" ", 2)[1])

    def _more(self) -> bytes:
        data = self._wire.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Closes the connection."""
        self._wire.close()


def _requests_per_second(port: int, path: str) -> float:
    counts: list[int] = []
    ends = time.perf_counter() + _SECONDS

    def ask() -> None:
        client, many = _Client(port), 0
        while time.perf_counter() < ends:
            if client.ask("GET", path) != 200:
                raise RuntimeError(f"{path} is not there")
            many += 1
        client.close()
        counts.append(many)

    clients = [threading.Thread(target=ask) for _ in range(_CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return sum(counts) / _SECONDS


def _latencies(
    port: int,
    paths: Sequence[str],
    *,
    one_click: bool = False,
    pause: float = 0.0,
    until: Callable[[], bool] = lambda: False,
) -> list[float]:
    """Returns the milliseconds of sequential requests."""
    client, times = _Client(port), []
    for path in paths:
        if until():
            break
        began = time.perf_counter()
        if one_click:
            status = client.ask("POST", path, "List-Unsubscribe=One-Click")
        else:
            status = client.ask("GET", path)
        times.append(1000 * (time.perf_counter() - began))
        if status != 200:
            raise RuntimeError(f"{path}: {status}")
        time.sleep(pause)
    client.close()
    return times


def _limited(what: str, ms: float, limit: float) -> Row:
    return Row(what, "ms", ms, limit, ms / limit, 1.0)


def _rate(what: str, rate: float, least: float | None) -> Row:
    if least is None:
        return Row(what, "requests/s", rate)
    return Row(what, "requests/s", rate, least, least / rate, 1.0)
