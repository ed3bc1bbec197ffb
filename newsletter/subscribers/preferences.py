"""A subscriber's actions through a link of their own: change preferences, pause, resume,
unsubscribe, undo that, export or delete their data.

Subscribers are identified by id here. For an id that no longer exists, reads return `None`
and changes do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import cancellations, outbox, requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.requests import SubscriberDetails
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.activation import reactivate
from newsletter.subscribers.address import Address, parse_address
from newsletter.subscribers.lifecycle import Lifecycle
from newsletter.subscribers.pause_end import pause_problem
from newsletter.text.dates import WEEKDAYS, iso
from newsletter.text.zones import in_words

UNDO_FOR = timedelta(days=1)
"""How long an unsubscribe can be undone through the link that was used for it."""


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """A subscriber, with the details that only their own page shows."""

    row: Subscriber
    details: SubscriberDetails


class PreferenceCentre:
    """The actions of subscribers on their own pages.

    Args:
        database: the newsletter's database.
        lifecycle: changes and removes subscribers.
        rules: when subscribers are due.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        rules: Rules,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._rules = rules
        self._clock = clock

    def view(self, number: int) -> SubscriberView | None:
        """Returns the subscriber with this id, or `None`."""
        with self._database.read() as tx:
            row = requests.subscriber(tx, number)
            return SubscriberView(row, requests.about(tx, number)) if row else None

    def change(self, number: int, **preferences: object) -> None:
        """Changes a subscriber's preferences."""
        if address := self._address(number):
            self._lifecycle.change(address, **preferences)

    def pause(self, number: int, until: date | None) -> str:
        """Pauses a subscriber until a date or, without one, until they resume.

        Returns what is wrong with the date, or an empty string.
        """
        now = self._clock()
        if problem := pause_problem(until, now):
            return problem
        with self._database.write() as tx:
            row = requests.subscriber(tx, number)
            if row and row.state is SubscriberState.ACTIVE:
                subscribers.stop(tx, number, SubscriberState.PAUSED, now)
                cancellations.cancel(tx, number, now, outbox.PAUSED)
            if row and row.state in _REACHED:
                requests.note_pause(tx, number, until)
        return ""

    def resume(self, number: int) -> None:
        """Ends a pause; no papers are skipped."""
        found = self.view(number)
        if found and found.row.state is SubscriberState.PAUSED:
            self._lifecycle.resume(parse_address(found.row.address))

    def unsubscribe(self, number: int) -> None:
        """Unsubscribes and cancels queued deliveries. Does nothing when repeated."""
        now = self._clock()
        with self._database.write() as tx:
            row = requests.subscriber(tx, number)
            if row and row.state is SubscriberState.PENDING:
                requests.erase(tx, row, now)  # they never consented, so no data is kept
            elif row and row.state in _REACHED:
                subscribers.stop(tx, number, SubscriberState.UNSUBSCRIBED, now)
                cancellations.cancel(tx, number, now)

    def undo(self, number: int) -> bool:
        """Undoes an unsubscribe within `UNDO_FOR`; returns whether they are subscribed now."""
        now = self._clock()
        with self._database.write() as tx:
            row = requests.subscriber(tx, number)
            if row is None or row.state is not SubscriberState.UNSUBSCRIBED:
                return row is not None and row.state in _REACHED
            if not timedelta() <= now - row.changed_at <= UNDO_FOR:
                return False
            reactivate(tx, row, self._rules, now, undo=True)
            return True

    def explain(self, number: int, why: str) -> None:
        """Stores the reason a subscriber gave for unsubscribing."""
        with self._database.write() as tx:
            requests.note_reason(tx, number, why)

    def delete(self, number: int) -> None:
        """Deletes a subscriber with all their data, and suppresses the address."""
        if address := self._address(number):
            self._lifecycle.remove(address, forget=True)

    def export(self, number: int) -> Mapping[str, object] | None:
        """Returns all data about a subscriber as JSON values, or `None`."""
        with self._database.read() as tx:
            row = requests.subscriber(tx, number)
            if row is None:
                return None
            about = requests.about(tx, number)
            editions = requests.received(tx, number)
        return {
            "address": row.address,
            "state": str(row.state),
            "cadence": row.preferences.cadence,
            "time_zone": row.preferences.time_zone,
            "send_at": row.preferences.send_at,
            "topics": list(row.preferences.topics),
            "paused_until": about.paused_until.isoformat() if about.paused_until else None,
            "added_at": iso(row.added_at),
            "changed_at": iso(row.changed_at),
            "next_due_at": iso(row.next_due_at),
            "consent": {
                "at": iso(about.consented_at),
                "text": about.consent_text,
                "network": about.consent_network,
            },
            "left_because": about.left_because,
            "editions": [
                {"subject": one.subject, "state": one.state, "at": iso(one.at)} for one in editions
            ],
        }

    def due_in_words(self, subscriber: Subscriber) -> str:
        """Returns a subscriber's next due time, such as `Monday 07:30 (Europe/Berlin time)`."""
        if subscriber.next_due_at is None:
            return ""
        zone = self._rules.schedule(subscriber.preferences).zone
        at = subscriber.next_due_at.astimezone(ZoneInfo(zone))
        return f"{WEEKDAYS[at.weekday()]} {at:%H:%M} ({in_words(zone)})"

    def _address(self, number: int) -> Address | None:
        found = self.view(number)
        return parse_address(found.row.address) if found else None


_REACHED = (SubscriberState.ACTIVE, SubscriberState.PAUSED)
