"""What a service that keeps running tells the owner, by a clock that the test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.service.jobs import Jobs
from newsletter.storage.schema import breakers
from tests.support.databases import new_database
from tests.support.http_server import Answer, Server, reply

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EML = '[delivery]\ntransport = "eml"\n'
BROKEN = """
[delivery]
transport = "smtp"
[transports.smtp]
host = "127.0.0.1"
security = "none"
password_file = "nowhere"
"""


class Service:
    """A newsletter that is served in this process, and an HTTP server that it talks to."""

    def __init__(self, folder: Path, sections: str) -> None:
        answers: dict[str, Answer | list[Answer]] = {
            "/ping": reply(),
            "/topic": [reply(status=500), reply()],
        }
        self.web = Server(answers)
        self.now = NOON
        text = (
            '[newsletter]\nsender = "a@example.org"\nowner = "b@example.org"\n'
            f'ping_url = "{self.web.url("/ping")}"\nalert_url = "{self.web.url("/topic")}"\n'
        )
        config = parse(text + sections, {}, where="config.toml", folder=folder)
        self.database = new_database(folder / "papers.db")
        self.app = App(config, self.database, lambda: self.now)
        self.jobs = Jobs(self.app, config, lambda: self.now, threading.Event())

    def live(self, minutes: int) -> None:
        """A tick every minute."""
        for _ in range(minutes):
            self.jobs.tick()
            self.now += MINUTE

    def asked(self, path: str) -> int:
        """How often this path was asked for."""
        return self.web.paths().count(path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """Starts services."""
    started: list[Service] = []

    def start(sections: str) -> Service:
        started.append(Service(tmp_path, sections))
        return started[-1]

    yield start
    for one in started:
        one.web.close()
        one.database.close()


Serve = Callable[[str], Service]


def test_a_ping_every_few_minutes(serve: Serve) -> None:
    """Nothing has to be sent for it; while sending is paused there is none."""
    service = serve(EML)
    service.live(1)
    assert service.asked("/ping") == 1
    service.live(29)
    assert service.asked("/ping") == 10
    service.app.sending.pause()
    service.live(10)
    assert service.asked("/ping") == 10
    service.app.sending.resume()
    service.live(1)
    assert service.asked("/ping") == 11


@pytest.mark.parametrize(("domain", "pings"), [("", 0), ("slow.example", 1)])
def test_no_ping_while_all_mail_is_stopped(serve: Serve, domain: str, pings: int) -> None:
    """A single domain that takes nothing is no reason to leave it out."""
    service = serve(EML)
    with service.database.write() as tx:
        row = {"domain": domain, "opened_at": NOON, "reason": "no", "probe_at": NOON}
        tx.execute(insert(breakers).values(row))
    service.live(2)
    assert service.asked("/ping") == pings
    assert service.asked("/topic") == 1


def test_a_clock_that_is_behind_is_told_without_mail(serve: Serve) -> None:
    """At once; what the URL does not take is tried again, and there is no ping meanwhile."""
    service = serve(EML)
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET latest_at = '2026-11-25 12:00:00.000000'")
    service.live(25)
    assert (service.asked("/topic"), service.asked("/ping")) == (2, 0)
    assert b"the clock says 2026-11-21 12:10 UTC" in service.web.requests[-1].body
    service.app.sending.resume()
    service.live(15)
    titles = [one.headers["title"] for one in service.web.requests if one.method == "POST"]
    assert titles[1:] == ["Daily Papers: 1 thing to look at", "Daily Papers: all is well again"]
    assert service.asked("/ping") == 5


def test_a_password_that_is_gone_is_told_without_mail(serve: Serve) -> None:
    """Mail waits and cannot go: the owner hears after an hour, once."""
    service = serve(BROKEN)
    with service.database.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO notices (kind, address, normal, subject, text, at) "
            "VALUES ('test', 'c@example.org', 'c@example.org', 's', 't', '2026-11-21 11:00:00')"
        )
        tx.exec_driver_sql(
            "INSERT INTO deliveries (notice_id, part, state, try_at, changed_at) "
            "VALUES (1, 1, 'queued', '2026-11-21 11:00:00', '2026-11-21 11:00:00')"
        )
    service.live(60)
    assert (service.asked("/topic"), service.asked("/ping")) == (0, 0)
    service.live(60)
    assert (service.asked("/topic"), service.asked("/ping")) == (2, 0)
    assert b"Sending has been stopped since 2026-11-21 12:00 UTC" in service.web.requests[-1].body
