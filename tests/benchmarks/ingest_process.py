"""A run that finds nothing new: the whole process, against rss2email.

Both know 100,000 papers, and receive 100 of them in bytes that are new: ours from a file
and from a URL, rss2email from a URL as always. All servers are on this machine; no mail is
built.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from tests.benchmarks import history
from tests.benchmarks.invented import Invented, api_json, feed, papers
from tests.benchmarks.measure import Job, Row, Side, alone, compare, completed, newsletter, program

GOAL = 0.5
PAPERS = 100
SEEN = 100_000
ROUNDS = 10
NOTHING = f"0 new of {PAPERS}"

Bodies = Mapping[str, Callable[[], tuple[str, bytes]]]


def run() -> Iterator[Row]:
    """Ours against rss2email: from a file, then from a URL."""
    listed = papers(0, PAPERS)
    edition = count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = history.made(folder / "newsletter.db", SEEN - PAPERS, "manual")
        bodies: Bodies = {
            "/feed.xml": lambda: ("application/rss+xml", feed(listed, next(edition))),
            "/papers.json": lambda: (
                "application/json",
                api_json(listed, more_votes=next(edition)),
            ),
        }
        with _served(bodies) as base:
            config = _configured(folder, database, f"{base}/papers.json")
            file = folder / "papers.json"

            def from_file(number: int) -> Job:
                file.write_bytes(api_json(listed, more_votes=1000 + number))
                command = newsletter("--config", str(config), "ingest", str(file))
                return partial(completed, command, saying=NOTHING)

            def from_address(_number: int) -> Job:
                command = newsletter("--config", str(config), "ingest")
                return partial(completed, command, saying=NOTHING)

            file.write_bytes(api_json(listed))
            completed(newsletter("--config", str(config), "ingest", str(file)), saying="100 new")
            peer = _rss2email(folder, f"{base}/feed.xml", listed)
            for side, place in ((from_file, "a file"), (from_address, "an address")):
                what = f"ingest {place}, nothing new, {SEEN:,} seen"
                if peer is None:
                    yield alone(f"{what} (no rss2email here)", side, ROUNDS)
                else:
                    yield compare(side, peer, ROUNDS).row(f"{what} vs r2e run", GOAL)


def _configured(folder: Path, database: Path, url: str) -> Path:
    config = folder / "config.toml"
    config.write_text(
        f'[database]\nurl = "sqlite:///{database}"\n'
        f'[[sources]]\nname = "manual"\nurl = "{url}"\nallow_private = true\n',
        "utf-8",
    )
    return config


def _rss2email(folder: Path, url: str, listed: Sequence[Invented]) -> Side | None:
    """Returns `r2e run` with the same history, or `None` if it is not installed."""
    r2e = program("r2e")
    if r2e is None:
        return None
    config, data = folder / "rss2email.cfg", folder / "rss2email.json"
    config.write_text(f"[DEFAULT]\nto = mira@example.org\n[feed.papers]\nurl = {url}\n", "utf-8")
    pages = [f"https://example.org/papers/{number:06}" for number in range(SEEN - PAPERS)]
    pages += [paper.page for paper in listed]
    seen = {page: {"hash": f"{at:040x}", "message_id": _id(at)} for at, page in enumerate(pages)}
    state = {"name": "papers", "etag": None, "modified": None, "seen": seen}
    data.write_text(json.dumps({"version": 2, "feeds": [state]}, indent=2), "utf-8")
    command = [*r2e, "--config", str(config), "--data", str(data), "run", "--no-send"]
    completed(command)
    if len(json.loads(data.read_text("utf-8"))["feeds"][0]["seen"]) != SEEN:
        raise RuntimeError("rss2email found something new")
    return lambda _number: partial(completed, command)


def _id(number: int) -> str:
    return f"<{number:08x}-0000-4000-8000-000000000000@example.org>"


@contextmanager
def _served(bodies: Bodies) -> Iterator[str]:
    """Runs a server on loopback that builds each response anew. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = bodies[self.path]()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
