"""Lifts the suppressions that a burst of refusals left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from newsletter.messages import tokens
from newsletter.planning.rules import Rules
from newsletter.storage import subscribers
from newsletter.storage.database import Database
from newsletter.subscribers.activation import reactivate

CHUNK = 500
"""Subscribers in one transaction."""


class SuppressionUndo:
    """Makes subscribers active again that were suppressed because their servers refused them.

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

    def undo(self, since: datetime) -> list[str]:
        """Makes active all subscribers suppressed since then, and returns their addresses.

        Their cursors stay, so that the next edition has what they missed; deliveries that the
        suppression cancelled are queued again.
        """
        found: list[str] = []
        after = 0
        while True:
            with self._database.write() as tx:
                some = subscribers.suppressed_after(tx, since, after, CHUNK)
                for one, normal in some:
                    subscribers.unsuppress(tx, tokens.suppression_hash(self._own_key, normal))
                    reactivate(tx, one, self._rules, self._clock(), undo=True)
            if not some:
                return found
            found += [one.address for one, _ in some]
            after = some[-1][0].id
