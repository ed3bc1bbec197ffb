"""What the owner is told: the weekly report, and mail that no server accepts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from newsletter.app.composition import App
from newsletter.config.file import load_config
from newsletter.config.parse import parse
from newsletter.models import SubscriberState
from newsletter.planning.plan import PlanResult
from newsletter.storage import deliveries, installation, subscribers
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Filter
from newsletter.storage.schema import breakers
from newsletter.subscribers.lifecycle import line_of
from tests.support.databases import new_database
from tests.support.newsroom import Newsroom
from tests.support.smtp_process import Fault, MailServer

SATURDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Office:
    """A newsletter to a clock of its own.

    Args:
        more: further lines of `[newsletter]`.
    """

    def __init__(self, folder: Path, more: str) -> None:
        text = f'[newsletter]\nowner = "owner@example.org"\nsend_at = "07:30"\n{more}\n'
        self.now = SATURDAY
        self.database = new_database(folder / "papers.db")
        config = parse(text, {}, where="config.toml", folder=folder)
        self.app = App(config, self.database, lambda: self.now)

    def live(self, hours: int) -> list[datetime]:
        """Checks for reports every hour until this time."""
        found = []
        for _ in range(hours):
            self.now += HOUR
            if self.app.alerts.report(self.now):
                found.append(self.now)
        return found

    def mails(self) -> list[tuple[str, str]]:
        """Returns subject and text of all notices."""
        with self.database.read() as tx:
            rows = list(deliveries.listed(tx, Filter()))
            return [
                (row.subject, row.text)
                for row in tx.exec_driver_sql("SELECT subject, text FROM notices").all()
                if rows
            ]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """One whose owner gets the weekly report."""
    return Office(tmp_path, "weekly_report = true")


def test_a_report_each_monday(office: Office) -> None:
    """At the newsletter's send time, once."""
    mondays = [(11, 23), (11, 30), (12, 7), (12, 14), (12, 21)]
    assert office.live(24 * 30) == [
        datetime(2026, month, day, 8, tzinfo=UTC) for month, day in mondays
    ]


def test_what_it_says(office: Office) -> None:
    """Papers, mails, new and unsubscribed subscribers, and that no action is needed."""
    office.live(24 * 3)
    for name in ("ada", "grace", "emmy"):
        office.app.subscribers.lifecycle.add(line_of(f"{name}@example.org"))
    office.app.subscribers.preference_centre.unsubscribe(1)
    before = len(office.mails())
    office.live(24 * 7)
    (subject, text), *others = office.mails()[before:]
    assert others == []
    assert subject == "Daily Papers: the week since 2026-11-23"
    assert "New papers: 0. Mails sent: 0." in text
    assert "2 active, 0 paused; 3 joined, 1 left." in text
    assert "No action needed." in text


def test_the_weekly_report_is_off_by_default(tmp_path: Path) -> None:
    """Otherwise the owner is only told of problems."""
    office = Office(tmp_path, "")
    assert office.live(24 * 15) == []
    assert office.mails() == []


def test_a_machine_that_was_off_reports_once(office: Office) -> None:
    """After three weeks, one mail and not three."""
    office.live(24 * 10)
    before = len(office.mails())
    office.now += timedelta(days=21)
    assert len(office.live(5)) == 1
    assert len(office.mails()) == before + 1


def test_a_surge_of_suppressions_is_reported(office: Office) -> None:
    """Once: if there are many, the fault is probably in our own server."""
    for number in range(12):
        office.app.subscribers.lifecycle.add(line_of(f"reader{number}@example.org"))
    with office.database.write() as tx:
        for number in range(1, 11):
            subscribers.stop(tx, number, SubscriberState.SUPPRESSED, office.now)
    assert len(office.live(3)) == 1
    assert "10 subscribers were suppressed within a day" in office.mails()[-1][1]


# Mail that no server takes


ANA, BEN, CLEO, DAN = (f"{name}@{name}.example" for name in ("ana", "ben", "cleo", "dan"))
OWNER = "owner@papers.example"
BEGAN = datetime(2026, 11, 20, 7, 47, 13, tzinfo=UTC)
LATER = "451 4.7.1 try again later"


class Post:
    """A newsletter that sends to a real server, with a clock that the test sets."""

    def __init__(self, folder: Path, server: MailServer, *people: str) -> None:
        room = Newsroom(folder / "room", server.port, sessions=1)
        room.add_papers()
        room.subscribe(people)
        self.now = BEGAN
        config = load_config(str(room.folder / "config.toml"))
        self.database = Database(config.database.url)
        self.app = App(config, self.database, lambda: self.now)
        for report in self.app.sources.ingest_configured():
            assert report.held is None
        self.plan()

    def plan(self) -> None:
        """Plans the new papers for every subscriber."""
        self.planned = self.app.planner.plan(due_now=True)

    def run(self, now: datetime) -> set[str]:
        """Sends what is queued and reports. Returns the problems that need the owner's
        attention.
        """
        self.now = now
        self.app.sending.send(PlanResult(), threading.Event(), lambda _summary, _total: None)
        return {alert.name for alert in self.app.alerts.current(now)}

    def rows(self) -> list[deliveries.DeliveryRow]:
        """Returns all deliveries."""
        with self.database.read() as tx:
            return list(deliveries.listed(tx, Filter()))

    def words(self) -> str:
        """Returns the current problems."""
        return " ".join(alert.words for alert in self.app.alerts.current(self.now))


Open = Callable[..., Post]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A server that accepts everything at first."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def post(tmp_path: Path, server: MailServer) -> Iterator[Open]:
    """Makes a `Post` for these subscribers."""
    opened: list[Post] = []

    def make(*people: str) -> Post:
        opened.append(Post(tmp_path, server, *people))
        return opened[-1]

    yield make
    for one in opened:
        one.database.close()


def reports(server: MailServer) -> list[str]:
    """Returns the subjects of the reports that the owner was sent."""
    return [one.subject for one in server.taken() if one.recipient == OWNER]


@pytest.mark.parametrize("people", [(ANA, BEN, CLEO), (ANA,)])
def test_nothing_accepted_for_four_hours(
    post: Open, server: MailServer, people: tuple[str, ...]
) -> None:
    """The owner is told after that time, and not a minute before."""
    server.plan(*(Fault("RCPT", LATER, to=address) for address in people))
    one = post(*people)
    assert one.run(BEGAN) == set()
    assert one.run(BEGAN + 4 * HOUR - timedelta(minutes=1)) == set()
    assert reports(server) == []
    assert one.run(BEGAN + 4 * HOUR) == {"nothing accepted"}
    assert reports(server) == ["Daily Papers: 1 thing to look at"]
    assert "since 2026-11-20 07:47 UTC" in one.words()
    assert f"{len(people)} deferred, 0 refused" in one.words()


@pytest.mark.parametrize("people", [(ANA, BEN, CLEO), (ANA,)])
def test_everything_refused_is_an_open_breaker(
    post: Open, server: MailServer, people: tuple[str, ...]
) -> None:
    """The owner is told immediately, once, and again when it is over."""
    server.plan(*(Fault("RCPT", "550 no", to=address) for address in people))
    one = post(*people)
    assert one.run(BEGAN) == {"breaker"}
    assert "newsletter continue" in one.words()
    assert one.run(BEGAN + HOUR / 2) == {"breaker"}
    assert reports(server) == ["Daily Papers: 1 thing to look at"]
    server.plan()
    assert one.run(BEGAN + 2 * HOUR) == set()
    assert reports(server)[1:] == ["Daily Papers: all is well again"]
    assert server.recipients()[people[0]] == 1


def test_an_accepted_report_does_not_resolve_its_problem(post: Open, server: MailServer) -> None:
    """The problem is resolved once subscribers are sent mail, not because the owner was."""
    server.plan(*(Fault("RCPT", LATER, to=address) for address in (ANA, BEN)))
    one = post(ANA, BEN)
    one.run(BEGAN)
    for hours in (4, 5, 9):
        assert one.run(BEGAN + hours * HOUR) == {"nothing accepted"}
    assert len(reports(server)) == 1
    server.plan()
    assert one.run(BEGAN + 14 * HOUR) == set()
    assert reports(server)[1:] == ["Daily Papers: all is well again"]
    one.run(BEGAN + 15 * HOUR)
    assert len(reports(server)) == 2


def test_a_report_of_it_is_deferred_too(post: Open, server: MailServer) -> None:
    """If the server accepts nothing at all, the report waits for it as well."""
    server.plan(Fault("RCPT", LATER))
    one = post(ANA, BEN)
    one.run(BEGAN)
    for hours in (4, 5, 6, 7):
        one.run(BEGAN + hours * HOUR)
        with one.database.read() as tx:
            assert installation.get(tx).alerted == ()
    assert [row.state for row in one.rows() if row.edition == "report"] == ["deferred"]
    server.plan()
    one.run(BEGAN + 14 * HOUR)
    assert reports(server) == [
        "Daily Papers: 1 thing to look at",
        "Daily Papers: all is well again",
    ]


def test_one_full_mailbox_is_not_reported(post: Open, server: MailServer) -> None:
    """While mail to others is accepted, or was, one that is deferred for days is not reported."""
    server.plan(Fault("RCPT", "452 4.2.2 full", to=ANA))
    one = post(ANA, BEN, CLEO)
    for hours in (0, 1, 4, 10):
        assert one.run(BEGAN + hours * HOUR) == set()
    server.plan(*(Fault("RCPT", "452 4.2.2 full", to=address) for address in (ANA, DAN)))
    one.app.subscribers.lifecycle.add(line_of(DAN))
    one.plan()
    for hours in (11, 15, 47):
        assert one.run(BEGAN + hours * HOUR) == set()
    assert {row.address for row in one.rows() if row.state == "deferred"} == {ANA, DAN}
    assert reports(server) == []


def test_a_server_that_stops_accepting(post: Open, server: MailServer, tmp_path: Path) -> None:
    """Four hours are counted from the first mail that failed, not from the last that was
    accepted.
    """
    one = post(ANA, BEN, CLEO)
    assert one.run(BEGAN) == set()
    failed = BEGAN + timedelta(days=1)
    one.now = failed
    room = Newsroom(tmp_path / "room", server.port, sessions=1)
    room.add_papers()
    assert [report.held for report in one.app.sources.ingest_configured()][-1] is None
    one.plan()
    server.plan(*(Fault("RCPT", LATER, to=address) for address in (ANA, BEN, CLEO)))
    assert one.run(failed) == set()
    assert one.run(failed + 4 * HOUR - timedelta(minutes=1)) == set()
    assert one.run(failed + 4 * HOUR) == {"nothing accepted"}


@pytest.mark.parametrize("domain", ["", "slow.example"])
def test_an_open_breaker(post: Open, domain: str) -> None:
    """The owner is told immediately what is stopped, since when, why, and what to do."""
    one = post()
    with one.database.write() as tx:
        row = {"domain": domain, "opened_at": BEGAN, "reason": "550 5.7.1 no", "probe_at": BEGAN}
        tx.execute(insert(breakers).values(row))
    (alert,) = one.app.alerts.current(BEGAN)
    assert alert.name == f"breaker {domain}".strip()
    assert alert.concerns_all_mail == (not domain)
    what = f"Mail to {domain}" if domain else "All mail"
    since = "has been held back since 2026-11-20 07:47 UTC (550 5.7.1 no); "
    assert alert.words.startswith(f"{what} {since}")
    assert "`newsletter continue`" in alert.words
    assert "one message an hour" in alert.words
    assert one.app.alerts.report(BEGAN)
