"""The readers' pages in this process: over a real database, with a clock of the test's own.

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
"""What a browser says of a form of ours, where pages may name themselves."""
PEER = "203.0.113.5"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIRA = "mira@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CHOICES = (
    {"do": "wishes", "cadence": "weekly", "day": "tue", "topics": "oil"},
    {"do": "pause"},
    {"do": "resume"},
    {"do": "address", "address": "jonas@example.org"},
    {"do": "unsubscribe"},
    {"do": "delete", "sure": "yes"},
    {"do": "links"},
)
"""The forms of the page of settings."""
FEEDS = [f"/{what}.{kind}" for what in ("feed", "editions") for kind in ("xml", "rss", "json")]
PUBLIC = [
    *("/", "/subscribe", "/archive", "/archive?q=lamp", "/archive?q=%22&before=0", "/robots.txt"),
    *("/archive/2026-11-20", "/archive/never", "/style.css", "/zone.js", "/healthz", "/nothing"),
    *FEEDS,
]


class Site:
    """The pages, who visits them, and the mails that follow.

    Args:
        folder: where everything lies.
        base_url: of the pages.
    """

    def __init__(self, folder: Path, base_url: str = BASE) -> None:
        self.now = NOON
        self.database = new_database(folder / "site.db")
        self._folder = folder
        self._base = base_url
        self._clients = ExitStack()
        self.restart()

    def close(self) -> None:
        """Ends it."""
        self._clients.close()
        self.database.close()

    def restart(self, *others: Route, **web: object) -> None:
        """The process begins anew: what it counted is forgotten, what is on disk is not."""
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
        """What a visitor at `peer` is answered."""
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
        """A page."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **more: Any) -> Response:
        """The answer to a form; of an address to subscribe, filled in by a person."""
        return self.ask("POST", path, form or {}, **more)

    def subscribe(self, address: str = MIRA, form: Any = None, **more: Any) -> Response:
        """Fills in the form of the front page."""
        started = self.links.form(self.now - timedelta(seconds=9))
        return self.post(
            "/subscribe", {"address": address, "started": started, **(form or {})}, **more
        )

    def work(self) -> None:
        """What was asked for becomes mails that wait."""
        self.app.subscribers.visitor_requests.work()

    def mails(self, kind: str = "%") -> list[tuple[str, str]]:
        """To whom a mail of this kind was written, and its words; oldest first."""
        query = "SELECT address, subject || text FROM notices WHERE kind LIKE ? ORDER BY id"
        return [(to, text) for to, text in self.rows(query, kind)]

    def link(self, kind: str) -> str:
        """The path that the newest mail of this kind leads to."""
        found = re.search(rf"{re.escape(BASE)}(/\S+)", self.mails(kind)[-1][1])
        assert found
        return found[1]

    def joined(self, address: str = MIRA) -> int:
        """Somebody subscribes and confirms; their number."""
        self.subscribe(address)
        self.work()
        assert self.post(self.link("confirm")).status_code == 200
        return self.number(address)

    def number(self, address: str = MIRA) -> int:
        """Somebody's number."""
        return int(self.person(address)["id"])

    def person(self, address: str = MIRA) -> dict[str, Any]:
        """Somebody's row; empty if there is none."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            wire.row_factory = sqlite3.Row
            query = "SELECT * FROM subscribers WHERE normal = ?"
            return dict(wire.execute(query, (parsed(address).normal,)).fetchone() or {})

    def settings(self, number: int) -> str:
        """The path of somebody's settings."""
        return f"/preferences/{self.settings_token(number)}"

    def settings_token(self, number: int) -> str:
        """The token in it."""
        with self.database.read() as tx:
            holder = link_holder(tx, number)
        assert holder
        return self.links.settings_token(holder, self.now)

    def leaving(self, number: int) -> str:
        """The path on which somebody leaves."""
        return f"/unsubscribe/{self.links.unsubscribe_token(number)}"

    def take_in(self, name: str, data: bytes) -> None:
        """A capture arrives, and everybody active gets what is new."""
        path = self._folder / name
        path.write_bytes(data)
        assert all(not report.held for report in self.app.sources.ingest_named([str(path)]))
        self.app.planner.plan(due_now=True)

    def send(self) -> str:
        """All that waits is sent; everything that was ever sent."""
        self.app.delivery(threading.Event(), lambda _summary, _all: None).run()
        mails = sorted((self._folder / "outbox").rglob("*.eml"))
        return "\n".join(mail.read_text("utf-8").replace("\r\n ", " ") for mail in mails)

    def rows(self, query: str, *values: object) -> list[Any]:
        """What the database says."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            return wire.execute(query, values).fetchall()

    def tables(self, *without: str) -> dict[str, list[str]]:
        """All that is remembered, as text."""
        with closing(sqlite3.connect(self.database.file)) as wire:
            found = wire.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: sorted(map(repr, wire.execute(f'SELECT * FROM "{name}"')))  # noqa: S608
                for (name,) in found
                if name not in without
            }


@contextmanager
def opened(folder: Path) -> Iterator[Site]:
    """A site with papers, and nobody subscribed."""
    with closing(Site(folder)) as site:
        site.take_in("2026-11-20.json", api_json(made("Lamps", "Oil", "Boats")))
        yield site
