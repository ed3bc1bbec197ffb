"""What prevents mail from being sent is recorded, shown by `status`, and reported to the owner."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.delivery.recorder import Limits
from newsletter.delivery.run import DeliveryRun
from newsletter.editions.notice_kinds import SETTINGS
from newsletter.messages.mime import Sender
from newsletter.models import DeliveryState
from newsletter.service.jobs import Jobs
from newsletter.storage import installation, notices
from newsletter.storage.database import Database
from newsletter.subscribers.lifecycle import line_of
from newsletter.transports.base import Settings
from newsletter.transports.table import TRANSPORTS
from tests.support.captures import api_json, made
from tests.support.commands import newsletter, rows_of
from tests.support.planning_room import DUE, PlanningRoom

CONFIG = """
[newsletter]
owner = "keeper@example.org"
sender = "papers@example.org"
send_at = "07:30"
[[sources]]
name = "saved"
path = "saved"
[theme]
templates_dir = "mine"
"""
EML = '[delivery]\ntransport = "eml"\n'
SMTP = """
[delivery]
transport = "smtp"
[transports.smtp]
host = "127.0.0.1"
security = "none"
username = "papers"
password_file = "nowhere"
"""
HOUR = timedelta(hours=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A newsletter with two subscribers and new papers for them."""
    publish(tmp_path, "2026-11-19", "Lamps", "Oil")
    (tmp_path / "mine" / "themes" / "default").mkdir(parents=True)
    (tmp_path / "config.toml").write_text(CONFIG + EML)
    for name in ("ada", "bob"):
        newsletter("subscribers", "add", f"{name}@example.net", cwd=tmp_path)
    return tmp_path


def publish(place: Path, day: str, *titles: str) -> None:
    """Adds a day's list to the folder, old enough to be read."""
    file = place / "saved" / f"{day}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(api_json(made(*titles)))
    os.utime(file, (0, 0))


def spoil(place: Path) -> Path:
    """Breaks the theme's template."""
    file = place / "mine" / "themes" / "default" / "edition.txt.j2"
    file.write_text("{% for paper in %}")
    return file


def idle_reason(place: Path) -> str:
    """Returns the last line of `status`."""
    return str(rows_of(newsletter("status", "--json", cwd=place))[-1]["silence"])


def test_a_password_that_cannot_be_read(place: Path) -> None:
    """The run ends before anything is attempted, and `status` says why mail waits."""
    (place / "config.toml").write_text(CONFIG + EML + "max_per_day = 1\n")
    assert newsletter("run", "--due-now", cwd=place).returncode == 3
    (place / "config.toml").write_text(CONFIG + SMTP)
    assert newsletter("run", cwd=place).returncode == 2
    said = idle_reason(place)
    assert said.startswith("held: 1 mail has been waiting since ")
    assert "password_file: cannot be read" in said


def test_the_limit_of_a_day(place: Path) -> None:
    """The run that reaches it says so, and so do the next one and `status`."""
    (place / "config.toml").write_text(CONFIG + EML + "max_per_day = 1\n")
    for expected in (1, 0):
        done = newsletter("run", "--due-now", "--json", cwd=place)
        row = rows_of(done)[-1]
        assert (done.returncode, row["sent"], row["limited"]) == (3, expected, True)
    assert "max_per_day" in row["silence"]
    assert idle_reason(place).startswith("held: 1 mail has been waiting since ")
    assert "max_per_day" in idle_reason(place)
    (place / "config.toml").write_text(CONFIG + EML)
    assert newsletter("run", cwd=place).returncode == 0
    assert idle_reason(place).startswith("nothing new: ")


def test_a_theme_that_is_broken(place: Path) -> None:
    """A run says so, and so does `status`, until an edition can be built again."""
    file = spoil(place)
    with closing(_opened(place, datetime.now(UTC) + timedelta(days=1, hours=1))) as app:
        app.subscribers.lifecycle.add(line_of("cy@example.net"))
    assert newsletter("run", "--due-now", cwd=place).returncode == 3
    with closing(_opened(place, datetime.now(UTC) + timedelta(days=2))) as app:
        said = app.status.read().idle_reason
    assert said.startswith("held: 2 new papers have been waiting since ")
    assert "fix the template" in said
    file.unlink()
    assert newsletter("run", "--due-now", cwd=place).returncode == 0
    assert idle_reason(place).startswith("nothing new: ")


def _opened(place: Path, now: datetime) -> App:
    config = parse((place / "config.toml").read_text(), {}, where="config.toml", folder=place)
    return App(config, clock=lambda: now)


@pytest.fixture
def office(place: Path) -> Iterator[_Office]:
    """The same newsletter, served in this process, with a clock that the test sets."""
    one = _Office(place)
    yield one
    one.database.close()


class _Office:
    def __init__(self, place: Path) -> None:
        self.now = datetime(
            2100, 1, 4, 7, 30, tzinfo=UTC
        )  # long after every subscriber is first due
        self.database = Database(f"sqlite:///{place}/newsletter.db")
        self.outbox = place / "outbox"
        self._place = place
        self.restart()

    def restart(self) -> None:
        """Starts the service again, with the theme as it is now."""
        text = (self._place / "config.toml").read_text()
        config = parse(text, {}, where="config.toml", folder=self._place)
        self.app = App(config, self.database, lambda: self.now)
        self.jobs = Jobs(self.app, config, lambda: self.now, threading.Event())

    def live(self, hours: int) -> None:
        """Advances the clock and lets the service work."""
        for _ in range(hours * 6):
            for job in self.jobs.captures_due():
                job()
            self.jobs.tick()
            self.now += HOUR / 6

    def mails(self) -> list[str]:
        """Returns the recipients of the mails so far, ordered by file name."""
        texts = [path.read_text() for path in sorted(self.outbox.glob("*.eml"))]
        lines = (line for text in texts for line in text.splitlines())
        return sorted(line.removeprefix("To: ") for line in lines if line.startswith("To: "))


def test_a_service_with_a_broken_theme_sends_queued_mail(office: _Office, place: Path) -> None:
    """The owner is told once, and once more when it is resolved."""
    readers = ["ada@example.net", "bob@example.net"]
    office.live(1)
    assert office.mails() == readers
    with office.database.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET state = 'queued', try_at = '2100-01-05 07:00'")
    for file in office.outbox.iterdir():
        file.unlink()
    publish(place, "2026-11-20", "Lamps", "Oil", "Boats")
    file = spoil(place)
    office.restart()
    office.live(48)
    assert office.mails() == [*readers, "keeper@example.org"]
    said = office.app.status.read().idle_reason
    assert said.startswith("held: 1 new paper has been waiting since 2100-01-06 07:30 UTC, because")
    file.unlink()
    office.restart()
    office.live(3)
    assert office.mails() == [*sorted(readers * 2), *["keeper@example.org"] * 2]
    assert office.app.status.read().idle_reason.startswith("nothing new: ")


def test_no_run_happened_when_a_subscriber_was_due(office: _Office) -> None:
    """The message says so, and what to do."""
    for job in office.jobs.captures_due():
        job()
    said = office.app.status.read().idle_reason
    assert said.startswith("held: 2 new papers have been waiting since ")
    assert "nothing has run since" in said


def test_an_edition_in_two_parts_is_sent_once(database: Database) -> None:
    """Summaries count editions; both mails are sent."""
    room = PlanningRoom(database)
    room.papers(*range(1, 421))
    room.crowd(3)
    room.plan(DUE)
    transport = TRANSPORTS["null"](Settings())
    origin = Origin(
        Sender("Lamps", Address("Lamps", "papers", "example.org"), owner="o@example.org")
    )
    personaliser = Personaliser(database, origin, transport.encoded)
    delivery = DeliveryRun(
        database, transport, personaliser, Limits(), room.clock, threading.Event()
    )
    summary = delivery.run()
    assert (summary[DeliveryState.SENT], summary.further_parts, summary.done) == (3, 3, 6)
    assert room.states() == {DeliveryState.SENT: 6}


def test_sending_a_notice_keeps_the_reason_why_editions_wait(office: _Office) -> None:
    """With its time, while confirmation mails are sent."""
    office.app.sending.note_stopped("the theme is broken")
    with office.database.write() as tx:
        notices.add(tx, SETTINGS, "ada@example.net", "ada@example.net", "Hi", "Yes.\n", office.now)
    office.app.sending.send_notices(threading.Event(), lambda _summary, _total: None)
    assert office.mails() == ["ada@example.net"]
    with office.database.read() as tx:
        assert installation.get(tx).stopped == "the theme is broken"


def test_a_reason_is_withdrawn_unless_another_replaced_it(office: _Office) -> None:
    """Successful planning withdraws only the reason that planning recorded."""
    office.app.sending.note_stopped("the server refuses")
    office.app.sending.withdraw_stopped("the database is locked")
    with office.database.read() as tx:
        assert installation.get(tx).stopped == "the server refuses"
    office.app.sending.withdraw_stopped("the server refuses")
    with office.database.read() as tx:
        assert (installation.get(tx).stopped, installation.get(tx).stopped_at) == ("", None)


def test_a_successful_tick_withdraws_an_earlier_failure(office: _Office) -> None:
    """A database error that has passed is not reported for ever."""
    office.live(1)  # everything is sent: the next tick has nothing to do
    with closing(sqlite3.connect(office.database.file, isolation_level=None)) as other:
        other.execute("ALTER TABLE log_head RENAME TO elsewhere")
        office.now += 24 * HOUR  # subscribers are due: planning reads the log
        office.jobs.tick()
        with office.database.read() as tx:
            assert "unexpected" in installation.get(tx).stopped
        other.execute("ALTER TABLE elsewhere RENAME TO log_head")
    office.jobs.tick()
    with office.database.read() as tx:
        assert installation.get(tx).stopped == ""
