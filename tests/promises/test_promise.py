"""Promise 1 against a model that is a list: once, and never silently lost.

Papers arrive, subscribers come and go, clocks go wrong, servers fail in every way, processes die
between a claim and its result, and the operator makes decisions. Whatever happens, each paper is
planned once for every subscriber who should get it, and every planned delivery is in a state that
the operator can see.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from email.headerregistry import Address
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from newsletter.app import factories, maintenance
from newsletter.app.dry_run import dry_run
from newsletter.config.schema import Config, DatabaseSection
from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.delivery.recorder import Limits, RunSummary
from newsletter.delivery.run import DeliveryRun
from newsletter.editions.build import EditionBuilder
from newsletter.errors import ClockBehind, SendingPaused, UsageError
from newsletter.messages.mime import Sender
from newsletter.models import Circuit, DeliveryState, EditionState, SubscriberState
from newsletter.planning.plan import Planning
from newsletter.storage import (
    breakers,
    deliveries,
    editions,
    installation,
    outbox,
    senders,
    sources,
)
from newsletter.storage.database import Database
from newsletter.storage.deliveries import DeliveryRow as Row
from newsletter.storage.deliveries import Filter
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers import csv_import
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.list_import import Imported
from newsletter.transports.base import OutgoingMessage
from tests.support.databases import new_database
from tests.support.planning_room import (
    MORNING,
    RULES,
    WITHDRAWN,
    PlanningRoom,
    without_papers,
)
from tests.support.rehearsals import contents, rehearsed
from tests.support.scripted_transport import Act, Died, ScriptedTransport, papers_in
from tests.support.soak import SOAK

ACTIVE, PAUSED, LEFT, SUPPRESSED = (
    SubscriberState.ACTIVE,
    SubscriberState.PAUSED,
    SubscriberState.UNSUBSCRIBED,
    SubscriberState.SUPPRESSED,
)
ENDED = (
    DeliveryState.DEFERRED,
    DeliveryState.REFUSED,
    DeliveryState.EXPIRED,
    DeliveryState.UNKNOWN,
)
QUIET = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT)
DOUBTFUL = (DeliveryState.SENDING, DeliveryState.UNKNOWN)
A_DAY = timedelta(days=1)
NAMES = ("mira", "jonas", "ana", "yuki")
GIVE_UP = timedelta(days=3)
DAYS_COUNT = timedelta(days=3)
"""How long only papers without days may arrive before new subscribers no longer start at the
latest day."""
CONFIGURED = replace(RULES, tz_version=factories.rules(Config()).tz_version)
"""The rules as the program derives them from a configuration."""
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""In memory if possible, because only processes die here, and no machine."""


@dataclass
class Paper:
    """A paper of the model: announced once, at an index of the list."""

    number: int
    day: date | None
    snapshot: int
    at: datetime
    """When it was announced, by the clock at that time."""
    withdrawn: bool = False
    passed: bool = False


@dataclass
class ModelSubscriber:
    """A subscriber of the model.

    Attributes:
        start: index in the list of the first paper that they should get.
        planned: indexes of the papers that were planned for them.
    """

    name: str
    state: SubscriberState
    start: int
    planned: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Their mail address."""
        return f"{self.name}@example.org"


@dataclass
class Model:
    """A list of papers, and which of them each subscriber should get and was planned."""

    papers: list[Paper] = field(default_factory=list)
    readers: dict[int, ModelSubscriber] = field(default_factory=dict)
    """All subscribers that ever existed, by id."""

    def newcomer(self, now: datetime) -> int:
        """Returns the index at which a new subscriber starts: before the latest day's papers.

        Without days, or if recent papers have none, it is before those of the last snapshot.
        """
        days = [paper.day for paper in self.papers if paper.day]
        latest = max((day for day in days if day <= now.date() + A_DAY), default=None)
        if latest and self._is_long_ago(latest):
            latest = None
        last = max((paper.snapshot for paper in self.papers), default=0)
        for index, paper in enumerate(self.papers):
            if paper.day == latest if latest else paper.snapshot == last:
                return index
        return 0

    def _is_long_ago(self, latest: date) -> bool:
        dated = [paper.at for paper in self.papers if paper.day == latest]
        undated = [paper.at for paper in self.papers if paper.day is None]
        return bool(undated) and undated[-1] - dated[-1] > DAYS_COUNT

    def owed(self, reader: ModelSubscriber) -> set[int]:
        """Returns the indexes of the papers that an active subscriber has in the end."""
        due = {
            index
            for index, paper in enumerate(self.papers)
            if index >= reader.start and not paper.withdrawn and not paper.passed
        }
        return due | set(reader.planned)


@cache
def faulty_theme() -> Path:
    """Creates a folder of templates whose text part lacks the papers."""
    folder = Path(tempfile.mkdtemp(prefix="promise-"))
    (folder / "themes" / "default").mkdir(parents=True)
    without_papers(folder / "themes" / "default")
    return folder


ORIGIN = Origin(
    Sender("Harbour", Address("Harbour", "papers", "harbour.example"), owner="me@harbour.example"),
    bounce_domain="bounce.harbour.example",
)

cadences = st.sampled_from(["daily", "daily", "weekdays", "weekly:mon", "monthly:31"])
zones = st.sampled_from(
    [None, None, None, "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati"]
)
hours = st.sampled_from([None, None, None, "00:00", "09:00", "20:00", "23:30"])
names = st.sampled_from(NAMES)
several = st.sampled_from([0, 1, 1, 1, 1, 2, 2, 2, 12])
"""Numbers of papers that arrive; twelve is more than ten times the usual number."""
mostly = st.sampled_from([True, True, False])
troubles = st.sampled_from([act for act in Act if act not in (Act.DIES_AFTER, Act.DIES_BEFORE)])
refusals = st.sampled_from([Act.REFUSES, Act.HAS_NO_MAILBOX, Act.REFUSES_US])
stoppings = st.sampled_from(["pause", "unsubscribe", "remove", "forget"])
deaths = st.sampled_from([Act.DIES_AFTER, Act.DIES_BEFORE])


class Promise(RuleBasedStateMachine):
    """Does the same with the program and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.url = f"sqlite:///{self.folder.name}/test.db"
        self.room = PlanningRoom(new_database(Path(self.folder.name) / "test.db"), CONFIGURED)
        self.post = ScriptedTransport()
        self.model = Model()
        self.limits = Limits(sessions=1, give_up_after=GIVE_UP, retry_interval=0.0)
        self.time = MORNING
        self.ahead = timedelta()
        self.was_wrong = False
        self.has_dry_run = False
        self.is_limited = False  # the day's limit ended the last run
        self.numbers = 0
        self.seen: dict[int, Row] = {}
        self.doubts: set[int] = set()
        self.again: Counter[int] = Counter()
        self.settled: set[int] = set()
        self.contents: dict[str, tuple[int, ...]] = {}
        self.faulty: set[str] = set()
        self.released: set[str] = set()
        self.cancelled: set[int] = set()
        self.earlier: set[int] = set()
        self.read: dict[tuple[str, str], set[int]] = {}
        self.dates: dict[int, date | None] = {}
        self.room.history(1, 1, 1, 1, 1)

    def teardown(self) -> None:
        """Lets everything catch up once more, and removes everything."""
        try:
            if not self.has_dry_run:
                self.a_dry_run_says_what_the_run_sends(comes=1, due_now=True)
            self.everything_catches_up()
        finally:
            self.room.database.close()
            self.folder.cleanup()

    @initialize(
        resends=st.booleans(),
        a_day=st.sampled_from([None, None, 4]),
        readers=st.lists(
            st.tuples(names, cadences, zones, hours),
            min_size=2,
            max_size=4,
            unique_by=lambda one: one[0],
        ),
    )
    def begins(
        self,
        *,
        resends: bool,
        a_day: int | None,
        readers: list[tuple[str, str, str | None, str | None]],
    ) -> None:
        """Adds some subscribers, and chooses how unknown deliveries are handled."""
        self.limits = replace(
            self.limits, unknown="resend" if resends else "hold", max_per_day=a_day
        )
        for reader in readers:
            self.subscribes(*reader)

    # --- the clock

    def _set_clock(self, time: datetime, ahead: timedelta) -> None:
        self.time, self.ahead = time, ahead
        self.was_wrong = self.was_wrong or bool(ahead)
        self.room.now = time + ahead

    @rule(minutes=st.sampled_from([1, 20, 240, 600, 1440, 1440, 3 * 1440, 40 * 1440]))
    def time_passes(self, minutes: int) -> None:
        """Minutes to weeks pass."""
        self._set_clock(self.time + timedelta(minutes=minutes), self.ahead)

    @rule(
        hours=st.sampled_from([-9_000, -30, -1, 5, 30, 9_000]),
        comes=several,
        script=st.lists(troubles, max_size=3),
        stays=st.sampled_from([False, False, True]),
        due_now=mostly,
    )
    def clock_goes_wrong(
        self, hours: int, comes: int, script: list[Act], *, stays: bool, due_now: bool
    ) -> None:
        """It goes forward or back, for one run or longer; the operator may report it or not."""
        self._set_clock(self.time, timedelta(hours=hours))
        self._run(script, comes=comes, due_now=due_now)
        if not stays:
            self._set_clock(self.time, timedelta())

    @precondition(lambda self: self.ahead)
    @rule(says_so=st.booleans())
    def clock_is_set_right(self, *, says_so: bool) -> None:
        """The operator may report it or not."""
        self._set_clock(self.time, timedelta())
        if says_so:
            self._continue()

    # --- papers

    @rule(many=st.integers(1, 3), day=st.sampled_from([-1, 0, 0, 0, 1, None, 4000]))
    def papers_come(self, many: int, day: int | None) -> None:
        """A capture has this many unseen papers."""
        listed = self.time.date() + timedelta(days=day) if day is not None else None
        self._announce(many, listed)

    def _announce(self, many: int, day: date | None) -> None:
        if not many:
            return
        # A capture that is too large for its source would itself be held.
        source = f"flood {self.numbers}" if many > 10 else "harbour"
        numbers = range(self.numbers + 1, self.numbers + many + 1)
        self.numbers += many
        self.room.papers(*numbers, day=day, source=source)
        ((snapshot,),) = self.room.rows("SELECT max(id) FROM snapshots")
        self.model.papers += [Paper(number, day, snapshot, self.room.now) for number in numbers]

    @precondition(lambda self: self.model.papers)
    @rule(data=st.data())
    def papers_come_again(self, data: st.DataObject) -> None:
        """A capture of known papers announces nothing new."""
        known = [paper.number for paper in self.model.papers if not paper.withdrawn]
        if known:
            again = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=5))
            self.room.papers(*again, source=data.draw(st.sampled_from(["harbour", "other"])))

    @precondition(lambda self: self.model.papers)
    @rule(data=st.data())
    def a_paper_is_withdrawn(self, data: st.DataObject) -> None:
        """Subscribers who were planned it keep it."""
        paper = data.draw(st.sampled_from(self.model.papers))
        self.room.papers(paper.number, day=paper.day, summary=WITHDRAWN)
        paper.withdrawn = True

    # --- subscribers

    def _reader(self, name: str) -> tuple[int, ModelSubscriber] | None:
        """Returns the subscriber who has this name now, with their id."""
        with self.room.database.read() as tx:
            rows = tx.exec_driver_sql(
                "SELECT id FROM subscribers WHERE normal = ?", (f"{name}@example.org",)
            ).scalars()
            return next(((number, self.model.readers[number]) for number in rows), None)

    def _comes(self, name: str) -> None:
        """Makes a subscriber active in the model who was not before."""
        found = self._reader_number(name)
        start = self.model.newcomer(self.room.now)
        known = self.model.readers.get(found)
        if known is None:
            self.model.readers[found] = ModelSubscriber(name, ACTIVE, start)
        else:
            if known.state is not PAUSED:
                known.start = max(known.start, start)
            known.state = ACTIVE
        self.post.barred.discard(f"{name}@example.org")

    def _reader_number(self, name: str) -> int:
        return self.room.person(name).id

    @rule(name=names, cadence=cadences, zone=zones, hour=hours)
    def subscribes(self, name: str, cadence: str, zone: str | None, hour: str | None) -> None:
        """Joins, returns, or exists already."""
        before = self._reader(name)
        line = SubscriberRow(parse_address(f"{name}@example.org"), cadence, zone, hour)
        try:
            _, added = self.room.lifecycle.add(line)
        except UsageError:
            self.room.lifecycle.add(line, unsuppress=True)
            added = True
        assert added == (before is None or before[1].state is not ACTIVE)
        if added:
            self._comes(name)

    @rule(several=st.lists(names, min_size=1, max_size=4))
    def import_subscribers(self, several: list[str]) -> None:
        """Unknown addresses are added; existing subscribers do not change."""
        known = {name: self._reader(name) for name in several}
        lines = ["address\n", *(f"{name}@example.org\n" for name in several)]
        done = Imported()
        assert not list(self.room.subscriber_import.add(csv_import.read(lines).rows, done))
        for name, before in known.items():
            if before is None and self._reader_exists(name):
                self._comes(name)
        assert done.lines == len(several)

    def _reader_exists(self, name: str) -> bool:
        rows = self.room.rows("SELECT normal FROM subscribers")
        return (f"{name}@example.org",) in rows

    @precondition(lambda self: self._has(PAUSED))
    @rule(name=names)
    def resumes(self, name: str) -> None:
        """No paper was skipped."""
        if (found := self._reader(name)) and found[1].state is PAUSED:
            self.room.lifecycle.resume(parse_address(found[1].address))
            self._comes(name)

    @precondition(lambda self: self._has(ACTIVE))
    @rule(name=names, how=stoppings)
    def stops(self, name: str, how: str) -> None:
        """Temporarily or permanently; a later subscriber with the address is another one."""
        found = self._reader(name)
        if found is None or (how == "pause" and found[1].state is not ACTIVE):
            return
        reader, whom = found[1], parse_address(found[1].address)
        if how == "pause":
            self.room.lifecycle.pause(whom)
        elif how != "unsubscribe":
            self.room.lifecycle.remove(whom, forget=how == "forget")
        elif reader.state is SUPPRESSED:
            with pytest.raises(UsageError):
                self.room.lifecycle.unsubscribe(whom)
            return
        else:
            self.room.lifecycle.unsubscribe(whom)
        reader.state = PAUSED if how == "pause" else LEFT
        self.post.barred.add(reader.address)
        if how != "pause":
            self._leaves(found[0])

    def _leaves(self, number: int) -> None:
        """They no longer get what was planned for them until now."""
        rows = [row for row in self._rows() if row.subscriber == number]
        self.earlier.update(row.id for row in rows)
        self.cancelled.update(row.id for row in rows if row.state is DeliveryState.CANCELLED)

    def _has(self, state: SubscriberState) -> bool:
        return any(reader.state is state for reader in self.model.readers.values())

    @rule(name=names, data=st.data())
    def changes_preferences(self, name: str, data: st.DataObject) -> None:
        """Another cadence, time zone or send time."""
        if found := self._reader(name):
            column, values = data.draw(
                st.sampled_from([("cadence", cadences), ("time_zone", zones), ("send_at", hours)])
            )
            self.room.lifecycle.change(
                parse_address(found[1].address), **{column: data.draw(values)}
            )

    # --- the operator

    @rule(hour=st.integers(0, 23), zone=zones, skips=st.booleans())
    def newsletter_changes(self, hour: int, zone: str | None, *, skips: bool) -> None:
        """Another send time, time zone, holiday or time zone database."""
        skip = frozenset({self.time.date(), self.time.date() + A_DAY} if skips else ())
        self.room.rules = replace(
            CONFIGURED, send_at=time(hour), time_zone=zone or "UTC", skip_dates=skip
        )

    @rule()
    def newsletter_stops_and_continues(self) -> None:
        """Nothing is sent in between; afterwards the clock counts as right."""
        with self.room.database.write() as tx:
            installation.pause(tx, self.room.now)
        before = len(self.post.taken)
        with pytest.raises(SendingPaused):
            self._deliver()
        assert len(self.post.taken) == before
        self._continue()

    @rule()
    def operator_continues(self) -> None:
        """Mail held back by the breaker may be sent."""
        self._continue()

    def _continue(self) -> None:
        with self.room.database.write() as tx:
            installation.resume(tx, self.room.now)
            breakers.remove_all(tx)

    @rule()
    def theme_changes(self) -> None:
        """The operator's theme loses the papers, or is repaired."""
        self.room.templates = None if self.room.templates else faulty_theme()

    def _held(self) -> list[editions.EditionRow]:
        return self.room.editions(EditionState.HELD)

    def _held_papers(self) -> set[int]:
        return {index for row in self._held() for index in self._indexes(row.positions)}

    @precondition(lambda self: self._held())
    @rule(data=st.data(), what=st.sampled_from(["release", "reject", "pass"]))
    def a_held_edition_is_decided(self, data: st.DataObject, what: str) -> None:
        """It is released, rejected or passed over."""
        row = data.draw(st.sampled_from(self._held()))
        if what == "release":
            self.room.review.release(row.id, self.room.now)
        else:
            self.room.review.reject(row.id, self.room.now, pass_over=what == "pass")
        if what == "pass":
            for index in self._indexes(row.positions):
                self.model.papers[index].passed = True

    @precondition(lambda self: not set(self.room.states()).issubset(QUIET))
    @rule(
        state=st.sampled_from([*ENDED, DeliveryState.CANCELLED]),
        name=st.none() | names,
        settled=st.sampled_from([None, None, "sent", "lost"]),
    )
    def deliveries_are_decided(self, state: DeliveryState, name: str, settled: str | None) -> None:
        """They are retried, or the operator settles the unknown ones."""
        wanted = Filter(state, f"{name}@example.org" if name else None)
        if settled is None:
            self._retry(wanted)
            return
        with self.room.database.write() as tx:
            wanted = replace(wanted, state=DeliveryState.UNKNOWN)
            found = [row.id for row in deliveries.listed(tx, wanted)]
            became = DeliveryState.SENT if settled == "sent" else DeliveryState.EXPIRED
            many, _ = deliveries.settle(tx, wanted, became, "said", self.room.now, 0)
            assert many == len(found)
        if settled == "sent":
            self.settled.update(found)

    def _retry(self, wanted: Filter) -> int:
        """Queues what the operator wants to retry, although it may have arrived."""
        with self.room.database.write() as tx:
            rows = list(deliveries.listed(tx, wanted))
            assert wanted.state
            many, _ = deliveries.retry(tx, wanted, self.room.now, 0)
        assert many == len(rows)
        self.again.update(row.id for row in rows if row.id in self.doubts)
        self.cancelled.difference_update(row.id for row in rows)
        return many

    # --- the database

    @rule(comes=several, script=st.lists(troubles, max_size=3))
    def a_backup_is_restored(self, comes: int, script: list[Act]) -> None:
        """Mail sent since the backup is known from the database that it replaces."""
        backup = Path(self.folder.name) / "backup.db"
        maintenance.backup(self._config(), backup, replace=True)
        self._run(script, comes=comes, due_now=True)
        before = self._rows()
        self.room.database.close()
        assert maintenance.restore(self._config(), backup, self.room.now).merged
        self.room.database = Database(self.url)
        assert self._rows() == before

    @rule()
    def the_database_may_be_an_older_copy(self) -> None:
        """The operator reports it: mail that may have been sent is unknown, and shown."""
        self.room.database.close()
        maintenance.restored(self._config(), self.room.now)
        self.room.database = Database(self.url)
        with self.room.database.write() as tx:  # the operator checked the sources
            sources.mark_restored(tx, restored=False)
            tx.exec_driver_sql("UPDATE installation SET restored = 0")
        self._record_planned(dated=False, also=(PAUSED,))
        assert not {row.state for row in self._rows()} & {
            DeliveryState.QUEUED,
            DeliveryState.DEFERRED,
            DeliveryState.SENDING,
        }
        self._note_doubts()
        # A subscriber who has just left may have returned, and then got the cancelled mail.
        self.cancelled.difference_update(
            row.id for row in self._rows() if row.state is DeliveryState.UNKNOWN
        )
        for reader in self.model.readers.values():
            if reader.state not in (ACTIVE, PAUSED):
                reader.start = max(reader.start, len(self.model.papers))

    def _config(self) -> Config:
        return Config(database=DatabaseSection(url=self.url))

    # --- runs

    @precondition(lambda self: SOAK or not self.has_dry_run)
    @rule(comes=several, due_now=mostly)
    def a_dry_run_says_what_the_run_sends(self, comes: int, *, due_now: bool) -> None:
        """The same editions to the same addresses; the dry run itself changes nothing."""
        self.has_dry_run = True  # once in each short history, because it takes long
        self._prepare(comes, due_now=due_now)
        before = contents(Path(self.folder.name))
        with dry_run(self._whole_config(), self.room.clock) as dry:
            dry.app.builder = self.room.builder()  # whose templates are compiled already
            stopped = rehearsed(dry, due_now=due_now).stopped
            said = sorted(
                (one.address, one.part, self._positions(dry.app.database, one.edition))
                for one in dry.sent()
            )
        assert contents(Path(self.folder.name)) == before
        if self.was_wrong and stopped:  # by the clock, which the next run may set right first
            assert said == []
            return
        taken = len(self.post.taken)
        assert self._run(due_now=due_now)
        went = [(one.recipient, self.seen[delivery_of(one)]) for one in self.post.taken[taken:]]
        assert said == sorted(
            (address, row.part, self._positions(self.room.database, row.edition))
            for address, row in went
        )

    def _positions(self, database: Database, key: str) -> tuple[int, ...]:
        with database.read() as tx:
            row = editions.find(tx, key)
        assert row
        return row.positions

    def _whole_config(self) -> Config:
        """The configuration of everything that the machine changes."""
        rules, limits = self.room.rules, self.limits
        sections: dict[str, dict[str, object]] = {
            "newsletter": {
                "time_zone": rules.time_zone,
                "send_at": f"{rules.send_at:%H:%M}",
                "skip_dates": sorted(rules.skip_dates),
            },
            "database": {"url": self.url},
            "delivery": {
                "sessions": limits.sessions,
                "max_per_day": limits.max_per_day,
                "unknown": limits.unknown,
                "give_up_after": f"{limits.give_up_after.days}d",
                "catch_up": f"{rules.catch_up // timedelta(hours=1)}h",
            },
            "theme": {"templates_dir": str(self.room.templates or "")},
        }
        return Config.model_validate(sections)

    @rule(comes=several, failing=st.booleans())
    def the_next_are_due(self, comes: int, *, failing: bool) -> None:
        """Everything works, except perhaps a source."""
        self._run(comes=comes, failing=failing)

    @rule(comes=several, script=st.lists(troubles, max_size=6), due_now=mostly)
    def runs_into_trouble(self, comes: int, script: list[Act], *, due_now: bool) -> None:
        """The server fails in all possible ways."""
        self._run(script, comes=comes, due_now=due_now)

    @rule(comes=st.integers(1, 2), act=refusals, goes_on=st.booleans())
    def every_recipient_is_refused(self, comes: int, act: Act, *, goes_on: bool) -> None:
        """By our own relay: no subscriber is suppressed for it, whatever the number of runs."""
        self._continue()
        before = self._has(SUPPRESSED)
        self._run([act] * 8, comes=comes, due_now=True)
        # If the limit leaves one delivery, after others were accepted, its refusal is believed.
        if len(self._active()) > 0 and not before and not self.is_limited:
            assert not self._has(SUPPRESSED)
        if goes_on:
            self._probe([act] * 8)

    @rule(script=st.lists(refusals, max_size=1))
    def an_hour_later(self, script: list[Act]) -> None:
        """If a circuit is open, one delivery is tried; if it arrives, all others follow."""
        self._probe(script)

    def _probe(self, script: list[Act]) -> None:
        is_open = bool(self._circuits())
        self._set_clock(self.time + timedelta(hours=1), self.ahead)
        before = len(self.post.taken)
        self._run(script)
        if is_open and self._circuits() and not self.ahead:
            assert len(self.post.taken) <= before + 1

    def _circuits(self) -> list[Circuit]:
        with self.room.database.read() as tx:
            return breakers.listed(tx)

    @rule(
        comes=st.integers(1, 2),
        script=st.lists(troubles, min_size=1, max_size=3),
        name=st.none() | names,
        how=stoppings,
    )
    def a_subscriber_stops_during_a_run(
        self, comes: int, script: list[Act], name: str | None, how: str
    ) -> None:
        """The recipient or another one: the message may still arrive, but nothing after it."""
        self.post.meanwhile = lambda to: self.stops(name or to.partition("@")[0], how)
        self._run(script, comes=comes, due_now=True)
        self.post.meanwhile = None

    @rule(
        comes=several,
        script=st.lists(st.just(Act.TAKES) | troubles, max_size=2),
        death=deaths,
        due_now=mostly,
        leaves_file=st.booleans(),
    )
    def dies_while_sending(
        self, comes: int, script: list[Act], death: Act, *, due_now: bool, leaves_file: bool
    ) -> None:
        """Between a claim and its result, whether or not the message arrived."""
        self._run([*script, death], comes=comes, due_now=due_now, leaves_file=leaves_file)

    @rule(comes=st.integers(1, 2), after=st.integers(0, 2), due_now=mostly)
    def dies_while_planning(self, comes: int, after: int, *, due_now: bool) -> None:
        """Before the first edition or a later one is built."""
        left = iter(range(after))

        def builder() -> EditionBuilder:
            if next(left, None) is None:
                raise Died
            return self.room.builder()

        self._prepare(comes, due_now=due_now)
        try:
            self._plan(due_now=due_now, builder=builder)
        except Died:
            self._restart()

    @rule(
        comes=st.integers(1, 2),
        more=st.integers(0, 1),
        another=st.booleans(),
        due_now=mostly,
    )
    def something_happens_while_planning(
        self, comes: int, more: int, *, another: bool, due_now: bool
    ) -> None:
        """During the first build, papers arrive, or another planner plans for all subscribers."""
        first = iter(range(1))

        def builder() -> EditionBuilder:
            if next(first, None) is not None:
                self._announce(more, self.time.date())
                if another:
                    self.room.planning.plan(self.room.now, all_active=due_now)
            return self.room.builder()

        self._prepare(comes, due_now=due_now)
        self._plan(due_now=due_now, builder=builder, alone=not another)

    def _run(
        self,
        script: Iterable[Act] = (),
        *,
        comes: int = 0,
        due_now: bool = False,
        failing: bool = False,
        leaves_file: bool = False,
    ) -> bool:
        """Runs once, as `newsletter run` does. Returns whether it could."""
        self._prepare(comes, due_now=due_now)
        if not self._plan(due_now=due_now, failing=failing):
            if self.ahead:
                return False
            self._continue()  # the operator says that the clock is right
            assert self._plan(due_now=due_now, failing=failing)
        self.post.script = deque(script)
        doubtful = {row.id: row.attempts for row in self._rows() if row.state in DOUBTFUL}
        if self.limits.unknown == "resend":
            self.again.update(number for number, attempts in doubtful.items() if attempts == 1)
        self.is_limited = False
        try:
            self.is_limited = self._deliver().limited
        except Died:
            self._died(leaves_file=leaves_file)
        self._hear_of_suppressed()
        self._note_doubts()
        if self.limits.unknown == "hold":
            unknown = {row.id for row in self._rows() if row.state is DeliveryState.UNKNOWN}
            assert unknown.issuperset(doubtful)
        return True

    def _prepare(self, comes: int, *, due_now: bool) -> None:
        """Lets time pass until a subscriber is due, if needed, and announces papers by then."""
        if not due_now:
            due = [one.next_due_at for one in self.room.lifecycle.listed() if one.next_due_at]
            wait = min(due, default=self.room.now) - self.room.now
            if timedelta() < wait < 40 * A_DAY:
                self._set_clock(self.time + wait, self.ahead)
        self._announce(comes, self.time.date())

    def _plan(
        self,
        *,
        due_now: bool,
        failing: bool = False,
        builder: Callable[[], EditionBuilder] | None = None,
        alone: bool = True,
    ) -> bool:
        """Plans. Returns whether the clock allowed it."""
        room = self.room
        self.dates = {one.id: one.last_due_on for one in room.lifecycle.listed()}
        held = self._held_papers()
        planning = Planning(room.database, builder or room.builder, room.theme_settings, room.rules)
        try:
            room.due_times.reschedule(room.now)
            planning.plan(room.now, all_active=due_now, failing=failing)
        except ClockBehind:
            assert self.was_wrong
            return False
        finally:
            new = self._record_planned(dated=not due_now)
        if alone:
            assert not held & {index for key in new for index in self.contents[key]}
            # Released papers may also be in a longer edition for others that is held.
            by_itself = {index for key in new - self.released for index in self.contents[key]}
            assert not self._held_papers() & by_itself
        return True

    def _deliver(self) -> RunSummary:
        room = self.room
        personaliser = Personaliser(room.database, ORIGIN, self.post.encoded)
        return DeliveryRun(
            room.database, self.post, personaliser, self.limits, room.clock, threading.Event()
        ).run()

    def _died(self, *, leaves_file: bool) -> None:
        """Frees the lock, as the operating system does; its file may remain."""
        with self.room.database.read() as tx:
            names = outbox.senders(tx)
        assert len(names) == 1
        assert list(senders.dead(self.room.database.file, names)) == names
        if leaves_file:
            path = self.room.database.file
            path.with_name(f"{path.name}.sender.{names[0]}.lock").touch()
        sending = [row for row in self._rows() if row.state is DeliveryState.SENDING]
        assert len(sending) == 1
        self._restart()

    def _restart(self) -> None:
        self.room.database.close()
        self.room.database = Database(self.url)

    def _hear_of_suppressed(self) -> None:
        """Suppresses in the model the subscribers whose mailbox the server does not know."""
        for one in self.room.lifecycle.listed(SUPPRESSED):
            assert one.address in self.post.unknown
            self.post.barred.add(one.address)
            if self.model.readers[one.id].state is not SUPPRESSED:
                self.model.readers[one.id].state = SUPPRESSED
                self._leaves(one.id)

    def _note_doubts(self) -> None:
        """Records the mails whose result no sender can know."""
        for row in self._rows():
            if row.state in DOUBTFUL:
                self.doubts.add(row.id)

    # --- what is on record

    def _rows(self) -> list[Row]:
        """Returns every delivery, as the operator sees it."""
        with self.room.database.read() as tx:
            return list(deliveries.listed(tx, Filter()))

    def _indexes(self, positions: Iterable[int]) -> list[int]:
        """Returns the indexes in the model's list of the papers at these positions."""
        rows = self.room.rows("SELECT position FROM entries WHERE kind = 'new' ORDER BY position")
        indexes = {position: index for index, (position,) in enumerate(rows)}
        return [indexes[position] for position in positions]

    def _record_planned(self, *, dated: bool, also: Sequence[SubscriberState] = ()) -> set[str]:
        """Records new deliveries. Returns the keys of their editions."""
        subscribers = {one.id: one for one in self.room.lifecycle.listed()}
        planned = set[str]()
        for row in self._rows():
            if row.id in self.seen:
                continue
            self.seen[row.id] = row
            reader = self.model.readers[row.subscriber]
            assert reader.state in (ACTIVE, *also)
            indexes = self._papers_of(row.edition)
            self._check_planned(reader, indexes)
            if dated:
                self._check_date(subscribers[row.subscriber])
            planned.add(row.edition)
        return planned

    def _papers_of(self, key: str) -> tuple[int, ...]:
        if key not in self.contents:
            with self.room.database.read() as tx:
                row = editions.find(tx, key)
            assert row
            assert row.state is EditionState.FROZEN
            self.contents[key] = tuple(self._indexes(row.positions))
            if row.reason:
                self.released.add(key)
            if "the text lacks" in (row.reason or ""):
                self.faulty.add(key)  # and released nevertheless
        return self.contents[key]

    def _check_planned(self, reader: ModelSubscriber, indexes: Sequence[int]) -> None:
        """Checks that no paper is too old, withdrawn, passed over or repeated."""
        for index in indexes:
            paper = self.model.papers[index]
            assert index >= reader.start, f"{paper} is older than {reader}"
            assert not paper.withdrawn
            assert not paper.passed
            assert index not in reader.planned, f"{paper} twice for {reader}"
            reader.planned.append(index)

    def _check_date(self, subscriber: Subscriber) -> None:
        """Checks that a date was served, and that it is later than the one before."""
        before = self.dates[subscriber.id]
        assert subscriber.last_due_on
        assert before is None or subscriber.last_due_on > before or self.was_wrong

    # --- in the end

    @rule()
    def everything_catches_up(self) -> None:
        """All subscribers return, and everything is decided and retried; nothing is missing."""
        self._set_clock(self.time, timedelta())
        self.room.templates = None
        self.post.script.clear()
        for name in NAMES:
            self.resumes(name)
        for _ in range(100):
            self._decide_everything()
            self._continue()
            assert self._run(due_now=True)
            if not self._retry_everything() and not self._held():
                break
            self._set_clock(self.time + A_DAY, timedelta())
        else:
            raise AssertionError("it does not come to an end")
        for reader in self._active():
            assert sorted(reader.planned) == sorted(self.model.owed(reader)), reader
        self._check_everything_arrived()

    def _active(self) -> list[ModelSubscriber]:
        return [reader for reader in self.model.readers.values() if reader.state is ACTIVE]

    def _decide_everything(self) -> None:
        for row in self._held():
            try:
                self.room.review.release(row.id, self.room.now)
            except UsageError:
                self.room.review.reject(row.id, self.room.now)

    def _retry_everything(self) -> int:
        """Queues every delivery to an active subscriber that is not sent."""
        ended = {
            (row.state, reader.address)
            for row in self._rows()
            if row.state in ENDED and (reader := self.model.readers[row.subscriber]).state is ACTIVE
        }
        many = sum(self._retry(Filter(*one)) for one in sorted(ended))
        with self.room.database.read() as tx:
            return many + outbox.count_waiting(tx, self.room.now)

    def _check_everything_arrived(self) -> None:
        """Checks that everything planned for active subscribers was sent and arrived."""
        arrived = Counter(map(delivery_of, self.post.taken))
        for row in self._rows():
            if self.model.readers[row.subscriber].state is not ACTIVE:
                continue
            if row.state is DeliveryState.CANCELLED:
                assert row.id in self.earlier, row
            else:
                assert row.state is DeliveryState.SENT, row
                assert arrived[row.id] or row.id in self.settled, row

    # --- invariants

    @invariant()
    def the_promise_holds(self) -> None:
        """Checks all parts of the promise after every step."""
        rows = self._rows()
        self._every_delivery_is_in_one_visible_state(rows)
        self._no_subscriber_gets_anything_twice(rows)
        self._what_is_sent_arrived(rows)
        self._states_match_the_model()

    def _every_delivery_is_in_one_visible_state(self, rows: list[Row]) -> None:
        """No delivery is lost or without a state, and their counts add up."""
        assert [row.id for row in rows] == sorted(self.seen)
        with self.room.database.read() as tx:
            counts = deliveries.counts(tx)
            ended = deliveries.ended_otherwise(tx)
            claimed = set(outbox.senders(tx))
        assert counts == Counter(row.state for row in rows)
        assert ended == {state: n for state, n in counts.items() if state not in QUIET}
        # Without a live sender, each death has left at most one, since there is one session.
        assert counts.get(DeliveryState.SENDING, 0) == len(claimed) <= 1
        for row in rows:
            waits = row.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED)
            assert waits == (row.try_at is not None)
            # Deliveries of subscribers who left stay cancelled unless the operator retries them.
            assert row.state is DeliveryState.CANCELLED or row.id not in self.cancelled

    def _no_subscriber_gets_anything_twice(self, rows: list[Row]) -> None:
        """Unless it may have been lost and was sent again, with the same Message-ID."""
        names: dict[int, str] = {}
        for message in self.post.taken:
            assert names.setdefault(delivery_of(message), message.name) == message.name
        assert len(set(names.values())) == len(names)
        arrived = Counter(map(delivery_of, self.post.taken))
        for row in rows:
            times = arrived[row.id]
            assert times <= 1 + self.again[row.id]
            assert times <= row.attempts
            assert not times or row.id in self.doubts or row.state is DeliveryState.SENT

    def _what_is_sent_arrived(self, rows: list[Row]) -> None:
        """Completely, and at the subscriber that it was planned for."""
        arrived = set()
        for message in self.post.taken:
            number = delivery_of(message)
            row = self.seen[number]
            assert message.recipient == self.model.readers[row.subscriber].address
            numbers = {self.model.papers[index].number for index in self.contents[row.edition]}
            assert self._numbers_in(message) == (set() if row.edition in self.faulty else numbers)
            arrived.add(number)
        for row in rows:
            if row.state is DeliveryState.SENT:
                assert row.id in arrived or row.id in self.settled

    def _numbers_in(self, message: OutgoingMessage) -> set[int]:
        key, part, _ = message.name.split(".")
        if (key, part) not in self.read:
            self.read[key, part] = papers_in(message)
        return self.read[key, part]

    def _states_match_the_model(self) -> None:
        """The states of subscribers follow from what they did."""
        for one in self.room.lifecycle.listed():
            assert one.state is self.model.readers[one.id].state
            assert (one.next_due_at is None) == (one.state is not ACTIVE)


def delivery_of(message: OutgoingMessage) -> int:
    """Returns the id of the delivery, which is in its envelope sender."""
    return int(message.sender.removeprefix("bounce+").partition(".")[0])


TestPromise = pytest.mark.timeout(4 * 3600 if SOAK else 1_200)(Promise.TestCase)
TestPromise.settings = settings(
    max_examples=1_000 if SOAK else 20, stateful_step_count=50 if SOAK else 30, deadline=None
)


@contextmanager
def lived() -> Iterator[Promise]:
    """A machine whose steps are called by the test, without the final check."""
    machine = Promise()
    try:
        yield machine
    finally:
        machine.room.database.close()
        machine.folder.cleanup()


def begun(machine: Promise, *several: str) -> None:
    """Adds these subscribers, and three papers."""
    machine.begins(
        resends=False, a_day=None, readers=[(name, "daily", None, None) for name in several]
    )
    machine.papers_come(3, 0)


@pytest.mark.parametrize("death", [Act.DIES_AFTER, Act.DIES_BEFORE])
def test_a_death_leaves_one_message_per_session(death: Act) -> None:
    """Four sessions with a message each: four are unknown, and all others are sent once."""
    with lived() as machine:
        begun(machine, *NAMES)
        machine.room.crowd(40)
        machine.post.both = threading.Barrier(4)
        machine.post.script = deque([death] * 4)
        machine.limits = replace(machine.limits, sessions=4)
        machine.room.plan(all_active=True)
        with pytest.raises(Died):
            machine._deliver()
        machine._restart()
        machine.post.both = None
        summary = machine._deliver()
        assert (summary[DeliveryState.UNKNOWN], summary[DeliveryState.SENT]) == (4, 40)
        assert machine.room.states() == {DeliveryState.UNKNOWN: 4, DeliveryState.SENT: 40}
        arrived = Counter(map(delivery_of, machine.post.taken))
        assert max(arrived.values()) == 1
        assert len(arrived) == (44 if death is Act.DIES_AFTER else 40)


def _cursors_go_back(machine: Promise) -> None:
    machine.room.sql("UPDATE subscribers SET cursor = 0")
    machine.papers_come(1, 0)


def _a_delivery_is_gone(machine: Promise) -> None:
    machine.room.sql("DELETE FROM deliveries WHERE id = 1")


def _a_delivery_waits_for_ever(machine: Promise) -> None:
    machine.room.sql("UPDATE deliveries SET state = 'queued' WHERE id = 1")


def _sent_is_queued(machine: Promise) -> None:
    machine.room.sql(
        "UPDATE deliveries SET state = 'queued', try_at = '2026-11-20 00:00:00.000000' WHERE id = 1"
    )


def _cursors_run_ahead(machine: Promise) -> None:
    machine.papers_come(1, 0)
    machine.room.sql("UPDATE subscribers SET cursor = (SELECT position FROM log_head)")


def _a_pause_is_ignored(machine: Promise) -> None:
    machine.stops("mira", "pause")
    machine.room.sql("UPDATE subscribers SET state = 'active', next_due_at = added_at")
    machine.papers_come(1, 0)


def _unknown_is_sent(machine: Promise) -> None:
    machine.papers_come(1, 0)
    machine._run([Act.IS_DEAF], due_now=True)
    machine.room.sql("UPDATE deliveries SET state = 'sent' WHERE state = 'unknown'")


@pytest.mark.parametrize(
    "breaks",
    [
        _cursors_go_back,
        _a_delivery_is_gone,
        _a_delivery_waits_for_ever,
        _sent_is_queued,
        _cursors_run_ahead,
        _a_pause_is_ignored,
        _unknown_is_sent,
    ],
)
def test_a_broken_promise_is_noticed(breaks: Callable[[Promise], None]) -> None:
    """The machine can fail: it notices a database that was tampered with."""
    with lived() as machine:
        begun(machine, "mira")
        machine._run(due_now=True)
        noticed = [
            machine.the_promise_holds,
            machine.everything_catches_up,
            machine.the_promise_holds,
        ]
        for check in noticed:
            check()
        breaks(machine)
        with pytest.raises(AssertionError):
            for check in noticed:
                check()
