"""The effect of a restore on subscribers, on waiting mail and on the file itself.

A readable newer database takes precedence about subscribers. Without one, nothing is sent that may
have been sent before. And at every moment there is a database: the old one or the restored one.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.headerregistry import Address
from pathlib import Path

import pytest

from newsletter.app import maintenance
from newsletter.app.maintenance import Restored
from newsletter.config.schema import Config
from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.delivery.recorder import Limits
from newsletter.delivery.run import DeliveryRun
from newsletter.editions.notices import Notices
from newsletter.messages.links import SubscriberLinks
from newsletter.messages.mime import Sender
from newsletter.models import Capture
from newsletter.papers.ingest import Ingest
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.storage import editions, pruning
from newsletter.storage.database import Database
from newsletter.storage.requests import RequestKind
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.expiry import Expiry
from newsletter.subscribers.preferences import PreferenceCentre
from newsletter.subscribers.settings_links import SettingsLinks
from newsletter.subscribers.signup import Signup
from newsletter.subscribers.visitor_mail import VisitorMail
from newsletter.subscribers.visitor_requests import VisitorRequests
from tests.support.builders import day
from tests.support.commands import newsletter, rows_of
from tests.support.databases import file_of_revision
from tests.support.planning_room import A_DAY, DUE, HOUR, PlanningRoom, capture
from tests.support.scripted_transport import ScriptedTransport, papers_in

ORIGIN = Origin(
    Sender("Harbour", Address("Harbour", "papers", "harbour.example"), owner="me@harbour.example")
)
ALL_SUBSCRIBERS = "SELECT * FROM subscribers ORDER BY id"


class Room(PlanningRoom):
    """A newsletter whose database is copied, lost and restored."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "news.db"
        self.copy = folder / "copy.db"
        self.config = Config.model_validate({"database": {"url": f"sqlite:///{self.file}"}})
        super().__init__(Database(f"sqlite:///{self.file}"))
        self.post = ScriptedTransport()

    @property
    def preference_centre(self) -> PreferenceCentre:
        """The use cases of the preferences page."""
        return PreferenceCentre(self.database, self.lifecycle, self.rules, self.clock)

    @property
    def links(self) -> SubscriberLinks:
        """The links in mails."""
        return SubscriberLinks("https://h.example", (self.database.keys.links,))

    @property
    def signup(self) -> Signup:
        """The use cases of the sign-up page."""
        mail = VisitorMail(Notices(), self.links, "Harbour")
        return Signup(self.database, self.rules, mail, self.links, self.clock)

    @property
    def visitor_requests(self) -> VisitorRequests:
        """The handling of visitors' requests."""
        mail = VisitorMail(Notices(), self.links, "Harbour")
        return VisitorRequests(self.database, self.rules, mail, self.links, self.clock)

    @property
    def settings_links(self) -> SettingsLinks:
        """The use cases that verify and end preferences links."""
        return SettingsLinks(self.database, self.links, self.clock)

    def settings_token(self, name: str) -> str:
        """Returns a new token of a subscriber's preferences link."""
        return self.links.settings_token(self.person(name), self.now)

    def revoke(self, name: str) -> None:
        """Ends all links of a subscriber."""
        self.lifecycle.revoke(parse_address(f"{name}@example.org"))

    def backup(self) -> None:
        """Makes a copy; the clock is then an hour later."""
        maintenance.backup(self.config, self.copy, replace=True)
        self.now += HOUR

    def restore(self, *, lost: bool = False) -> Restored:
        """Restores the copy, onto nothing if `lost`."""
        self.database.close()
        if lost:
            for file in self.file.parent.glob("news.db*"):
                file.unlink()
        done = maintenance.restore(self.config, self.copy, self.now)
        self.database = Database(f"sqlite:///{self.file}")
        return done

    def deliver(self) -> None:
        """Sends what waits."""
        personaliser = Personaliser(self.database, ORIGIN, self.post.encoded)
        limits = Limits(sessions=1, give_up_after=timedelta(days=3), retry_interval=0.0)
        DeliveryRun(
            self.database, self.post, personaliser, limits, self.clock, threading.Event()
        ).run()

    def run(self, days: int = 0) -> None:
        """Plans and sends on this day, at the time when subscribers are due."""
        self.plan(DUE + days * A_DAY)
        self.deliver()

    def inbox(self, name: str) -> list[list[int]]:
        """Returns the papers of each edition that arrived at an address."""
        whose = f"{name}@example.org"
        found = (sorted(papers_in(one)) for one in self.post.taken if one.recipient == whose)
        return [papers for papers in found if papers]

    def papers_released(self, number: int, day: date) -> None:
        """Announces a paper that was held first."""
        taken = Capture(capture([number], day), "held", self.now)
        ingest = Ingest(self.database, self.clock)
        (report,) = ingest.captures("harbour", [taken])
        assert report.held
        assert report.snapshot
        SnapshotReview(self.database, self.clock).release(report.snapshot)

    def subscriber_states(self) -> dict[str, str]:
        """Returns the state of each subscriber."""
        return {one.address.partition("@")[0]: one.state for one in self.lifecycle.listed()}

    def change_address(self, old: str, new: str) -> None:
        """A subscriber requests another address and confirms it."""
        self._confirm(RequestKind.CHANGE, self.change_asked(old, new))

    def change_asked(self, old: str, new: str) -> str:
        """A subscriber requests another address. Returns the link that confirms it."""
        person = self.person(old).id
        self.signup.ask_change(person, parse_address(f"{new}@example.org"), "net")
        self.visitor_requests.work()
        return self.links.change(self._asked(), self.now)

    def confirm(self) -> None:
        """Confirms the newest request to subscribe."""
        self._confirm(RequestKind.SUBSCRIBE, self.links.confirm(self._asked(), self.now))

    def _asked(self) -> int:
        ((number,),) = self.rows("SELECT max(id) FROM requests")
        return int(number)

    def _confirm(self, kind: RequestKind, link: str) -> None:
        assert self.signup.confirm(kind, link.rsplit("/", 1)[1], "net")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A newsletter with one paper."""
    room = Room(tmp_path)
    room.papers(1)
    yield room
    room.database.close()


def leave(room: Room, name: str) -> None:
    """A subscriber unsubscribes by their link."""
    room.preference_centre.unsubscribe(room.person(name).id)


def test_subscribers_are_taken_from_the_newer_database(room: Room) -> None:
    """This applies to those who joined, confirmed, paused, resumed, returned or moved."""
    for name in ("back", "stays", "left", "moves", "leaves", "picks"):
        room.join(name)
    room.preference_centre.pause(room.person("back").id, None)
    leave(room, "left")
    room.signup.ask(parse_address("pend@example.org"), "net")
    room.visitor_requests.work()
    room.run()
    room.backup()
    room.preference_centre.resume(room.person("back").id)
    room.confirm()
    for name in ("left", "joins"):
        room.join(name)
    room.preference_centre.pause(room.person("stays").id, (room.now + 3 * A_DAY).date())
    leave(room, "leaves")
    room.preference_centre.explain(room.person("leaves").id, "too many")
    room.preference_centre.change(room.person("picks").id, topics=("lamps",))
    room.change_address("moves", "moved")
    room.signup.ask(parse_address("asks@example.org"), "net")
    before = room.rows(ALL_SUBSCRIBERS), room.rows("SELECT * FROM requests ORDER BY id")
    done = room.restore()
    assert (done.merged, done.back, done.away) == (True, 0, 0)
    assert (room.rows(ALL_SUBSCRIBERS), room.rows("SELECT * FROM requests ORDER BY id")) == before
    room.visitor_requests.work()
    for days in range(1, 6):
        room.papers(1 + days, day=day(days))
        Expiry(room.database, room.rules, room.clock).tidy()
        room.run(days)
    assert room.subscriber_states() == {
        **dict.fromkeys(("back", "stays", "left", "moved", "picks", "pend", "joins"), "active"),
        "leaves": "unsubscribed",
        "asks": "pending",
    }
    for name in ("back", "stays", "left", "pend", "joins"):
        got = [paper for one in room.inbox(name) for paper in one]
        assert sorted(set(got)) == sorted(got), name
        assert set(got) >= set(range(2, 7)), name
    assert room.inbox("moves") == [[1]]
    assert len(room.inbox("moved")) == 5
    assert room.inbox("leaves") == [[1]]


@pytest.mark.parametrize("goes", ["leaves", "is forgotten", "is removed", "leaves and is removed"])
def test_an_old_address_gets_nothing(room: Room, goes: str) -> None:
    """A subscriber who changed address before leaving is not reached at the backup's address."""
    room.join("mira")
    room.run()
    room.backup()
    room.change_address("mira", "moved")
    if goes.startswith("leaves"):
        leave(room, "moved")
    if goes == "is forgotten":
        room.preference_centre.delete(room.person("moved").id)
    if goes.endswith("removed"):
        room.lifecycle.remove(parse_address("moved@example.org"))
    done = room.restore()
    assert room.subscriber_states() == ({"moved": "unsubscribed"} if goes == "leaves" else {})
    assert (done.back, done.away) == (0, 0 if goes == "leaves" else 1)
    room.papers(2, day=day(1))
    room.run(1)
    assert room.inbox("mira") == [[1]]


def test_removed_subscribers_are_restored_unless_they_had_left(room: Room) -> None:
    """Removed by mistake, while paused, or after they had left; their links work as before."""
    names = ("mira", "ana", "jonas", "yuki")
    for name in names:
        room.join(name)
    room.run()
    room.backup()
    leave(room, "jonas")
    room.lifecycle.pause(parse_address("ana@example.org"))
    for pause in (True, False):  # the second time they are active when they are removed
        if pause:
            room.lifecycle.pause(parse_address("yuki@example.org"))
        else:
            room.lifecycle.resume(parse_address("yuki@example.org"))
    numbers = {name: room.person(name).id for name in names}
    for name in names:
        room.lifecycle.remove(parse_address(f"{name}@example.org"))
    room.join("kim")
    done = room.restore()
    assert (done.back, done.away) == (3, 1)
    assert room.subscriber_states() == {
        "mira": "active", "ana": "paused", "yuki": "active", "kim": "active",
    }  # fmt: skip
    assert {name: room.person(name).id for name in ("mira", "ana", "yuki")} == {
        name: numbers[name] for name in ("mira", "ana", "yuki")
    }
    assert room.person("kim").id > max(numbers.values())
    room.papers(2, day=day(1))
    room.run(1)
    assert room.inbox("mira") == [[1], [2]]
    assert room.inbox("yuki") == [[1], [2]]
    assert room.inbox("jonas") == room.inbox("ana") == [[1]]


def test_a_subscriber_removed_and_added_again_is_one_subscriber(room: Room) -> None:
    """They are served once, with their new id."""
    room.join("mira")
    room.run()
    room.backup()
    room.lifecycle.remove(parse_address("mira@example.org"))
    room.join("mira")
    room.papers(2, day=day(1))
    room.run(1)
    new, got = room.person("mira").id, room.inbox("mira")
    assert room.restore().back == 0
    assert room.person("mira").id == new
    room.run(2)
    assert room.inbox("mira") == got


def test_a_restored_subscriber_gets_nothing_twice_even_if_records_were_pruned(room: Room) -> None:
    """Mail sent so long ago that no record is left is not sent again."""
    room.join("mira")
    room.join("ana")
    room.run()
    room.backup()
    room.papers(2, day=day(1))
    room.run(1)
    room.lifecycle.remove(parse_address("mira@example.org"))
    room.papers(3, day=day(99))
    room.run(99)
    pruning.prune(room.database, room.now - HOUR)
    assert room.restore().back == 1
    room.run(100)
    assert room.inbox("mira") == [[1], [2], [3]]


def test_a_lifted_suppression_stays_lifted(room: Room) -> None:
    """A suppression that was lifted since the backup is not restored."""
    room.join("mira")
    mira = parse_address("mira@example.org")
    room.lifecycle.remove(mira, forget=True)
    room.backup()
    room.lifecycle.add(SubscriberRow(mira), unsuppress=True)
    room.restore()
    assert room.subscriber_states() == {"mira": "active"}
    assert room.rows("SELECT count(*) FROM suppressions") == [(1,)]  # of her first number


def test_the_command_reports_restored_subscribers(tmp_path: Path) -> None:
    """It reports them in words, and for scripts."""
    (tmp_path / "config.toml").write_text("")
    for name in ("ada", "bob", "cy"):
        newsletter("subscribers", "add", f"{name}@example.net", cwd=tmp_path)
    newsletter("backup", "copy.db", cwd=tmp_path)
    newsletter("subscribers", "remove", "ada@example.net", cwd=tmp_path)
    newsletter("subscribers", "forget", "bob@example.net", cwd=tmp_path)
    done = newsletter("restore", "copy.db", cwd=tmp_path)
    assert "1 subscriber who was removed since the backup: restored" in done.stdout
    assert "1 subscriber who was removed since the backup: not restored" in done.stdout
    (row,) = rows_of(newsletter("restore", "copy.db", "--json", cwd=tmp_path))
    assert (row["merged"], row["back"], row["away"]) == (True, 0, 1)


def test_onto_nothing_a_paused_subscriber_gets_nothing_again(room: Room) -> None:
    """They may have resumed since: they stay paused, and what was new to them is unknown."""
    for name in ("mira", "ana"):
        room.join(name)
    room.lifecycle.pause(parse_address("mira@example.org"))
    room.run()
    room.backup()
    room.lifecycle.resume(parse_address("mira@example.org"))
    room.run(1)
    assert room.inbox("mira") == [[1]]
    assert room.restore(lost=True).unknown == 1
    assert room.subscriber_states() == {"mira": "paused", "ana": "active"}
    assert room.rows("SELECT next_due_at FROM subscribers WHERE state = 'paused'") == [(None,)]
    room.lifecycle.resume(parse_address("mira@example.org"))
    room.run(2)
    assert room.inbox("mira") == [[1]]
    room.papers_released(2, day(3))
    room.run(3)
    assert room.inbox("mira") == [[1], [2]]


@pytest.mark.parametrize("how", ["pause", "undo"])
def test_onto_nothing_temporarily_cancelled_mail_is_unknown(room: Room, how: str) -> None:
    """It may have been sent when they returned; returning again does not send it again."""
    room.join("mira")
    room.plan(DUE)
    me = room.person("mira").id

    def come_back() -> None:
        room.preference_centre.resume(me) if how == "pause" else room.preference_centre.undo(me)
        room.deliver()

    room.preference_centre.pause(
        me, None
    ) if how == "pause" else room.preference_centre.unsubscribe(me)
    room.backup()
    come_back()
    assert room.inbox("mira") == [[1]]
    assert room.restore(lost=True).unknown == 1
    come_back()
    room.run(1)
    assert room.inbox("mira") == [[1]]


def test_onto_nothing_a_returning_subscriber_gets_only_new_papers(room: Room) -> None:
    """A pending or former subscriber may have joined, and been served, since the backup."""
    room.join("mira")
    leave(room, "mira")
    room.signup.ask(parse_address("pend@example.org"), "net")
    room.visitor_requests.work()
    room.backup()
    room.join("mira")
    room.confirm()
    room.run()
    assert room.inbox("mira") == room.inbox("pend") == [[1]]
    room.restore(lost=True)
    room.join("mira")
    room.confirm()
    room.run(1)
    assert room.inbox("mira") == room.inbox("pend") == [[1]]


def test_onto_nothing_a_held_edition_says_that_it_may_have_been_sent(room: Room) -> None:
    """The operator sees this before deciding."""
    room.history(1, 1, 1, 1, 1)
    room.join("mira")
    for number in range(12):
        room.papers(100 + number, source=f"s{number}")
    (held,) = room.plan(DUE).held
    assert held.reason
    room.backup()
    for _ in range(2):
        room.restore(lost=True)
        with room.database.read() as tx:
            (row,) = (one for one in editions.listed(tx) if one.state == "held")
        assert row.reason == (
            f"{held.reason}; the database is a backup; the edition may have been sent since"
        )
        maintenance.backup(room.config, room.copy, replace=True)


def test_onto_nothing_ids_are_not_reused(room: Room) -> None:
    """Subscribers who joined since the backup have links in old mail: they lead to no other one."""
    room.join("ana")
    room.backup()
    room.join("mira")
    room.signup.ask(parse_address("pend@example.org"), "net")
    lost = room.person("mira").id, room.rows("SELECT max(id) FROM requests")
    room.restore(lost=True)
    room.join("yuki")
    room.signup.ask(parse_address("other@example.org"), "net")
    assert room.person("yuki").id > lost[0]
    assert room.rows("SELECT max(id) FROM requests") > lost[1]


# --- links that were ended since the backup


def test_links_are_taken_from_the_newer_database(room: Room) -> None:
    """Ended links stay ended, newer ones work, and so does a waiting change of address."""
    for name in ("ended", "stays", "moves", "gone"):
        room.join(name)
    room.backup()
    old = {name: room.settings_token(name) for name in ("ended", "stays", "moves", "gone")}
    dead = room.change_asked("ended", "thief")
    room.revoke("ended")
    room.revoke("gone")
    room.lifecycle.remove(parse_address("gone@example.org"))
    room.change_address("moves", "moved")
    new = {name: room.settings_token(name) for name in ("ended", "moved")}
    waits = room.change_asked("stays", "stays.new")
    done = room.restore()
    assert (done.merged, done.back) == (True, 1)
    opened = {name: room.settings_links.subscriber_of(token) for name, token in old.items()}
    assert opened == {"ended": None, "moves": None, "gone": None, "stays": room.person("stays").id}
    for name, token in new.items():
        assert room.settings_links.subscriber_of(token) == room.person(name).id
    for link, works in ((dead, False), (waits, True)):
        done_now = room.signup.confirm(RequestKind.CHANGE, link.rpartition("/")[2], "net")
        assert bool(done_now) is works


@pytest.mark.parametrize("how", ["restore", "restored", "restored --nothing-sent"])
def test_without_a_newer_database_no_ended_link_works_again(room: Room, how: str) -> None:
    """This applies to links from before and after the backup, and from after a first restore.

    It is not known which of them were ended.
    """
    room.join("mira")
    room.signup.ask(parse_address("pend@example.org"), "net")
    room.visitor_requests.work()
    pending = room.links.confirm(room.rows("SELECT max(id) FROM requests")[0][0], room.now)
    used = room.change_asked("mira", "moved")
    tokens, changes = [room.settings_token("mira")], [used]
    room.backup()
    for _ in range(2):
        room.revoke("mira")
        tokens.append(room.settings_token("mira"))
        room.revoke("mira")
        room.now += HOUR
        if how == "restore":
            room.restore(lost=True)
        else:
            room.database.close()
            shutil.copyfile(room.copy, room.file)
            maintenance.restored(room.config, room.now, nothing_sent=how != "restored")
            room.database = Database(f"sqlite:///{room.file}")
        for token in tokens:
            assert room.settings_links.subscriber_of(token) is None
        for link in changes:
            token = link.rpartition("/")[2]
            assert room.signup.confirm(RequestKind.CHANGE, token, "net") is None
        tokens.append(room.settings_token("mira"))
        assert room.settings_links.subscriber_of(tokens[-1]) == room.person("mira").id
    assert room.signup.confirm(RequestKind.SUBSCRIBE, pending.rpartition("/")[2], "net")


def test_a_database_of_an_earlier_version_is_merged(tmp_path: Path) -> None:
    """The program was upgraded, and a restore is its first command."""
    (tmp_path / "config.toml").write_text("")
    file = file_of_revision(tmp_path / "newsletter.db", "1")
    shutil.copyfile(file, tmp_path / "copy.db")
    with closing(sqlite3.connect(file)) as old:
        old.execute(
            "INSERT INTO subscribers (address, normal, domain, state, cadence, topics, cursor, "
            "added_at, changed_at) VALUES ('ada@example.net', 'ada@example.net', 'example.net', "
            "'unsubscribed', 'daily', '[]', 0, '2026-11-20 06:00:00', '2026-11-20 06:00:00')"
        )
        old.commit()
    (row,) = rows_of(newsletter("restore", "copy.db", "--json", cwd=tmp_path))
    assert row["merged"] is True
    (ada,) = rows_of(newsletter("subscribers", "list", "--json", cwd=tmp_path))
    assert (ada["address"], ada["state"]) == ("ada@example.net", "unsubscribed")


DYING = """
import os, runpy, signal, sys
left = int(sys.argv.pop(1))
def die(event, arguments):
    global left
    if event in ("os.rename", "os.link", "os.remove"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
runpy.run_module("newsletter", run_name="__main__", alter_sys=True)
"""
"""A command that is killed before its next change of file names."""

NO_LINKS = """
import errno, runpy, sys
def refuse(event, arguments):
    if event == "os.link":
        raise OSError(errno.EPERM, "Operation not permitted")
sys.addaudithook(refuse)
runpy.run_module("newsletter", run_name="__main__", alter_sys=True)
"""
"""A command on a file system without hard links."""


def python(place: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs this code as a command."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A newsletter with a backup, and a later subscriber who is only in the write-ahead log."""
    (tmp_path / "config.toml").write_text("")
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    newsletter("backup", "copy.db", cwd=tmp_path)
    newsletter("subscribers", "add", "bob@example.net", cwd=tmp_path)
    return tmp_path


def leave_a_log(place: Path, change: str) -> None:
    """Leaves a change that is only in the write-ahead log, as a killed process does."""
    file = place / "newsletter.db"
    aside = place / "aside"
    aside.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(change)
        for one in place.glob("newsletter.db*"):
            shutil.copy(one, aside)
    for one in aside.iterdir():
        shutil.move(one, place / one.name)
    assert (place / "newsletter.db-wal").stat().st_size


def addresses_in(file: Path) -> list[str]:
    """Returns the subscribers in a database, which must be intact."""
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT address FROM subscribers ORDER BY id")
        return [address.partition("@")[0] for (address,) in rows]


MERGED = "UPDATE subscribers SET cadence = 'weekdays' WHERE address LIKE 'bob%'"
FOREIGN = "UPDATE secrets SET value = x'07' WHERE name = 'own'"


@pytest.mark.parametrize("change", [MERGED, FOREIGN], ids=["merged", "not to be merged"])
def test_a_restore_killed_at_any_instant_leaves_a_database(place: Path, change: str) -> None:
    """The old one with all its data, or the restored one; running it again completes it."""
    leave_a_log(place, change)
    before = place / "before"
    before.mkdir()
    for one in place.glob("newsletter.db*"):
        shutil.copy(one, before)
    after = ["ada"] if change == FOREIGN else ["ada", "bob"]
    file = place / "newsletter.db"
    found = set()
    for deaths in range(100):
        for one in place.glob("newsletter.db*"):
            one.unlink()
        for one in before.iterdir():
            shutil.copy(one, place)
        done = python(place, DYING, str(deaths), "restore", "copy.db")
        assert file.is_file(), deaths
        log = (place / "newsletter.db-wal", place / "newsletter.db-journal")
        with closing(sqlite3.connect(file)) as database:
            (own,) = database.execute("SELECT value FROM secrets WHERE name = 'own'").fetchone()
            (kind,) = database.execute("SELECT max(cadence) FROM subscribers").fetchone()
        who = addresses_in(file)
        was_there = who == ["ada", "bob"] and (own == b"\7" or kind == "weekdays")
        assert was_there or who == after, (deaths, who)
        found.add(was_there)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        config = Config.model_validate({"database": {"url": f"sqlite:///{file}"}})
        maintenance.restore(config, place / "copy.db", datetime.now(UTC))
        assert addresses_in(file) == after
    assert deaths > 3
    assert not [one for one in log if one.exists()]
    if change == FOREIGN:
        assert found == {True, False}


def test_the_log_of_a_lost_database_is_not_taken_for_the_restored_ones(place: Path) -> None:
    """It is kept, under the name that belongs to the old database."""
    leave_a_log(place, MERGED)
    (place / "newsletter.db").unlink()
    (row,) = rows_of(newsletter("restore", "copy.db", "--json", cwd=place))
    assert row["kept"] is None
    assert addresses_in(place / "newsletter.db") == ["ada"]
    assert [one.name[-4:] for one in place.glob("newsletter.db.replaced-*-wal")] == ["-wal"]


def test_without_hard_links_the_old_database_is_copied(place: Path) -> None:
    """It is kept as well, readable only by its owner."""
    data = (place / "newsletter.db").read_bytes()
    with closing(sqlite3.connect(place / "newsletter.db", isolation_level=None)) as database:
        database.execute(FOREIGN)
    done = python(place, NO_LINKS, "restore", "copy.db", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(done)
    kept = Path(row["kept"])
    assert addresses_in(kept) == ["ada", "bob"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(data) == kept.stat().st_size
    assert addresses_in(place / "newsletter.db") == ["ada"]
    assert not list(place.glob("*.part"))


def test_a_restore_behind_a_symbolic_link_replaces_the_file(place: Path) -> None:
    """The link stays, and a process that has the file open by its own name is noticed."""
    real = place / "data"
    real.mkdir()
    (place / "newsletter.db").rename(real / "papers.db")
    (place / "newsletter.db").symlink_to(real / "papers.db")
    with Database(f"sqlite:///{real}/papers.db"):
        assert newsletter("restore", "copy.db", cwd=place).returncode == 3
    (row,) = rows_of(newsletter("restore", "copy.db", "--json", cwd=place))
    assert (place / "newsletter.db").is_symlink()
    assert Path(row["kept"]).parent == real
    assert addresses_in(real / "papers.db") == ["ada", "bob"]


def test_two_restores_in_one_second_keep_both(room: Room) -> None:
    """The database that was replaced first is not overwritten."""
    room.join("mira")
    room.backup()
    kept = {room.restore().kept, room.restore().kept}
    assert len(kept) == 2
    assert all(one and one.is_file() for one in kept)
