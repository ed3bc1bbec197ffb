"""What somebody may do who holds a link of their own: choose, pause, leave, come back, go.

People are named by their number here; whoever is gone is `None`, and nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import outbox, requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.requests import SubscriberDetails
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.activation import reactivate
from newsletter.subscribers.address import Address, parse_address
from newsletter.subscribers.lifecycle import Lifecycle
from newsletter.text.dates import WEEKDAYS, iso

UNDO_FOR = timedelta(days=1)
"""How long leaving can be undone by the link that did it."""
LONGEST_PAUSE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """Somebody, with what only their own page shows."""

    row: Subscriber
    reader: SubscriberDetails


class PreferenceCentre:
    """Does what people choose.

    Args:
        database: where it is.
        subscriptions: changes who gets editions.
        rules: when people are due.
        clock: the current instant, aware.
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

    def person(self, number: int) -> SubscriberView | None:
        """Somebody by their number."""
        with self._database.read() as tx:
            row = requests.person(tx, number)
            return SubscriberView(row, requests.about(tx, number)) if row else None

    def parse_preference(self, number: int, **preferences: object) -> None:
        """Gives somebody other wishes."""
        if address := self._address(number):
            self._lifecycle.change(address, **preferences)

    def pause(self, number: int, until: date | None) -> str:
        """Sends nothing until that date, or until they say so; what is wrong with the date."""
        now = self._clock()
        if until and not now.date() < until <= (now + LONGEST_PAUSE).date():
            return "write a date from tomorrow on, at most a year from now"
        with self._database.write() as tx:
            row = requests.person(tx, number)
            if row and row.state is SubscriberState.ACTIVE:
                subscribers.stop(tx, number, SubscriberState.PAUSED, now)
                outbox.cancel(tx, number, now, outbox.PAUSED)
            if row and row.state in _REACHED:
                requests.note_pause(tx, number, until)
        return ""

    def resume(self, number: int) -> None:
        """Ends a pause: nothing was skipped."""
        found = self.person(number)
        if found and found.row.state is SubscriberState.PAUSED:
            self._lifecycle.resume(parse_address(found.row.address))

    def unsubscribe(self, number: int) -> None:
        """Somebody leaves; what waits for them is cancelled. Again, it does nothing."""
        now = self._clock()
        with self._database.write() as tx:
            row = requests.person(tx, number)
            if row and row.state is SubscriberState.PENDING:
                requests.erase(tx, row, now)  # who never agreed leaves no trace
            elif row and row.state in _REACHED:
                subscribers.stop(tx, number, SubscriberState.UNSUBSCRIBED, now)
                outbox.cancel(tx, number, now)

    def undo(self, number: int) -> bool:
        """Takes back that somebody left a short while ago; whether that was so."""
        now = self._clock()
        with self._database.write() as tx:
            row = requests.person(tx, number)
            if row is None or row.state is not SubscriberState.UNSUBSCRIBED:
                return row is not None and row.state in _REACHED
            if not timedelta() <= now - row.changed_at <= UNDO_FOR:
                return False
            reactivate(tx, row, self._rules, now, undo=True)
            return True

    def explain(self, number: int, why: str) -> None:
        """Remembers why somebody left, if they said so."""
        with self._database.write() as tx:
            requests.note_reason(tx, number, why)

    def delete(self, number: int) -> None:
        """Takes somebody out with all that is known of them; they are never written to again."""
        if address := self._address(number):
            self._lifecycle.remove(address, forget=True)

    def export(self, number: int) -> Mapping[str, object] | None:
        """All that is known of somebody, as JSON values."""
        with self._database.read() as tx:
            row = requests.person(tx, number)
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

    def due_in_words(self, person: Subscriber) -> str:
        """When a subscriber is due next, in their own zone, such as `Monday 07:30`."""
        if person.next_due_at is None:
            return ""
        zone = self._rules.schedule(person.preferences).zone
        at = person.next_due_at.astimezone(ZoneInfo(zone))
        return f"{WEEKDAYS[at.weekday()]} {at:%H:%M}"

    def _address(self, number: int) -> Address | None:
        found = self.person(number)
        return parse_address(found.row.address) if found else None


_REACHED = (SubscriberState.ACTIVE, SubscriberState.PAUSED)
