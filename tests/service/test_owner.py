"""Alerts and pings of a running service, with a clock set by the test."""

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
    """The jobs of a service in this process, and an HTTP server for its pings and alerts."""

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

    def run(self, minutes: int) -> None:
        """Runs a tick every minute."""
        for _ in range(minutes):
            self.jobs.tick()
            self.now += MINUTE

    def asked(self, path: str) -> int:
        """Returns the number of requests for a path."""
        return self.web.paths().count(path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """Returns a function that creates services."""
    started: list[Service] = []

    def start(sections: str) -> Service:
        started.append(Service(tmp_path, sections))
        return started[-1]

    yield start
    for one in started:
        one.web.close()
        one.database.close()


Serve = Callable[[str], Service]


def test_a_ping_is_sent_every_few_minutes(serve: Serve) -> None:
    """It does not depend on mail being sent; while sending is paused, there is none."""
    service = serve(EML)
    service.run(1)
    assert service.asked("/ping") == 1
    service.run(29)
    assert service.asked("/ping") == 10
    service.app.sending.pause()
    service.run(10)
    assert service.asked("/ping") == 10
    service.app.sending.resume()
    service.run(1)
    assert service.asked("/ping") == 11


@pytest.mark.parametrize(("domain", "pings"), [("", 0), ("slow.example", 1)])
def test_no_ping_is_sent_while_all_mail_is_stopped(serve: Serve, domain: str, pings: int) -> None:
    """A breaker of a single domain does not stop pings."""
    service = serve(EML)
    with service.database.write() as tx:
        row = {"domain": domain, "opened_at": NOON, "reason": "no", "probe_at": NOON}
        tx.execute(insert(breakers).values(row))
    service.run(2)
    assert service.asked("/ping") == pings
    assert service.asked("/topic") == 1


def test_a_clock_that_is_behind_is_reported_without_mail(serve: Serve) -> None:
    """It is reported at once and retried if the URL fails; there are no pings meanwhile."""
    service = serve(EML)
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET latest_at = '2026-11-25 12:00:00.000000'")
    service.run(25)
    assert (service.asked("/topic"), service.asked("/ping")) == (2, 0)
    assert b"the clock says 2026-11-21 12:10 UTC" in service.web.requests[-1].body
    service.app.sending.resume()
    service.run(15)
    titles = [one.headers["title"] for one in service.web.requests if one.method == "POST"]
    assert titles[1:] == ["Daily Papers: 1 thing to look at", "Daily Papers: all is well again"]
    assert service.asked("/ping") == 5


def test_a_missing_password_file_is_reported_without_mail(serve: Serve) -> None:
    """Mail cannot be sent; the owner is alerted once, after an hour."""
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
    service.run(60)
    assert (service.asked("/topic"), service.asked("/ping")) == (0, 0)
    service.run(60)
    assert (service.asked("/topic"), service.asked("/ping")) == (2, 0)
    assert b"Sending has been stopped since 2026-11-21 12:00 UTC" in service.web.requests[-1].body
