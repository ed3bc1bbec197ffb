"""Adds, changes and removes subscribers.

Each change and its consequences (due times, cancelled deliveries, suppressions) are one
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from newsletter.errors import UsageError
from newsletter.messages import tokens
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import cancellations, outbox, requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.subscribers import Preferences, Subscriber
from newsletter.subscribers import csv_export
from newsletter.subscribers.activation import newcomer, newcomer_cursor, reactivate
from newsletter.subscribers.address import Address, parse_address
from newsletter.subscribers.csv_columns import SubscriberRow, parse_column
from newsletter.subscribers.pause_end import pause_problem

_FORGOTTEN = "asked to be forgotten"
_WHEN_REMOVED = {
    SubscriberState.PAUSED: subscribers.PAUSED_WHEN_REMOVED,
    SubscriberState.UNSUBSCRIBED: "had left when removed",
    SubscriberState.SUPPRESSED: "suppressed when removed",
}


class Lifecycle:
    """Adds, changes and removes subscribers.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due.
        clock: returns the current time, timezone-aware.
    """

    def __init__(self, database: Database, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._own_key = database.keys.own

    def add(self, line: SubscriberRow, *, unsuppress: bool = False) -> tuple[Subscriber, bool]:
        """Adds a subscriber, or makes an existing one active whatever their state.

        Returns the subscriber, and whether they were not active before.

        Args:
            line: their address and preferences.
            unsuppress: lift the suppression of the address, if any.

        Raises:
            UsageError: the address is suppressed.
        """
        now = self._clock()
        with self._database.write() as tx:
            self._check_suppression(tx, line.address, unsuppress=unsuppress)
            found = subscribers.find(tx, line.address.normal)
            if found is None:
                subscribers.add(
                    tx, [newcomer(line, self._rules, now)], newcomer_cursor(tx, now), now
                )
            elif found.state is not SubscriberState.ACTIVE:
                asked = Preferences(line.cadence, line.time_zone, line.send_at, line.topics)
                if asked != Preferences():
                    subscribers.change(tx, found.id, asked, None)
                    found = replace(found, preferences=asked)
                reactivate(tx, found, self._rules, now)
            added = found is None or found.state is not SubscriberState.ACTIVE
            return self._found(tx, line.address), added

    def change(self, address: Address, **preferences: object) -> Subscriber:
        """Changes preferences of a subscriber: `cadence`, `time_zone`, `send_at`, `topics`.

        Raises:
            UsageError: there is no such subscriber.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            wanted = replace(found.preferences, **preferences)  # type: ignore[arg-type]
            active = found.state is SubscriberState.ACTIVE
            overdue = found.next_due_at is not None and found.next_due_at <= now
            due = found.next_due_at if overdue else self._due(wanted, found, now)
            subscribers.change(tx, found.id, wanted, due if active else None)
            return self._found(tx, address)

    def pause(self, address: Address, until: date | None = None) -> Subscriber:
        """Pauses a subscriber. Their queued deliveries are sent after they resume.

        Args:
            address: their address.
            until: the date on which they resume, in their time zone; by default they do not
                until they are resumed.

        Raises:
            UsageError: there is no such subscriber, they are not active, or the date is not one
                from tomorrow to a year from now.
        """
        if problem := pause_problem(until, self._clock()):
            raise UsageError(problem, where=f"--until {until}")
        return self._stop(address, SubscriberState.PAUSED, outbox.PAUSED, until)

    def unsubscribe(self, address: Address) -> Subscriber:
        """Unsubscribes; the address is kept so that an import does not subscribe it again.

        Raises:
            UsageError: there is no such subscriber.
        """
        return self._stop(address, SubscriberState.UNSUBSCRIBED, outbox.LEFT)

    def resume(self, address: Address) -> Subscriber:
        """Ends a pause; no papers are skipped.

        Raises:
            UsageError: there is no such subscriber, or they are not paused.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            if found.state is SubscriberState.PAUSED:
                reactivate(tx, found, self._rules, now)
            elif found.state is not SubscriberState.ACTIVE:
                raise UsageError(
                    f"{found.address} is {found.state}, not paused",
                    hint="if they ask for mail again, use `newsletter subscribers add`",
                )
            return self._found(tx, address)

    def revoke(self, address: Address) -> Subscriber:
        """Ends all links of a subscriber, including those of unconfirmed requests.

        Only unsubscribe links keep working.

        Raises:
            UsageError: there is no such subscriber.
        """
        with self._database.write() as tx:
            found = self._found(tx, address)
            requests.end_links(tx, found.id, self._clock())
            return self._found(tx, address)

    def remove(self, address: Address, *, forget: bool = False) -> None:
        """Deletes a subscriber and cancels their queued deliveries.

        Args:
            address: their address.
            forget: also erase server replies and notices about them, and suppress the address.

        Raises:
            UsageError: there is no such subscriber.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            self._note_removal(tx, found, now, forget=forget)
            if forget:
                subscribers.suppress(tx, self._suppression_hash(address), _FORGOTTEN, now)
                requests.erase(tx, found, now)
                return
            cancellations.cancel(tx, found.id, now)
            subscribers.remove(tx, found.id)

    def find(self, address: Address) -> Subscriber:
        """Returns the subscriber with this address.

        Raises:
            UsageError: there is no such subscriber.
        """
        with self._database.read() as tx:
            return self._found(tx, address)

    def listed(self, state: SubscriberState | None = None) -> Iterator[Subscriber]:
        """Yields all subscribers, or those in one state, in the order they were added."""
        with self._database.read() as tx:
            yield from subscribers.listed(tx, state)

    def exported(self, state: SubscriberState) -> Iterator[str]:
        """Returns the lines of a CSV file with the subscribers in one state."""
        return csv_export.write(_line(one) for one in self.listed(state))

    def _stop(
        self, address: Address, state: SubscriberState, why: str, until: date | None = None
    ) -> Subscriber:
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            may = found.state is SubscriberState.ACTIVE or (
                state is SubscriberState.UNSUBSCRIBED
                and found.state is not SubscriberState.SUPPRESSED
            )
            if not may and found.state is not state:
                raise UsageError(
                    f"{found.address} is {found.state}, not active",
                    hint="only an active subscriber can be paused",
                )
            if may and found.state is not state:
                subscribers.stop(tx, found.id, state, now)
                cancellations.cancel(tx, found.id, now, why)
            if state is SubscriberState.PAUSED:
                requests.note_pause(tx, found.id, until)
            return self._found(tx, address)

    def _due(self, preferences: Preferences, found: Subscriber, now: datetime) -> datetime:
        return self._rules.next_due(preferences, found.last_due_on, now)

    def _check_suppression(self, tx: Connection, address: Address, *, unsuppress: bool) -> None:
        suppression_hash = self._suppression_hash(address)
        if unsuppress:
            subscribers.unsuppress(tx, suppression_hash)
        elif reason := subscribers.suppressed(tx, [suppression_hash]).get(suppression_hash):
            raise UsageError(
                f"{address.display} is suppressed: {reason}",
                hint="if they ask for mail again, use `newsletter subscribers add --unsuppress`",
            )

    def _suppression_hash(self, address: Address) -> bytes:
        return tokens.suppression_hash(self._own_key, address.normal)

    def _note_removal(
        self, tx: Connection, found: Subscriber, now: datetime, *, forget: bool
    ) -> None:
        """Records the subscriber's state at removal, for a later restore from a backup.

        A restore brings removed subscribers back unless they were forgotten, unsubscribed or
        suppressed; paused ones come back paused. The backup may have them active and under
        another address, so the suppression hash is that of the id, which is never reused.
        """
        suppression_hash = tokens.suppression_hash(self._own_key, str(found.id))
        why = _FORGOTTEN if forget else _WHEN_REMOVED.get(found.state)
        subscribers.unsuppress(tx, suppression_hash)
        if why:
            subscribers.suppress(tx, suppression_hash, why, now)

    def _found(self, tx: Connection, address: Address) -> Subscriber:
        found = subscribers.find(tx, address.normal)
        if found is None:
            raise UsageError(
                f"there is no subscriber {address.display}",
                hint="`newsletter subscribers list` shows them",
            )
        return found


def address_of(text: str) -> Address:
    """Parses an address from the command line.

    Raises:
        UsageError: it is not valid.
    """
    try:
        return parse_address(text)
    except ValueError as exc:
        raise UsageError(str(exc), where=text) from exc


def line_of(address: str, **typed: str | None) -> SubscriberRow:
    """Returns the row of a subscriber from command-line arguments.

    Raises:
        UsageError: the address or a preference is not valid.
    """
    return SubscriberRow(address_of(address), **preferences_of(**typed))


def preferences_of(**typed: str | None) -> dict[str, Any]:
    """Parses preferences from command-line options, leaving out those not given.

    Raises:
        UsageError: one is not valid; the message says what to write instead.
    """
    preferences: dict[str, Any] = {}
    for name, text in typed.items():
        if text is not None:
            try:
                preferences[name] = parse_column(name, text)
            except ValueError as exc:
                raise UsageError(str(exc), where=f"--{name.replace('_', '-')} {text}") from exc
    return preferences


def _line(one: Subscriber) -> SubscriberRow:
    preferences = one.preferences
    return SubscriberRow(
        parse_address(one.address),
        preferences.cadence,
        preferences.time_zone,
        preferences.send_at,
        preferences.topics,
    )
