"""The lifecycle of subscribers: adding, importing, pausing, unsubscribing and removing."""

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
"""An address as displayed, its normal form, and its domain."""

CANCELLED, DEFERRED, QUEUED, SENDING, SENT = (
    DeliveryState.CANCELLED,
    DeliveryState.DEFERRED,
    DeliveryState.QUEUED,
    DeliveryState.SENDING,
    DeliveryState.SENT,
)


class Office(PlanningRoom):
    """A planning room with imports, subscriber states and claims."""

    def import_lines(self, *lines: str) -> tuple[Imported, list[BadLine]]:
        """Imports the lines of a file, the header first. Returns the counts and the bad lines."""
        done = Imported()
        bad = list(
            self.subscriber_import.add(csv_import.read(f"{line}\n" for line in lines).rows, done)
        )
        return done, bad

    def imported(self, *lines: str) -> Imported:
        """Imports the lines of a file. Returns the counts."""
        return self.import_lines(*lines)[0]

    def state_of(self, name: str) -> SubscriberState:
        """Returns a subscriber's state."""
        return self.person(name).state

    def states_of(self, name: str) -> list[DeliveryState]:
        """Returns the states of a subscriber's deliveries, in the order they were planned."""
        with self.database.read() as tx:
            wanted = Filter(address=parse_address(f"{name}@example.org").normal)
            return [row.state for row in deliveries.listed(tx, wanted)]

    def claim(self) -> list[int]:
        """Claims all waiting deliveries for one sender. Returns their ids."""
        with self.database.write() as tx:
            found = outbox.waiting(tx, self.now, 1_000)
            return sorted(outbox.claim(tx, found, "sender", self.now)[0])

    def settle(self, ids: Sequence[int], state: DeliveryState, reply: str = "reply") -> None:
        """Records an outcome for claimed deliveries."""
        again = self.now if state is DEFERRED else None
        with self.database.write() as tx:
            outbox.settle(
                tx, "sender", [DeliveryUpdate(n, state, reply, again) for n in ids], self.now
            )

    def suppress(self, name: str, reason: str = "550 5.1.1 no such user") -> None:
        """Suppresses a subscriber, as after a refusal of their server."""
        found = self.person(name)
        with self.database.write() as tx:
            subscribers.stop(tx, found.id, SubscriberState.SUPPRESSED, self.now)
            suppression_hash = self.lifecycle._suppression_hash(parse_address(found.address))
            subscribers.suppress(tx, suppression_hash, reason, self.now)


@pytest.fixture
def office(database: Database) -> Office:
    """An empty log without subscribers."""
    return Office(database)


# --- adding


def test_an_added_subscriber_is_active_and_due_at_their_next_time(office: Office) -> None:
    """Their preferences decide the time."""
    line = line_of("Mira@Example.ORG", cadence="weekly:mon", send_at="9:05", topics="a; b")
    mira, added = office.lifecycle.add(line)
    assert added
    assert mira.address == "Mira@example.org"
    assert mira.state is SubscriberState.ACTIVE
    assert mira.preferences == subscribers.Preferences("weekly:mon", None, "09:05", ("a", "b"))
    assert mira.next_due_at == datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
    assert (mira.last_due_on, mira.added_at) == (None, MORNING)


def test_adding_an_active_subscriber_changes_nothing(office: Office) -> None:
    """Their preferences are kept, even if the address is written in another case."""
    office.join("mira", cadence="weekly:mon")
    again, added = office.lifecycle.add(line_of("MIRA@example.org", cadence="daily"))
    assert not added
    assert again == office.person("mira")
    assert again.preferences.cadence == "weekly:mon"


def test_a_suppressed_address_is_added_only_with_unsuppress(office: Office) -> None:
    """Without it, the error has the reason; with it, the suppression is deleted."""
    office.join("mira")
    office.suppress("mira")
    with pytest.raises(UsageError, match=r"suppressed: 550 5\.1\.1 no such user.*--unsuppress"):
        office.join("mira")
    assert office.state_of("mira") is SubscriberState.SUPPRESSED
    mira, added = office.lifecycle.add(SubscriberRow(MIRA), unsuppress=True)
    assert (mira.state, added) == (SubscriberState.ACTIVE, True)
    assert office.rows("SELECT count(*) FROM suppressions") == [(0,)]
    assert office.lifecycle.add(SubscriberRow(MIRA)) == (mira, False)


def test_the_first_reason_of_a_suppression_is_kept(office: Office) -> None:
    """It tells the operator what happened."""
    office.join("mira")
    office.suppress("mira", "first")
    office.suppress("mira", "second")
    with pytest.raises(UsageError, match="first"):
        office.join("mira")


# --- importing


def test_an_import_counts_every_kind_of_line(office: Office) -> None:
    """Every line is added, known, unsubscribed, suppressed or bad; a duplicate is known."""
    for name in ("known", "paused", "left", "gone"):
        office.join(name)
    office.lifecycle.pause(parse_address("paused@example.org"))
    office.lifecycle.unsubscribe(parse_address("left@example.org"))
    office.suppress("gone")
    office.join("forgotten")
    office.lifecycle.remove(parse_address("forgotten@example.org"), forget=True)
    before = {name: office.person(name) for name in ("known", "paused", "left", "gone")}
    done, bad = office.import_lines(
        "address,cadence,time_zone,send_at,topics",
        "mira@example.org,weekly:mon,Europe/Berlin,08:00,agents; speech",
        "known@example.org,weekly:fri,,,",
        "Known@Example.org,,,,",
        "paused@example.org,,,,",
        "left@example.org,,,,",
        "gone@example.org,,,,",
        "forgotten@example.org,,,,",
        "no-one,,,,",
        "jonas@example.org,hourly,,,",
        "MIRA@example.org,daily,,,",
        "",
    )
    assert (done.added, done.known, done.left, done.suppressed, done.bad) == (1, 4, 1, 2, 2)
    assert done.lines == 10
    assert [(line.number, line.problem.text[:6]) for line in bad] == [(9, "no-one"), (10, "jonas@")]
    assert "hourly" not in bad[0].problem.what
    assert {name: office.person(name) for name in before} == before
    preferences = subscribers.Preferences(
        "weekly:mon", "Europe/Berlin", "08:00", ("agents", "speech")
    )
    assert office.person("mira").preferences == preferences


def test_an_imported_subscriber_starts_as_a_newcomer(office: Office) -> None:
    """They are active, due at the next time, and start with the latest day's papers."""
    office.papers(1, day=day(-1))
    office.papers(2)
    assert office.imported("address", "mira@example.org").added == 1
    mira = office.person("mira")
    assert (mira.state, mira.cursor, mira.next_due_at) == (SubscriberState.ACTIVE, 1, DUE)


def test_an_import_does_not_resubscribe_an_unsubscribed_address(office: Office) -> None:
    """Only adding them individually does."""
    office.join("mira")
    office.lifecycle.unsubscribe(MIRA)
    for _ in range(2):
        assert office.imported("address", "mira@example.org").left == 1
    assert office.state_of("mira") is SubscriberState.UNSUBSCRIBED
    office.join("mira")
    assert office.state_of("mira") is SubscriberState.ACTIVE


def test_an_import_makes_a_pending_subscriber_active(office: Office) -> None:
    """The operator vouches for their consent."""
    office.join("mira")
    office.sql("UPDATE subscribers SET state = 'pending', next_due_at = NULL")
    assert office.imported("address", "mira@example.org").added == 1
    assert office.person("mira").next_due_at == DUE


def test_a_long_file_is_imported_in_chunks(office: Office) -> None:
    """Duplicates in other chunks are known; progress reports the number of lines done."""
    names = [f"{number}@example.org" for number in range(2 * CHUNK)]
    rows = csv_import.read(["address\n", *(f"{name}\n" for name in [*names, *names[:3]])]).rows
    done, heard = Imported(), list[int]()
    assert list(office.subscriber_import.add(rows, done, heard.append)) == []
    assert (done.added, done.known) == (2 * CHUNK, 3)
    assert heard == [CHUNK, 2 * CHUNK, 2 * CHUNK + 3]
    assert office.rows("SELECT count(*) FROM subscribers") == [(2 * CHUNK,)]


# --- a pause


def test_a_pause_cancels_waiting_deliveries_and_its_end_restores_exactly_those(
    office: Office,
) -> None:
    """Sent and refused deliveries, and those of other subscribers, stay unchanged."""
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
    """Resuming and unsubscribing clear the date, so that it does not end a later pause."""
    person = office.join("mira")
    for end in (office.lifecycle.resume, office.lifecycle.unsubscribe):
        with office.database.write() as tx:
            subscribers.stop(tx, person.id, SubscriberState.PAUSED, office.now)
            requests.note_pause(tx, person.id, date(2026, 12, 10))
        end(parse_address("mira@example.org"))
        with office.database.read() as tx:
            assert requests.about(tx, person.id).paused_until is None


def test_nothing_is_skipped_by_a_pause(office: Office) -> None:
    """The papers listed meanwhile are in the next edition, once."""
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


def test_a_pause_does_not_repeat_a_due_date(office: Office) -> None:
    """A subscriber served, paused and resumed on one day is due tomorrow."""
    office.join("mira", send_at="20:00")
    office.papers(1)
    office.plan(DUE.replace(hour=20, minute=0))
    office.lifecycle.change(MIRA, send_at="22:00")
    office.lifecycle.pause(MIRA)
    office.lifecycle.resume(MIRA)
    assert office.person("mira").next_due_at == (DUE + A_DAY).replace(hour=22, minute=0)


def test_adding_a_paused_subscriber_resumes_them(office: Office) -> None:
    """Nothing is skipped, and cancelled deliveries are queued again."""
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


def test_a_delivery_restored_after_a_pause_is_retried_like_a_new_one(office: Office) -> None:
    """The days of the pause do not count towards giving up."""
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
    """Unsubscribed and suppressed subscribers cannot be resumed."""
    office.join("mira")
    if state == "suppressed":
        office.suppress("mira")
    else:
        office.lifecycle.unsubscribe(MIRA)
    with pytest.raises(UsageError, match=f"is {state}, not paused"):
        office.lifecycle.resume(MIRA)
    with pytest.raises(UsageError, match=f"is {state}, not active"):
        office.lifecycle.pause(MIRA)


def test_resuming_an_active_subscriber_changes_nothing(office: Office) -> None:
    """It is not an error."""
    mira = office.join("mira")
    assert office.lifecycle.resume(MIRA) == mira


# --- unsubscribing and changing the address


def test_a_delivery_goes_to_the_new_address_after_a_change(office: Office) -> None:
    """A sender that has read the old address cannot claim it, and then reads the new one."""
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
def test_a_refusal_of_the_old_address_does_not_stop_a_subscriber_who_changed_it(
    office: Office, *, moved: bool
) -> None:
    """The old address is suppressed; the subscriber stays active."""
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


def test_deliveries_cancelled_by_unsubscribing_stay_cancelled(office: Office) -> None:
    """This holds even if the subscriber is added again, pauses and resumes."""
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


def test_unsubscribing_during_a_pause_cancels_permanently(office: Office) -> None:
    """The end of a later pause does not restore what the first one cancelled."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.pause(MIRA)
    office.lifecycle.unsubscribe(MIRA)
    office.join("mira")
    office.lifecycle.pause(MIRA)
    office.lifecycle.resume(MIRA)
    assert office.states_of("mira") == [CANCELLED]


def test_deliveries_of_an_unsubscribed_address_are_never_claimed(office: Office) -> None:
    """This holds for deferred deliveries and those that the operator retries."""
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


def test_a_returning_subscriber_never_receives_a_paper_twice(office: Office) -> None:
    """The cursor does not move back, even if a newcomer's would be lower."""
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


def test_a_subscriber_who_returns_later_starts_as_a_newcomer(office: Office) -> None:
    """They do not receive the papers listed while they were unsubscribed."""
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


def test_a_subscriber_who_returns_on_the_day_they_were_served_is_due_tomorrow(
    office: Office,
) -> None:
    """A due date is never repeated."""
    office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.change(MIRA, send_at="12:00")
    office.lifecycle.unsubscribe(MIRA)
    assert office.join("mira").next_due_at == (DUE + A_DAY).replace(hour=12, minute=0)


def test_unsubscribing_twice_changes_nothing(office: Office) -> None:
    """The second time is not an error."""
    office.join("mira")
    first = office.lifecycle.unsubscribe(MIRA)
    office.now += HOUR
    assert office.lifecycle.unsubscribe(MIRA) == first


# --- removing and forgetting


def test_removing_deletes_without_suppressing(office: Office) -> None:
    """Waiting deliveries are cancelled, and the address may be added again with a new id."""
    before = office.join("mira")
    office.papers(1)
    office.plan(DUE)
    office.lifecycle.remove(MIRA)
    with pytest.raises(UsageError, match="no subscriber mira@"):
        office.person("mira")
    assert office.states() == {CANCELLED: 1}
    assert office.rows("SELECT count(*) FROM suppressions") == [(0,)]
    assert office.imported("address", "mira@example.org").added == 1
    assert office.person("mira").id != before.id


def test_a_subscriber_id_is_never_reused(office: Office) -> None:
    """Links in old mail never belong to another subscriber."""
    first = office.join("mira")
    office.lifecycle.remove(MIRA)
    assert office.join("jonas").id > first.id


def test_a_delivery_in_flight_is_cancelled_if_the_subscriber_is_removed(office: Office) -> None:
    """The server defers it after the removal, and it is not retried."""
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
    """The address is in no table, nor in the bytes of the database files."""
    office.join("mira")
    office.join("jonas")
    office.papers(1)
    office.plan(DUE)
    reply = "550 5.2.2 <mira@example.org> is full"
    office.settle(office.claim(), DeliveryState.REFUSED, reply)
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
    assert rows == [(32, "asked to be forgotten")] * 2  # of the address and of the id
    assert office.states_of("jonas") == [DeliveryState.REFUSED, QUEUED]
    assert office.states() == {DeliveryState.REFUSED: 2, QUEUED: 1, CANCELLED: 1}
    office.database.close()  # moves the write-ahead log into the database file
    for path in office.database.file.parent.glob("test.db*"):
        assert b"mira@" not in path.read_bytes().lower(), path


def dumped(database: Database, word: str) -> list[tuple[str, Any]]:
    """Returns the rows of all tables that contain a word, in any case."""
    found = []
    with database.read() as tx:
        tables = tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        for table in tables.all():
            rows = tx.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608
            found += [(table, row) for row in rows if word in repr(tuple(row)).lower()]
    return found


def test_a_forgotten_address_is_added_only_with_unsuppress(office: Office) -> None:
    """An import counts it as suppressed."""
    office.join("mira")
    office.lifecycle.remove(MIRA, forget=True)
    assert office.imported("address", "MIRA@example.org").suppressed == 1
    with pytest.raises(UsageError, match="asked to be forgotten"):
        office.join("mira")
    assert office.lifecycle.add(SubscriberRow(MIRA), unsuppress=True)[1]


# --- preferences


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
def test_changed_preferences_change_the_due_time_without_repeating_a_date(
    office: Office, preferences: dict[str, Any], due_at: datetime
) -> None:
    """The subscriber was served for the 20th at 07:30; the next due date is always later."""
    office.papers(1)
    office.join("mira")
    office.plan(DUE)
    office.now = DUE + HOUR
    mira = office.lifecycle.change(MIRA, **preferences)
    assert mira.next_due_at == due_at
    assert all(getattr(mira.preferences, name) == value for name, value in preferences.items())


def test_only_the_given_preferences_change(office: Office) -> None:
    """`None` means the newsletter's default."""
    office.join("mira", cadence="weekly:mon", send_at="09:00", topics=("a",))
    mira = office.lifecycle.change(MIRA, send_at=None)
    assert mira.preferences == subscribers.Preferences("weekly:mon", None, None, ("a",))


def test_a_time_zone_further_west_does_not_repeat_a_date(office: Office) -> None:
    """Served for the 21st in Kiritimati, they are due on the 22nd in Los Angeles."""
    office.papers(1)
    office.join("mira", time_zone="Pacific/Kiritimati")
    office.plan(DUE.replace(hour=17))
    office.lifecycle.change(MIRA, time_zone="America/Los_Angeles", send_at="20:00")
    assert office.person("mira").last_due_on == date(2026, 11, 21)
    assert office.person("mira").next_due_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def test_an_overdue_subscriber_stays_due_when_preferences_change(office: Office) -> None:
    """The overdue edition is still planned."""
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


def test_preferences_changed_during_a_pause_apply_after_it(office: Office) -> None:
    """Changing them does not end the pause."""
    office.join("mira")
    office.lifecycle.pause(MIRA)
    mira = office.lifecycle.change(MIRA, cadence="weekly:sun")
    assert (mira.state, mira.next_due_at) == (SubscriberState.PAUSED, None)
    back = office.lifecycle.resume(MIRA)
    assert back.next_due_at == datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def test_due_times_default_to_the_newsletters_time_and_zone(office: Office) -> None:
    """This holds for subscribers without preferences of their own."""
    office.rules = Rules("Asia/Tokyo", time(6, 15), frozenset({date(2026, 11, 21)}), 6 * HOUR)
    assert office.join("mira").next_due_at == datetime(2026, 11, 21, 21, 15, tzinfo=UTC)


# --- exporting


def test_an_export_can_be_imported_into_another_database(office: Office, tmp_path: Any) -> None:
    """All active subscribers are in it with their preferences, and no others."""
    preferences: list[dict[str, Any]] = [
        {},
        {"cadence": "weekdays", "send_at": "05:45"},
        {"cadence": "monthly:31", "time_zone": "Pacific/Apia", "topics": ("=1+1", "a, b", 'c"d')},
    ]
    for number, wished in enumerate(preferences):
        office.join(f"subscriber.{number}", **wished)
    for odd in ("+odd'name@example.org", "jürgen@bücher.example", "Ana.B@example.net"):
        office.lifecycle.add(SubscriberRow(parse_address(odd)))
    office.join("left")
    office.lifecycle.unsubscribe(parse_address("left@example.org"))
    office.join("gone")
    office.suppress("gone")
    lines = list(office.lifecycle.exported(SubscriberState.ACTIVE))
    with Database(f"sqlite:///{tmp_path}/other.db") as database:
        other = Office(database)
        done, bad = other.import_lines(*(line.rstrip("\r\n") for line in lines))
        assert (done.added, done.lines, bad) == (6, 6, [])
        assert list(other.lifecycle.exported(SubscriberState.ACTIVE)) == lines
        there = {one.address: one.preferences for one in other.lifecycle.listed()}
    here = {one.address: one.preferences for one in office.lifecycle.listed()}
    del here["left@example.org"], here["gone@example.org"]
    assert there == here


def test_subscribers_are_listed_in_the_order_they_were_added(office: Office) -> None:
    """The list can be limited to one state."""
    for name in ("mira", "jonas", "ana"):
        office.join(name)
    office.lifecycle.pause(parse_address("jonas@example.org"))
    listed = [one.address.partition("@")[0] for one in office.lifecycle.listed()]
    assert listed == ["mira", "jonas", "ana"]
    paused = list(office.lifecycle.listed(SubscriberState.PAUSED))
    assert [one.address for one in paused] == ["jonas@example.org"]


# --- command-line arguments


def test_invalid_arguments_are_usage_errors(office: Office) -> None:
    """The error has the argument and what to write instead."""
    with pytest.raises(UsageError, match="mira: an address has one"):
        address_of("mira")
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


def test_a_failed_change_has_no_effect(office: Office) -> None:
    """State, due time and waiting deliveries change together or not at all."""
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


def test_the_rules_of_the_tests_are_the_defaults() -> None:
    """07:30 in UTC, and six hours."""
    assert (RULES.time_zone, RULES.send_at, RULES.catch_up) == (
        "UTC",
        time(7, 30),
        timedelta(0, 21600),
    )
