"""A dry run says what the next run sends to whom, why others get nothing, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from newsletter.app.dry_run import dry_run
from newsletter.config.parse import parse
from newsletter.config.schema import Config
from newsletter.delivery.sending import RunResult
from newsletter.editions.notice_kinds import SETTINGS
from newsletter.errors import DatabaseForeign, DatabaseMissing
from newsletter.models import Circuit
from newsletter.storage import breakers, installation, locks, notices
from newsletter.storage.generations import rewrite
from newsletter.storage.rehearsal import SentMessage
from newsletter.subscribers.address import parse_address
from tests.support.databases import file_of_revision, new_database
from tests.support.planning_room import A_DAY, DUE, HOUR, PlanningRoom
from tests.support.rehearsals import contents, rehearsed

TEXT = """
[newsletter]
time_zone = "Europe/Berlin"
send_at = "08:30"
sender = "papers@example.org"
owner = "owner@example.org"
{}
[database]
url = "sqlite:///papers.db"
"""
NEXT = "Saturday 2026-11-21 at 08:30 (Europe/Berlin)"


class Office:
    """A newsletter with the subscribers ana and ben, who are due now, and three papers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.room = PlanningRoom(new_database(folder / "papers.db"))
        for name in ("ana", "ben"):
            self.room.join(name)
        self.room.papers(1, 2, 3)
        self.room.now = DUE
        self.more = ""
        self.result = RunResult()
        self.messages: list[SentMessage] = []

    @property
    def config(self) -> Config:
        """Returns the configuration."""
        return parse(TEXT.format(self.more), {}, where="config.toml", folder=self.folder)

    def unsent(self, *, due_now: bool = False) -> dict[str, str]:
        """Returns why subscribers would receive nothing; nothing is changed."""
        before = contents(self.folder)
        with dry_run(self.config, self.room.clock) as dry:
            place = dry.app.database.file.parent
            assert place.stat().st_mode & 0o777 == 0o700
            self.result = rehearsed(dry, due_now=due_now)
            self.messages = list(dry.sent())
            found = {
                one.address.partition("@")[0]: one.reason
                for one in dry.unsent(self.result, due_now=due_now)
            }
        assert not place.exists()
        assert contents(self.folder) == before
        return found

    @property
    def addresses(self) -> list[str]:
        """Returns the subscribers who would receive mail."""
        return [one.address.partition("@")[0] for one in self.messages if one.subscriber]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A newsletter at the time when its subscribers are due."""
    return Office(tmp_path)


def test_who_is_due_receives_the_edition(office: Office) -> None:
    """Each message with its subject and number of papers."""
    assert office.unsent() == {}
    assert office.addresses == ["ana", "ben"]
    (about,) = {(one.papers, one.subject, one.was_queued) for one in office.messages}
    assert about == (3, about[1], False)
    assert "Lamp" in about[1]


def _paused(office: Office) -> None:
    office.room.lifecycle.pause(parse_address("ana@example.org"))


def _paused_until(office: Office) -> None:
    _paused(office)
    office.room.sql("UPDATE subscribers SET paused_until = '2026-12-01' WHERE state = 'paused'")


def _unsubscribed(office: Office) -> None:
    office.room.lifecycle.unsubscribe(parse_address("ana@example.org"))


def _pending(office: Office) -> None:
    office.room.sql(
        "UPDATE subscribers SET state = 'pending', next_due_at = NULL WHERE address LIKE 'ana%'"
    )


def _suppressed(office: Office) -> None:
    office.room.sql(
        "UPDATE subscribers SET state = 'suppressed', next_due_at = NULL WHERE address LIKE 'ana%'"
    )


def _due_later(office: Office) -> None:
    office.room.sql(
        "UPDATE subscribers SET next_due_at = '2026-11-21 07:30:00.000000' "
        "WHERE address LIKE 'ana%'"
    )


def _has_everything(office: Office) -> None:
    office.room.sql("UPDATE subscribers SET cursor = 3 WHERE address LIKE 'ana%'")


def _deferred(office: Office) -> None:
    office.room.plan()
    office.room.sql(
        "UPDATE deliveries SET state = 'deferred', try_at = '2026-11-20 08:00:00.000000' "
        "WHERE subscriber_id = 1"
    )


def _sending_elsewhere(office: Office) -> None:
    office.room.plan()
    office.room.sql("UPDATE deliveries SET state = 'sending', claimed_by = 'ab' WHERE id = 1")
    office.room.sql("UPDATE deliveries SET try_at = NULL WHERE id = 1")


def _circuit(office: Office) -> None:
    office.room.plan()
    office.room.sql("UPDATE subscribers SET domain = 'slow.example' WHERE address LIKE 'ana%'")
    with office.room.database.write() as tx:
        breakers.save(tx, Circuit("slow.example", "550 no", DUE, DUE + HOUR))


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (_paused, "paused"),
        (_paused_until, "paused until 2026-12-01"),
        (_unsubscribed, "unsubscribed"),
        (_pending, "not confirmed yet"),
        (_suppressed, "suppressed"),
        (_due_later, f"not due until {NEXT}"),
        (_has_everything, "no new papers"),
        (_deferred, "the mail was deferred and is tried again on Friday 2026-11-20 at 09:00 (Euro"),
        (_circuit, "mail to slow.example has been held back since 2026-11-20 07:30 UTC (550 no)"),
    ],
)
def test_why_a_subscriber_receives_nothing(
    office: Office, happens: Callable[[Office], None], reason: str
) -> None:
    """The other one receives the edition."""
    happens(office)
    (name, said), *others = office.unsent().items()
    assert (name, others, office.addresses) == ("ana", [], ["ben"])
    assert said == reason if len(reason) < 50 else said.startswith(reason)


def test_due_now_sends_to_subscribers_who_are_due_later(office: Office) -> None:
    """As the run with that option does."""
    _due_later(office)
    assert office.unsent(due_now=True) == {}
    assert office.addresses == ["ana", "ben"]


def test_mail_in_the_hands_of_a_sender_that_is_alive(office: Office) -> None:
    """It is left alone; a sender that is dead leaves mail that may have arrived."""
    _sending_elsewhere(office)
    with locks.sender(office.folder / "papers.db", "ab"):
        assert office.unsent() == {"ana": "the mail is being sent by another process"}
    assert office.unsent() == {"ana": "no new papers"}
    assert sum(office.result.summary.counts.values()) == 2


def test_mail_that_is_queued_already(office: Office) -> None:
    """Editions and notices are told apart from what the run plans."""
    office.room.plan()
    with office.room.database.write() as tx:
        notices.add(tx, SETTINGS, "ana@example.org", "ana@example.org", "Hi", "Yes.\n", DUE)
    office.room.papers(4)
    office.room.now += A_DAY
    assert office.unsent() == {}
    found = [(one.was_queued, one.papers, one.address[:3]) for one in office.messages]
    assert found == [
        (True, 3, "ana"),
        (True, 3, "ben"),
        (True, 0, "ana"),
        (False, 1, "ana"),
        (False, 1, "ben"),
    ]


def test_a_limit_of_the_day(office: Office) -> None:
    """As many as may be sent are; the others wait."""
    office.more = "[delivery]\nmax_per_day = 1"
    assert office.unsent() == {"ben": "the day's limit (max_per_day) is reached"}
    assert office.result.summary.limited


def test_rates_cost_no_time(office: Office) -> None:
    """A run that would take hours is foreseen at once."""
    office.more = "[delivery]\nmax_per_second = 0.001\n[delivery.per_domain]\n'example.org' = 0.001"
    assert office.unsent() == {}


def test_all_sending_is_paused(office: Office) -> None:
    """Every subscriber who is due waits for that reason."""
    with office.room.database.write() as tx:
        installation.pause(tx, office.room.now)
    _due_later(office)
    found = office.unsent()
    assert found["ana"].startswith("not due until")
    assert found["ben"].startswith("paused: all sending is stopped")
    assert office.messages == []


def test_an_edition_that_is_held(office: Office) -> None:
    """Its subscribers are told apart from those who are due later."""
    office.room.history(1, 1, 1, 1, 1)
    office.room.papers(*range(10, 30), source="flood")
    _due_later(office)
    found = office.unsent()
    assert found["ana"].startswith("not due until")
    assert found["ben"].startswith("edition 6 is held for review (")
    assert [row.id for row in office.result.planned.held] == [6]


def test_a_clock_that_is_wrong_and_a_database_that_is_older(office: Office) -> None:
    """Nothing would be sent; messages name the installation's files, not those of the copy."""
    with office.room.database.write() as tx:
        installation.note_instant(tx, DUE + A_DAY)
    found = office.unsent()
    assert found == dict.fromkeys(("ana", "ben"), office.result.stopped)
    assert office.result.stopped.startswith("the clock says 2026-11-20 07:30 UTC")
    office.room.now += 2 * A_DAY
    rewrite(office.folder / "papers.db", 99)
    found = office.unsent()
    assert found["ana"].startswith(f"{office.folder}/papers.db: this database is older than")


@pytest.mark.parametrize(("more", "reports"), [("", 1), ('alert_command = "touch told"', 0)])
def test_the_owner_is_not_told(office: Office, more: str, reports: int) -> None:
    """A report that the run would mail is among its messages; a command is not run."""
    office.more = more
    office.room.plan()
    office.room.sql("UPDATE deliveries SET state = 'unknown', try_at = NULL WHERE id = 1")
    office.unsent()
    kinds = [one.edition for one in office.messages if one.address == "owner@example.org"]
    assert kinds == ["report"] * reports


def test_an_older_schema_is_migrated_in_the_copy_only(tmp_path: Path) -> None:
    """The next run migrates the database itself."""
    path = file_of_revision(tmp_path / "papers.db", "1")
    before = path.read_bytes()
    config = parse(TEXT.format(""), {}, where="config.toml", folder=tmp_path)
    with dry_run(config) as dry:
        assert rehearsed(dry, due_now=True).stopped == ""
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["papers.db"]


def test_a_database_that_is_not_there_or_not_ours(tmp_path: Path) -> None:
    """It is neither created nor changed, and named by its own path."""
    config = parse(TEXT.format(""), {}, where="config.toml", folder=tmp_path)
    with pytest.raises(DatabaseMissing), dry_run(config):
        pass
    path = tmp_path / "papers.db"
    path.touch(0o640)
    with pytest.raises(DatabaseMissing, match=str(path)), dry_run(config):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE things (id)")
        other.execute("CREATE TABLE others (id)")
    with pytest.raises(DatabaseForeign, match=str(path)), dry_run(config):
        pass
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["papers.db"]


def test_the_copy_is_deleted_when_it_is_interrupted(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C, for example."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    left: list[int] = []
    with pytest.raises(KeyboardInterrupt), dry_run(office.config, office.room.clock):
        left.append(len(list(place.iterdir())))
        raise KeyboardInterrupt
    assert left == [1]
    assert list(place.iterdir()) == []
