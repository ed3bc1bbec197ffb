"""Expires pauses, sign-ups that were never confirmed, and the details of old requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from newsletter.planning.rules import Rules
from newsletter.storage import requests
from newsletter.storage.database import Database
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.activation import reactivate

STALE = timedelta(days=7)
"""Time after which a subscriber who never confirmed is deleted."""
_MANY = 100


class Expiry:
    """Expires pauses, pending subscribers and the details of old requests.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due, and the default time zone.
        clock: returns the current time, timezone-aware.
    """

    def __init__(self, database: Database, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock

    def tidy(self) -> None:
        """Ends pauses that are over, and deletes subscribers who never confirmed.

        Raises:
            StorageError: a change cannot be written; the next call does the rest.
        """
        now = self._clock()
        # The latest local date of any time zone; `_end_pause` checks each subscriber's own.
        today = (now + timedelta(hours=14)).date()
        self._each(
            lambda tx, after: requests.pauses_over(tx, today, after, _MANY),
            lambda tx, one: self._end_pause(tx, one, now),
        )
        self._each(
            lambda tx, after: requests.stale(tx, now - STALE, after, _MANY),
            lambda tx, one: requests.erase(tx, one, now),
        )
        with self._database.write() as tx:
            requests.forget_requests(tx, now - STALE)

    def _each(
        self,
        found: Callable[[Connection, int], list[Subscriber]],
        change: Callable[[Connection, Subscriber], None],
    ) -> None:
        """Changes each subscriber found, in a transaction of its own."""
        after = 0
        while True:
            with self._database.read() as tx:
                some = found(tx, after)
            if not some:
                return
            for one in some:
                with self._database.write() as tx:
                    change(tx, one)
            after = some[-1].id

    def _end_pause(self, tx: Connection, one: Subscriber, now: datetime) -> None:
        zone = ZoneInfo(self._rules.schedule(one.preferences).zone)
        until = requests.about(tx, one.id).paused_until
        if until is None or until > now.astimezone(zone).date():
            return
        reactivate(tx, one, self._rules, now)
