"""What the owner is told of the week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.models import SubscriberState
from newsletter.storage import deliveries, subscribers
from newsletter.storage.deliveries import Filter
from newsletter.subscribers.lifecycle import line_of
from tests.support.databases import new_database

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
        """Reports are looked after every hour; when there was one."""
        found = []
        for _ in range(hours):
            self.now += HOUR
            if self.app.alerts.report(self.now):
                found.append(self.now)
        return found

    def mails(self) -> list[tuple[str, str]]:
        """Subject and text of all notices."""
        with self.database.read() as tx:
            rows = list(deliveries.listed(tx, Filter()))
            return [
                (row.subject, row.text)
                for row in tx.exec_driver_sql("SELECT subject, text FROM notices").all()
                if rows
            ]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """One whose owner wants to know."""
    return Office(tmp_path, "weekly_report = true")


def test_a_report_each_monday(office: Office) -> None:
    """At the newsletter's hour, once."""
    mondays = [(11, 23), (11, 30), (12, 7), (12, 14), (12, 21)]
    assert office.live(24 * 30) == [
        datetime(2026, month, day, 8, tzinfo=UTC) for month, day in mondays
    ]


def test_what_it_says(office: Office) -> None:
    """Papers, mails, people who came and left, and that nothing needs the owner."""
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


def test_unless_it_is_wished_there_is_none(tmp_path: Path) -> None:
    """By default the owner hears only of what needs them."""
    office = Office(tmp_path, "")
    assert office.live(24 * 15) == []
    assert office.mails() == []


def test_a_machine_that_was_off_reports_once(office: Office) -> None:
    """Three weeks later one mail, not three."""
    office.live(24 * 10)
    before = len(office.mails())
    office.now += timedelta(days=21)
    assert len(office.live(5)) == 1
    assert len(office.mails()) == before + 1


def test_servers_that_know_nobody_any_more_are_told(office: Office) -> None:
    """Once, when they are many: then it is rather our own server that is wrong."""
    for number in range(12):
        office.app.subscribers.lifecycle.add(line_of(f"reader{number}@example.org"))
    with office.database.write() as tx:
        for number in range(1, 11):
            subscribers.stop(tx, number, SubscriberState.SUPPRESSED, office.now)
    assert len(office.live(3)) == 1
    assert "10 subscribers were suppressed within a day" in office.mails()[-1][1]
