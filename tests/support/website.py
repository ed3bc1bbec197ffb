"""The web pages in this process, with a real database and a clock set by the test.

with opened(folder) as site:
    site.subscribe("mira@example.org")
    site.work()
    site.post(site.link("confirm"))
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from httpx2 import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.storage.subscribers import link_holder
from newsletter.subscribers.address import parse_address as parsed
from newsletter.web import health
from newsletter.web.pages import pages
from tests.support.captures import api_json, made
from tests.support.databases import new_database

BASE = "https://papers.example.org"
HERE = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
"""The headers that a browser sends with a form of ours."""
PEER = "203.0.113.5"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIRA = "mira@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CHOICES = (
    {"do": "preferences", "cadence": "weekly", "day": "tue"},
    {"do": "pause"},
    {"do": "resume"},
    {"do": "address", "address": "jonas@example.org"},
    {"do": "unsubscribe"},
    {"do": "delete", "sure": "yes"},
    {"do": "links"},
)
"""The forms of the preferences page."""
FEEDS = [f"/{what}.{kind}" for what in ("feed", "editions") for kind in ("xml", "rss", "json")]
PUBLIC = [
    *("/", "/subscribe", "/archive", "/archive?q=lamp", "/archive?q=%22&before=0", "/robots.txt"),
    *("/archive/2026-11-20", "/archive/never", "/style.css", "/zone.js", "/healthz", "/nothing"),
    *FEEDS,
]


class Site:
    """The pages, requests to them, and the mails that follow.

    Args:
        folder: contains the database and the mails.
        base_url: base URL of the pages.
    """

    def __init__(self, folder: Path, base_url: str = BASE) -> None:
        self.now = NOON
        self.database = new_database(folder / "site.db")
        self._folder = folder
        self._base = base_url
        self._clients = ExitStack()
        self.restart()

    def close(self) -> None:
        """Closes the database."""
        self._clients.close()
        self.database.close()

    def restart(self, *others: Route, **web: object) -> None:
        """Restarts the pages: counters in memory are lost, the database is kept."""
        self._clients.close()
        self._visitors: dict[str, TestClient] = {}
        config = Config.model_validate(
            {
                "newsletter": {"name": "Lamp Post", "base_url": self._base, "owner": "o@x.example"},
                "transports": {"eml": {"folder": str(self._folder / "outbox")}},
                "web": web,
            }
        )
        self.app = App(config, self.database, lambda: self.now)
        self.links = self.app.subscribers.links
        well = health.Probe(lambda: "", late="")
        routes = [*health.routes(lambda: "", well, well), *others]
        self.pages = pages(config, self.app, lambda: None, lambda: self.now, routes)

    def ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        *,
        headers: Any = HERE,
        peer: str = PEER,
        content: Any = None,
    ) -> Response:
        """Sends a request from `peer`, and returns the response."""
        if peer not in self._visitors:
            self._visitors[peer] = self._clients.enter_context(
                TestClient(
                    self.pages,
                    BASE,
                    raise_server_exceptions=False,
                    follow_redirects=False,
                    client=(peer, 50_000),
                )
            )
        client = self._visitors[peer]
        return client.request(method, path, data=form, headers=headers, content=content)

    def get(self, path: str, **headers: str) -> Response:
        """Requests a page."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **more: Any) -> Response:
        """Submits a form."""
        return self.ask("POST", path, form or {}, **more)

    def subscribe(self, address: str = MIRA, form: Any = None, **more: Any) -> Response:
        """Submits the sign-up form, after as many seconds as a human visitor takes."""
        started = self.links.form(self.now - timedelta(seconds=9))
        return self.post(
            "/subscribe", {"address": address, "started": started, **(form or {})}, **more
        )

    def work(self) -> None:
        """Handles waiting requests, which queues mails."""
        self.app.subscribers.visitor_requests.work()

    def mails(self, kind: str = "%") -> list[tuple[str, str]]:
        """Returns recipient and text of the mails of this kind, oldest first."""
        query = "SELECT address, subject || text FROM notices WHERE kind LIKE ? ORDER BY id"
        return [(to, text) for to, text in self.rows(query, kind)]

    def link(self, kind: str) -> str:
        """Returns the path of the link in the newest mail of this kind."""
        found = re.search(rf"{re.escape(BASE)}(/\S+)", self.mails(kind)[-1][1])
        assert found
        return found[1]

    def joined(self, address: str = MIRA) -> int:
        """Subscribes and confirms an address. Returns the subscriber's id."""
        self.subscribe(address)
        self.work()
        assert self.post(self.link("confirm")).status_code == 200
        return self.number(address)

    def number(self, address: str = MIRA) -> int:
        """Returns a subscriber's id."""
        return int(self.person(address)["id"])

    def person(self, address: str = MIRA) -> dict[str, Any]:
        """Returns a subscriber's row; empty if there is none."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            wire.row_factory = sqlite3.Row
            query = "SELECT * FROM subscribers WHERE normal = ?"
            return dict(wire.execute(query, (parsed(address).normal,)).fetchone() or {})

    def settings(self, number: int) -> str:
        """Returns the path of a subscriber's preferences page."""
        return f"/preferences/{self.settings_token(number)}"

    def settings_token(self, number: int) -> str:
        """Returns the token in that path."""
        with self.database.read() as tx:
            holder = link_holder(tx, number)
        assert holder
        return self.links.settings_token(holder, self.now)

    def leaving(self, number: int) -> str:
        """Returns the path of a subscriber's unsubscribe page."""
        return f"/unsubscribe/{self.links.unsubscribe_token(number)}"

    def take_in(self, name: str, data: bytes) -> None:
        """Ingests a capture, and plans its new papers for all active subscribers."""
        path = self._folder / name
        path.write_bytes(data)
        assert all(not report.held for report in self.app.sources.ingest_named([str(path)]))
        self.app.planner.plan(due_now=True)

    def send(self) -> str:
        """Sends all waiting mail. Returns the text of everything sent so far."""
        self.app.delivery(threading.Event(), lambda _summary, _all: None).run()
        mails = sorted((self._folder / "outbox").rglob("*.eml"))
        return "\n".join(mail.read_text("utf-8").replace("\r\n ", " ") for mail in mails)

    def rows(self, query: str, *values: object) -> list[Any]:
        """Returns the rows of a query."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            return wire.execute(query, values).fetchall()

    def tables(self, *without: str) -> dict[str, list[str]]:
        """Returns the content of all tables as text, except those in `without`."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            found = wire.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: sorted(map(repr, wire.execute(f'SELECT * FROM "{name}"')))  # noqa: S608
                for (name,) in found
                if name not in without
            }


@contextmanager
def opened(folder: Path) -> Iterator[Site]:
    """Opens a site with papers and without subscribers."""
    with closing(Site(folder)) as site:
        site.take_in("2026-11-20.json", api_json(made("Lamps", "Oil", "Boats")))
        yield site
