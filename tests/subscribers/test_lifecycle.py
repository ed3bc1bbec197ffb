"""Who gets editions: coming, pausing, leaving, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from newsletter.delivery.breaker import Background, Breaker
from newsletter.delivery.recorder import Attempt, Limits, Recorder, RunSummary
from newsletter.errors import UsageError
from newsletter.models import DeliveryState, SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import deliveries, notices, outbox, requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Filter
from newsletter.storage.outbox import DeliveryUpdate
from newsletter.subscribers import csv_import
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.lifecycle import address_of, line_of, preferences_of
from newsletter.subscribers.list_import import CHUNK, BadLine, Imported
from newsletter.transports.replies import classify
from tests.support.builders import day
from tests.support.planning_room import A_DAY, DUE, HOUR, MORNING, RULES, PlanningRoom

MIRA = parse_address("mira@example.org")
MOVED_TO = ("new@example.net", "new@example.net", "example.net")
"""An address, as written and as compared, and its domain."""

CANCELLED, DEFERRED, QUEUED, SENDING, SENT = (
    DeliveryState.CANCELLED,
    DeliveryState.DEFERRED,
    DeliveryState.QUEUED,
    DeliveryState.SENDING,
    DeliveryState.SENT,
)


class Office(PlanningRoom):
    """A newsroom in which people come and go, and mail is sent."""

    def take_in(self, *lines: str) -> tuple[Imported, list[BadLine]]:
        """The lines of a file, the first of them naming the columns."""
        done = Imported()
        bad = list(
            self.subscriber_import.add(csv_import.read(f"{line}\n" for line in lines).rows, done)
        )
        return done, bad

    def taken_in(self, *lines: str) -> Imported:
        """What became of them."""
        return self.take_in(*lines)[0]

    def state_of(self, name: str) -> SubscriberState:
        """What somebody is."""
        return self.person(name).state

    def states_of(self, name: str) -> list[DeliveryState]:
        """The states of somebody's mails, in the order they were planned."""
        with self.database.read() as tx:
            wanted = Filter(address=parse_address(f"{name}@example.org").normal)
            return [row.state for row in deliveries.listed(tx, wanted)]

    def claim(self) -> list[int]:
        """A sender takes everything that waits."""
        with self.database.write() as tx:
            found = outbox.waiting(tx, self.now, 1_000)
            return sorted(outbox.claim(tx, found, "sender", self.now)[0])

    def settle(self, ids: Sequence[int], state: DeliveryState, reply: str = "said") -> None:
        """What the sender took comes to an end."""
        again = self.now if state is DEFERRED else None
        with self.database.write() as tx:
            outbox.settle(
                tx, "sender", [DeliveryUpdate(n, state, reply, again) for n in ids], self.now
            )

    def suppress(self, name: str, reason: str = "550 5.1.1 no such user") -> None:
        """A server said that there is nobody of that name."""
        found = self.person(name)
        with self.database.write() as tx:
            subscribers.stop(tx, found.id, SubscriberState.SUPPRESSED, self.now)
            suppression_hash = self.lifecycle._suppression_hash(parse_address(found.address))
            subscribers.suppress(tx, suppression_hash, reason, self.now)


@pytest.fixture
def office(database: Database) -> Office:
    """An empty log, and nobody there."""
    return Office(database)


# --- adding


def test_who_is_added_is_active_and_due_at_the_next_hour(office: Office) -> None:
    """With the wishes they have."""
    line = line_of("Mira@Example.ORG", cadence="weekly:mon", send_at="9:05", topics="a; b")
    mira, added = office.lifecycle.add(line)
    assert added
    assert mira.address == "Mira@example.org"
    assert mira.state is SubscriberState.ACTIVE
    assert mira.preferences == subscribers.Preferences("weekly:mon", None, "09:05", ("a", "b"))
    assert mira.next_due_at == datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
    assert (mira.last_due_on, mira.added_at) == (None, MORNING)


def test_who_is_added_again_stays_as_they_are(office: Office) -> None:
    """However the address is written; what they chose is theirs."""
    office.join("mira", cadence="weekly:mon")
    again, added = office.lifecycle.add(line_of("MIRA@example.org", cadence="daily"))
    assert not added
    assert again == office.person("mira")
    assert again.preferences.cadence == "weekly:mon"


def test_somebody_suppressed_is_not_added_unless_they_ask_for_it(office: Office) -> None:
    """The reason is said; asked for, it is forgotten."""
    office.join("mira")
    office.suppress("mira")
    with pytest.raises(UsageError, match=r"suppressed: 550 5\.1\.1 no such user.*--unsuppress"):
        office.join("mira")
    assert office.state_of("mira") is SubscriberState.SUPPRESSED
    mira, added = office.lifecycle.add(SubscriberRow(MIRA), unsuppress=True)
    assert (mira.state, added) == (SubscriberState.ACTIVE, True)
    assert office.rows("SELECT count(*) FROM suppressions") == [(0,)]
    assert office.lifecycle.add(SubscriberRow(MIRA)) == (mira, False)


def test_the_first_reason_of_a_suppression_stays(office: Office) -> None:
    """It is what the operator needs to know."""
    office.join("mira")
    office.suppress("mira", "first")
    office.suppress("mira", "second")
    with pytest.raises(UsageError, match="first"):
        office.join("mira")


# --- importing


def test_an_import_counts_every_kind_of_line(office: Office) -> None:
    """Added, known, left, suppressed, bad, twice in the file; and every line is one of them."""
    for name in ("known", "paused", "left", "gone"):
        office.join(name)
    office.lifecycle.pause(parse_address("paused@example.org"))
    office.lifecycle.unsubscribe(parse_address("left@example.org"))
    office.suppress("gone")
    office.join("forgotten")
    office.lifecycle.remove(parse_address("forgotten@example.org"), forget=True)
    before = {name: office.person(name) for name in ("known", "paused", "left", "gone")}
    done, bad = office.take_in(
        "address,cadence,time_zone,send_at,topics",
        "mira@example.org,weekly:mon,Europe/Berlin,08:00,agents; speech",
        "known@example.org,weekly:fri,,,",
        "Known@Example.org,,,,",
        "paused@example.org,,,,",
        "left@example.org,,,,",
        "gone@example.org,,,,",
        "forgotten@example.org,,,,",
        "nobody,,,,",
        "jonas@example.org,hourly,,,",
        "MIRA@example.org,daily,,,",
        "",
    )
    assert (done.added, done.known, done.left, done.suppressed, done.bad) == (1, 4, 1, 2, 2)
    assert done.lines == 10
    assert [(line.number, line.problem.text[:6]) for line in bad] == [(9, "nobody"), (10, "jonas@")]
    assert "hourly" not in bad[0].problem.what
    assert {name: office.person(name) for name in before} == before
    preferences = subscribers.Preferences(
        "weekly:mon", "Europe/Berlin", "08:00", ("agents", "speech")
    )
    assert office.person("mira").preferences == preferences


def test_who_is_imported_begins_as_a_newcomer(office: Office) -> None:
    """Active, due at the next hour, with the latest day's papers."""
    office.papers(1, day=day(-1))
    office.papers(2)
    assert office.taken_in("address", "mira@example.org").added == 1
    mira = office.person("mira")
    assert (mira.state, mira.cursor, mira.next_due_at) == (SubscriberState.ACTIVE, 1, DUE)


def test_who_left_is_not_brought_back_by_an_import(office: Office) -> None:
    """However often; only by asking for it."""
    office.join("mira")
    office.lifecycle.unsubscribe(MIRA)
    for _ in range(2):
        assert office.taken_in("address", "mira@example.org").left == 1
    assert office.state_of("mira") is SubscriberState.UNSUBSCRIBED
    office.join("mira")
    assert office.state_of("mira") is SubscriberState.ACTIVE


def test_who_has_not_confirmed_is_made_active_by_an_import(office: Office) -> None:
    """The operator knows that they want it."""
    office.join("mira")
    office.sql("UPDATE subscribers SET state = 'pending', next_due_at = NULL")
    assert office.taken_in("address", "mira@example.org").added == 1
    assert office.person("mira").next_due_at == DUE


def test_a_long_file_is_taken_in_by_and_by(office: Office) -> None:
    """What is twice in it is known, near or far; progress says how many lines are done."""
    names = [f"{number}@example.org" for number in range(2 * CHUNK)]
    rows = csv_import.read(["address\n", *(f"{name}\n" for name in [*names, *names[:3]])]).rows
    done, heard = Imported(), list[int]()
    assert list(office.subscriber_import.add(rows, done, heard.append)) == []
    assert (done.added, done.known) == (2 * CHUNK, 3)
    assert heard == [CHUNK, 2 * CHUNK, 2 * CHUNK + 3]
    assert office.rows("SELECT count(*) FROM subscribers") == [(2 * CHUNK,)]


# --- a pause


def test_a_pause_stops_what_waits_and_its_end_brings_back_exactly_that(office: Office) -> None:
    """Not what was sent, refused, or cancelled for other reasons; nor anybody else's."""
    office.join("mira")
    office.join("jonas")
    for number in range(4):
        office.papers(number + 1, day=day(number))
        office.plan(DUE + number * A_DAY)
        taken = office.claim() if number < 3 else []
        for at, state in zip(taken, [SENT, SENT], strict=False):
            office.settle([at], DEFERRED if number == 2 else state)
        if number == 1:
            office.sql("UPDATE deliveries SET state = 'refused' WHERE edition_id = 2")
    assert office.states_of("mira") == [SENT, DeliveryState.REFUSED, DEFERRED, QUEUED]
    office.lifecycle.pause(MIRA)
    assert office.states_of("mira") == [SENT, DeliveryState.REFUSED, CANCELLED, CANCELLED]
    assert office.states_of("jonas") == [SENT, DeliveryState.REFUSED, DEFERRED, QUEUED]
    assert office.person("mira").next_due_at is None
    office.lifecycle.resume(MIRA)
    assert office.states_of("mira") == [SENT, DeliveryState.REFUSED, QUEUED, QUEUED]
    assert len(office.claim()) == 4


def test_a_pause_ends_only_on_its_own_date(office: Office) -> None:
    """Not on that of an earlier one, which ended before; nor does leaving end on one."""
    person = office.join("mira")
    for end in (office.lifecycle.resume, office.lifecycle.unsubscribe):
        with office.database.write() as tx:
            subscribers.stop(tx, person.id, SubscriberState.PAUSED, office.now)
            requests.note_pause(tx, person.id, date(2026, 12, 10))
        end(parse_address("mira@example.org"))
        with office.database.read() as tx:
            assert requests.about(tx, person.id).paused_until is None


def test_nothing_is_skipped_by_a_pause(office: Office) -> None:
    """The papers of the meantime come with the next edition, once."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.pause(MIRA)
    for number in (1, 2, 3):
        office.papers(number + 1, day=day(number))
        assert office.plan(DUE + number * A_DAY).subscribers == 0
    assert office.lifecycle.pause(MIRA).state is SubscriberState.PAUSED
    office.lifecycle.resume(MIRA)
    assert office.person("mira").next_due_at == DUE + 4 * A_DAY
    office.plan(DUE + 4 * A_DAY)
    assert office.got("mira") == [[1], [4, 3, 2]]


def test_a_pause_makes_no_date_come_twice(office: Office) -> None:
    """Served, paused and back on one day: next is tomorrow."""
    office.join("mira", send_at="20:00")
    office.papers(1)
    office.plan(DUE.replace(hour=20, minute=0))
    office.lifecycle.change(MIRA, send_at="22:00")
    office.lifecycle.pause(MIRA)
    office.lifecycle.resume(MIRA)
    assert office.person("mira").next_due_at == (DUE + A_DAY).replace(hour=22, minute=0)


def test_who_is_added_while_paused_is_back_as_if_resumed(office: Office) -> None:
    """Nothing was skipped, and what waited goes."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.pause(MIRA)
    office.papers(2, day=day(1))
    office.papers(3, day=day(2))
    _, added = office.lifecycle.add(SubscriberRow(MIRA))
    assert added
    assert office.states_of("mira") == [QUEUED]
    office.plan(DUE + A_DAY)
    assert office.got("mira") == [[1], [3, 2]]


def test_what_is_tried_after_a_long_pause_is_tried_as_if_it_were_new(office: Office) -> None:
    """The days of the pause are not days in which a server would not take it."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.settle(office.claim(), DEFERRED)
    office.lifecycle.pause(MIRA)
    office.now += 30 * A_DAY
    office.lifecycle.resume(MIRA)
    with office.database.read() as tx:
        (waiting,) = outbox.waiting(tx, office.now, 9)
    assert waiting.first_at is None


@pytest.mark.parametrize("state", ["unsubscribed", "suppressed"])
def test_only_a_pause_can_be_ended(office: Office, state: str) -> None:
    """Whoever left has to ask for it."""
    office.join("mira")
    if state == "suppressed":
        office.suppress("mira")
    else:
        office.lifecycle.unsubscribe(MIRA)
    with pytest.raises(UsageError, match=f"is {state}, not paused"):
        office.lifecycle.resume(MIRA)
    with pytest.raises(UsageError, match=f"is {state}, not active"):
        office.lifecycle.pause(MIRA)


def test_a_pause_that_is_none_can_be_ended(office: Office) -> None:
    """Somebody active stays as they are."""
    mira = office.join("mira")
    assert office.lifecycle.resume(MIRA) == mira


# --- leaving


def test_who_has_another_address_by_now_gets_it_there(office: Office) -> None:
    """A sender has read the old one: it claims nothing, and finds the new one afterwards."""
    person = office.join("mira")
    office.papers(1)
    office.plan(DUE)
    with office.database.write() as tx:
        read = outbox.waiting(tx, office.now, 10)
        requests.rename(tx, person.id, *MOVED_TO, office.now)
        assert outbox.claim(tx, read, "sender", office.now) == (set(), 0)
        (again,) = outbox.waiting(tx, office.now, 10)
        assert again.address == "new@example.net"
        assert outbox.claim(tx, [again], "sender", office.now) == ({again.id}, 0)


@pytest.mark.parametrize("moved", [True, False])
def test_what_is_said_of_an_old_mailbox_stops_nobody_who_moved(
    office: Office, *, moved: bool
) -> None:
    """The old address is never written to again; its reader has another one by now."""
    person = office.join("mira")
    office.papers(1)
    office.plan(DUE)
    with office.database.read() as tx:
        (waiting,) = outbox.waiting(tx, office.now, 10)
    recorder = Recorder(
        office.database, "sender", Limits(), RunSummary(), Breaker(Background(2_000))
    )
    assert recorder.record([], [waiting], office.now) == {waiting.id}
    if moved:
        with office.database.write() as tx:
            requests.rename(tx, person.id, *MOVED_TO, office.now)
    gone = Attempt(waiting, classify("rcpt", 550, "5.1.1 no such user"))
    recorder.record([gone], [], office.now)
    recorder.finish([], office.now)
    (one,) = office.lifecycle.listed()
    assert one.state is (SubscriberState.ACTIVE if moved else SubscriberState.SUPPRESSED)
    assert office.rows("SELECT count(*) FROM suppressions") == [(1,)]


def test_leaving_cancels_for_good(office: Office) -> None:
    """Back by an import they are not; back by asking, what was cancelled stays cancelled."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.unsubscribe(MIRA)
    assert office.states_of("mira") == [CANCELLED]
    assert office.claim() == []
    office.join("mira")
    office.lifecycle.pause(MIRA)
    office.lifecycle.resume(MIRA)
    assert office.states_of("mira") == [CANCELLED]


def test_leaving_in_a_pause_cancels_for_good(office: Office) -> None:
    """The next pause, after coming back, does not bring back what the first one stopped."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.pause(MIRA)
    office.lifecycle.unsubscribe(MIRA)
    office.join("mira")
    office.lifecycle.pause(MIRA)
    office.lifecycle.resume(MIRA)
    assert office.states_of("mira") == [CANCELLED]


def test_what_was_planned_for_somebody_who_left_is_never_claimed(office: Office) -> None:
    """Also when it waits again: by another try, or because the operator retries it."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    taken = office.claim()
    office.lifecycle.unsubscribe(MIRA)
    office.settle(taken, DEFERRED)
    assert office.claim() == []
    assert office.states_of("mira") == [CANCELLED]
    with office.database.write() as tx:
        assert deliveries.retry(tx, Filter(), office.now, 0)[0] == 1
    assert office.claim() == []
    assert office.states_of("mira") == [CANCELLED]


def test_who_comes_back_never_gets_what_they_had(office: Office) -> None:
    """The cursor does not go back, even if a newcomer's would be lower."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.papers(2)
    office.plan(DUE + A_DAY)
    office.lifecycle.unsubscribe(MIRA)
    assert office.join("mira").cursor == 2
    office.papers(3)
    office.plan(DUE + 2 * A_DAY)
    assert office.got("mira") == [[1], [2], [3]]


def test_who_comes_back_later_begins_as_a_newcomer(office: Office) -> None:
    """Not with the archive of the time they were away."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.unsubscribe(MIRA)
    for number in (2, 3):
        office.papers(number, day=day(number))
    office.now += 3 * A_DAY
    assert office.join("mira").cursor == 2
    office.plan(DUE + 4 * A_DAY)
    assert office.got("mira") == [[1], [3]]


def test_who_comes_back_on_the_day_they_were_served_is_due_tomorrow(office: Office) -> None:
    """No date comes twice."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.change(MIRA, send_at="12:00")
    office.lifecycle.unsubscribe(MIRA)
    assert office.join("mira").next_due_at == (DUE + A_DAY).replace(hour=12, minute=0)


def test_who_left_can_leave_again(office: Office) -> None:
    """A link that is followed twice says the same twice."""
    office.join("mira")
    first = office.lifecycle.unsubscribe(MIRA)
    office.now += HOUR
    assert office.lifecycle.unsubscribe(MIRA) == first


# --- removing and forgetting


def test_removing_deletes_and_suppresses_nobody(office: Office) -> None:
    """What waits is cancelled; the address may come again, as somebody else."""
    before = office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.remove(MIRA)
    with pytest.raises(UsageError, match="no subscriber mira@"):
        office.person("mira")
    assert office.states() == {CANCELLED: 1}
    assert office.rows("SELECT count(*) FROM suppressions") == [(0,)]
    assert office.taken_in("address", "mira@example.org").added == 1
    assert office.person("mira").id != before.id


def test_a_number_is_never_given_twice(office: Office) -> None:
    """Links in old mail lead to nobody else."""
    first = office.join("mira")
    office.lifecycle.remove(MIRA)
    assert office.join("jonas").id > first.id


def test_mail_in_flight_of_somebody_removed_comes_to_an_end(office: Office) -> None:
    """Put off by the server when nobody is there any more, it is cancelled and waits no longer."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    taken = office.claim()
    office.lifecycle.remove(MIRA)
    office.settle(taken, DEFERRED)
    office.claim()
    assert office.states() == {CANCELLED: 1}
    with office.database.read() as tx:
        assert outbox.count_waiting(tx, office.now) == 0


def test_forgetting_leaves_keyed_hashes_and_nothing_else(office: Office) -> None:
    """No trace of the address in any table, nor in the bytes of the file."""
    office.join("mira")
    office.join("jonas")
    office.papers(1)
    office.plan(DUE)
    said = "550 5.2.2 <mira@example.org> is full"
    office.settle(office.claim(), DeliveryState.REFUSED, said)
    office.papers(2)
    office.plan(DUE + A_DAY)
    with office.database.write() as tx:
        for spelt in ("mira@example.org", "Mira@Example.org"):
            notices.add(
                tx, "test", spelt, "mira@example.org", f"To {spelt}", f"Dear {spelt}", office.now
            )
    assert len(dumped(office.database, "mira")) == 5
    office.sql("UPDATE deliveries SET reply = NULL WHERE subscriber_id = 2")
    office.lifecycle.remove(MIRA, forget=True)
    assert dumped(office.database, "mira") == []
    rows = office.rows("SELECT length(hash), reason FROM suppressions")
    assert rows == [(32, "asked to be forgotten")] * 2  # of the address and of the number
    assert office.states_of("jonas") == [DeliveryState.REFUSED, QUEUED]
    assert office.states() == {DeliveryState.REFUSED: 2, QUEUED: 1, CANCELLED: 1}
    office.database.close()  # what is still in the write-ahead log goes into the file
    for path in office.database.file.parent.glob("test.db*"):
        assert b"mira@" not in path.read_bytes().lower(), path


def dumped(database: Database, word: str) -> list[tuple[str, Any]]:
    """The rows of all tables in which a word stands, whatever its case."""
    found = []
    with database.read() as tx:
        tables = tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        for table in tables.all():
            rows = tx.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608
            found += [(table, row) for row in rows if word in repr(tuple(row)).lower()]
    return found


def test_who_was_forgotten_comes_back_only_by_asking(office: Office) -> None:
    """An import counts them as suppressed; as a newcomer if they ask for it."""
    office.join("mira")
    office.lifecycle.remove(MIRA, forget=True)
    assert office.taken_in("address", "MIRA@example.org").suppressed == 1
    with pytest.raises(UsageError, match="asked to be forgotten"):
        office.join("mira")
    assert office.lifecycle.add(SubscriberRow(MIRA), unsuppress=True)[1]


# --- wishes


@pytest.mark.parametrize(
    ("preferences", "due_at"),
    [
        ({"cadence": "weekly:sun"}, datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
        ({"send_at": "22:00"}, datetime(2026, 11, 21, 22, 0, tzinfo=UTC)),
        ({"time_zone": "America/Los_Angeles"}, datetime(2026, 11, 21, 15, 30, tzinfo=UTC)),
        ({"time_zone": "Pacific/Kiritimati"}, datetime(2026, 11, 20, 17, 30, tzinfo=UTC)),
        ({"topics": ("agents",)}, datetime(2026, 11, 21, 7, 30, tzinfo=UTC)),
    ],
)
def test_changed_wishes_change_the_due_time_and_no_date_comes_twice(
    office: Office, preferences: dict[str, Any], due_at: datetime
) -> None:
    """Served for the 20th at half past seven; whatever changes, next is a later date."""
    office.papers(1)
    office.join("mira")
    office.plan(DUE)
    office.now = DUE + HOUR
    mira = office.lifecycle.change(MIRA, **preferences)
    assert mira.next_due_at == due_at
    assert all(getattr(mira.preferences, name) == value for name, value in preferences.items())


def test_wishes_that_are_not_named_stay(office: Office) -> None:
    """Only what is said changes; `None` is the newsletter's own."""
    office.join("mira", cadence="weekly:mon", send_at="09:00", topics=("a",))
    mira = office.lifecycle.change(MIRA, send_at=None)
    assert mira.preferences == subscribers.Preferences("weekly:mon", None, None, ("a",))


def test_a_zone_to_the_west_makes_no_date_come_twice(office: Office) -> None:
    """Served for the 21st in Kiritimati, where it is the 20th in Los Angeles: next is the 22nd."""
    office.papers(1)
    office.join("mira", time_zone="Pacific/Kiritimati")
    office.plan(DUE.replace(hour=17))
    office.lifecycle.change(MIRA, time_zone="America/Los_Angeles", send_at="20:00")
    assert office.person("mira").last_due_on == date(2026, 11, 21)
    assert office.person("mira").next_due_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def test_who_is_overdue_stays_due_when_their_wishes_change(office: Office) -> None:
    """What they have waited for still comes."""
    office.papers(1)
    office.join("mira")
    office.now = DUE + HOUR
    office.lifecycle.change(MIRA, topics=("agents",))
    assert office.plan().subscribers == 1
    office.papers(2)
    office.now = DUE + A_DAY + HOUR
    office.lifecycle.change(MIRA, send_at="07:00")
    assert office.plan().subscribers == 1
    assert office.person("mira").next_due_at == (DUE + 2 * A_DAY).replace(hour=7, minute=0)


def test_wishes_of_somebody_paused_count_when_they_are_back(office: Office) -> None:
    """Changing them ends no pause."""
    office.join("mira")
    office.lifecycle.pause(MIRA)
    mira = office.lifecycle.change(MIRA, cadence="weekly:sun")
    assert (mira.state, mira.next_due_at) == (SubscriberState.PAUSED, None)
    back = office.lifecycle.resume(MIRA)
    assert back.next_due_at == datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def test_due_times_follow_the_newsletters_own_hour_and_zone(office: Office) -> None:
    """For whoever has none."""
    office.rules = Rules("Asia/Tokyo", time(6, 15), frozenset({date(2026, 11, 21)}), 6 * HOUR)
    assert office.join("mira").next_due_at == datetime(2026, 11, 21, 21, 15, tzinfo=UTC)


# --- out and in again


def test_what_is_exported_is_imported_as_it_was(office: Office, tmp_path: Any) -> None:
    """Everybody who is active or paused, with their wishes; nobody else."""
    preferences: list[dict[str, Any]] = [
        {},
        {"cadence": "weekdays", "send_at": "05:45"},
        {"cadence": "monthly:31", "time_zone": "Pacific/Apia", "topics": ("=1+1", "a, b", 'c"d')},
    ]
    for number, wished in enumerate(preferences):
        office.join(f"reader.{number}", **wished)
    for odd in ("+odd'name@example.org", "jürgen@bücher.example", "Ana.B@example.net"):
        office.lifecycle.add(SubscriberRow(parse_address(odd)))
    office.join("left")
    office.lifecycle.unsubscribe(parse_address("left@example.org"))
    office.join("gone")
    office.suppress("gone")
    lines = list(office.lifecycle.exported(SubscriberState.ACTIVE))
    with Database(f"sqlite:///{tmp_path}/other.db") as database:
        other = Office(database)
        done, bad = other.take_in(*(line.rstrip("\r\n") for line in lines))
        assert (done.added, done.lines, bad) == (6, 6, [])
        assert list(other.lifecycle.exported(SubscriberState.ACTIVE)) == lines
        there = {one.address: one.preferences for one in other.lifecycle.listed()}
    here = {one.address: one.preferences for one in office.lifecycle.listed()}
    del here["left@example.org"], here["gone@example.org"]
    assert there == here


def test_everybody_is_listed_in_the_order_they_came(office: Office) -> None:
    """Or those in one state."""
    for name in ("mira", "jonas", "ana"):
        office.join(name)
    office.lifecycle.pause(parse_address("jonas@example.org"))
    listed = [one.address.partition("@")[0] for one in office.lifecycle.listed()]
    assert listed == ["mira", "jonas", "ana"]
    paused = list(office.lifecycle.listed(SubscriberState.PAUSED))
    assert [one.address for one in paused] == ["jonas@example.org"]


# --- what is typed


def test_what_is_typed_wrongly_is_a_usage_error(office: Office) -> None:
    """It says where, and what to write instead."""
    with pytest.raises(UsageError, match="nobody: an address has one"):
        address_of("nobody")
    with pytest.raises(UsageError, match="--send-at late: write a time of day"):
        preferences_of(cadence=None, send_at="late")
    with pytest.raises(UsageError, match="--cadence hourly: write"):
        line_of("mira@example.org", cadence="hourly")
    for act in (
        office.lifecycle.find,
        office.lifecycle.pause,
        office.lifecycle.resume,
        office.lifecycle.unsubscribe,
        office.lifecycle.remove,
        office.lifecycle.change,
    ):
        with pytest.raises(UsageError, match="no subscriber mira@"):
            act(MIRA)


def test_nothing_follows_from_a_change_that_fails(office: Office) -> None:
    """State, due time and waiting mail change together or not at all."""
    before = office.join("mira")
    office.papers(1)
    office.plan(DUE)
    served = office.person("mira")
    assert served != before
    office.sql(
        "CREATE TRIGGER broken BEFORE UPDATE ON deliveries "
        "BEGIN SELECT RAISE(ABORT, 'this write fails'); END"
    )
    for act in (
        office.lifecycle.pause,
        office.lifecycle.unsubscribe,
        office.lifecycle.remove,
    ):
        with pytest.raises(IntegrityError, match="this write fails"):
            act(MIRA)
    assert office.person("mira") == served
    assert office.states_of("mira") == [QUEUED]


def test_rules_of_the_tests_are_those_of_the_defaults() -> None:
    """Half past seven in UTC, and six hours."""
    assert (RULES.time_zone, RULES.send_at, RULES.catch_up) == (
        "UTC",
        time(7, 30),
        timedelta(0, 21600),
    )
