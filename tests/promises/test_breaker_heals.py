"""The breaker over days: sending resumes without help once the cause is gone or known."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from email.headerregistry import Address

import pytest

from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.delivery.recorder import Limits
from newsletter.delivery.run import DeliveryRun
from newsletter.messages.mime import Sender
from newsletter.models import SubscriberState
from newsletter.storage import breakers, deliveries
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Filter
from newsletter.transports.base import OutgoingMessage
from newsletter.transports.replies import Reply, classify
from tests.support.planning_room import MORNING, PlanningRoom

ACCEPTED = classify("dot", 250, "2.0.0 taken")
NO_MAILBOX = classify("rcpt", 550, "5.1.1 no such user")
POLICY = classify("rcpt", 550, "5.7.1 blocked")
HOUR = timedelta(hours=1)
ORIGIN = Origin(
    Sender("Harbour", Address("Harbour", "papers", "harbour.example"), owner="me@harbour.example")
)


@pytest.fixture
def room(database: Database) -> PlanningRoom:
    """A newsletter without papers and subscribers."""
    return PlanningRoom(database)


class Answering:
    """A transport whose replies depend on the recipient; it is also its only session."""

    def __init__(self, answer: Callable[[str], Reply]) -> None:
        self.answer = answer
        self.taken: Counter[str] = Counter()
        self.tried: list[str] = []
        self.is_open = False

    def encoded(self, data: bytes) -> bytes:
        """Returns the message unchanged."""
        return data

    def session(self) -> Answering:
        """Returns the only session."""
        return self

    def open(self) -> None:
        """Always succeeds."""
        self.is_open = True

    def close(self) -> None:
        """Closes the session."""
        self.is_open = False

    def send(self, message: OutgoingMessage) -> Reply:
        """Records the recipient and returns the reply to it."""
        reply = self.answer(message.recipient)
        self.tried.append(message.recipient)
        self.taken[message.recipient] += reply is ACCEPTED
        return reply


class Office:
    """A newsletter with these subscribers, and servers whose replies depend on the recipient."""

    def __init__(self, room: PlanningRoom, subscribers: Iterable[str]) -> None:
        self.room = room
        self.post = Answering(lambda _: ACCEPTED)
        room.history(1, 1, 1, 1, 1)
        for one in subscribers:
            room.join(one)
        self.days = 0

    def edition(self) -> None:
        """Ingests a new paper on a new day, and plans it for every subscriber."""
        self.days += 1
        self.room.now = MORNING + self.days * timedelta(days=1)
        self.room.papers(self.days, day=self.room.now.date())
        self.room.planning.plan(self.room.now, all_active=True)

    def run(self, later: timedelta = timedelta()) -> list[str]:
        """Runs delivery after this time has passed. Returns the recipients that were tried."""
        self.room.now += later
        self.post.tried = []
        database = self.room.database
        personaliser = Personaliser(database, ORIGIN, self.post.encoded)
        limits = Limits(sessions=1, retry_interval=0.0)
        DeliveryRun(
            database, self.post, personaliser, limits, self.room.clock, threading.Event()
        ).run()
        return self.post.tried

    def open_circuits(self) -> list[str]:
        """Returns the domains of the open circuits."""
        with self.room.database.read() as tx:
            return [circuit.domain for circuit in breakers.listed(tx)]

    def waiting(self) -> int:
        """Returns the number of deliveries that are not sent."""
        with self.room.database.read() as tx:
            rows = list(deliveries.listed(tx, Filter()))
        return sum(row.state in ("queued", "deferred") for row in rows)

    def names(self, state: SubscriberState) -> set[str]:
        """Returns the subscribers in this state."""
        return {one.address for one in self.room.lifecycle.listed(state)}


def test_an_old_list_gets_rid_of_many_dead_addresses(room: PlanningRoom) -> None:
    """More than the usual share: the others get their mail, and the dead ones are suppressed."""
    office = Office(room, [f"dead{n}" if n % 8 == 0 else f"fine{n}" for n in range(80)])
    office.post.answer = lambda to: NO_MAILBOX if to.startswith("dead") else ACCEPTED
    office.edition()
    office.run()
    for _ in range(3):
        office.run(HOUR)
    fine = {f"fine{n}@example.org" for n in range(80) if n % 8}
    assert office.post.taken == Counter(dict.fromkeys(fine, 1))
    assert office.names(SubscriberState.ACTIVE) == fine
    office.edition()
    office.run()
    assert office.post.taken == Counter(dict.fromkeys(fine, 2))
    assert office.open_circuits() == []


def test_no_delivery_expires_in_an_outage_of_days(room: PlanningRoom) -> None:
    """Deliveries that the breaker held back count as never tried."""
    subscribers = [f"reader{n}" for n in range(30)]
    office = Office(room, subscribers)
    office.post.answer = lambda _: NO_MAILBOX
    office.edition()
    for _ in range(100):
        office.run(HOUR)
    assert office.names(SubscriberState.SUPPRESSED) == set()
    again = iter(subscribers)
    later = classify("rcpt", 451, "4.7.1 greylisted")
    office.post.answer = lambda _: later if next(again, None) else ACCEPTED
    while office.waiting():
        office.run(HOUR)
        assert office.room.states().keys() <= {"queued", "deferred", "sent"}
    assert office.post.taken == Counter(
        dict.fromkeys((f"{one}@example.org" for one in subscribers), 1)
    )


def test_continue_also_works_during_a_run(room: PlanningRoom) -> None:
    """A probe that began earlier does not reopen a circuit that the operator has closed."""
    office = Office(room, [f"reader{n}" for n in range(30)])
    office.post.answer = lambda _: POLICY
    office.edition()
    office.run()
    assert office.open_circuits()

    def operator_continues(_to: str) -> Reply:
        with office.room.database.write() as tx:
            breakers.remove_all(tx)
        return POLICY

    office.post.answer = operator_continues
    office.run(HOUR)
    assert office.open_circuits() == []
