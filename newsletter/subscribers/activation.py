"""How a subscriber becomes active: for the first time, after a pause, after leaving.

The only place that decides where a returning subscriber's cursor is and which of their
cancelled deliveries are queued again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules, latest_day
from newsletter.storage import log, outbox, subscribers
from newsletter.storage.subscribers import Newcomer, Preferences, Subscriber
from newsletter.subscribers.csv_columns import SubscriberRow


def newcomer(row: SubscriberRow, rules: Rules, now: datetime) -> Newcomer:
    """A subscriber about to be added, due at the next instant their preferences say."""
    address, preferences = (
        row.address,
        Preferences(row.cadence, row.time_zone, row.send_at, row.topics),
    )
    return Newcomer(
        address=address.display,
        normal=address.normal,
        domain=address.domain,
        preferences=preferences,
        next_due_at=rules.schedule(preferences).next_due(now),
    )


def newcomer_cursor(tx: Connection, now: datetime) -> int:
    """The cursor of a subscriber who joins now: just before the latest day's papers."""
    return log.newcomer_cursor(tx, latest_day(now))


def reactivate(
    tx: Connection, subscriber: Subscriber, rules: Rules, now: datetime, *, undo: bool = False
) -> None:
    """Makes a subscriber active again, and due at the next instant their preferences say.

    After a pause nothing was skipped: the cursor stays, and what the pause cancelled is
    queued again. After any other state they start like a newcomer.

    Args:
        subscriber: as they are now, not active.
        undo: they unsubscribed by mistake; treat that like a pause.
    """
    resumes = undo or subscriber.state is SubscriberState.PAUSED
    cursor = subscriber.cursor if resumes else newcomer_cursor(tx, now)
    due = rules.next_due(subscriber.preferences, subscriber.last_due_on, now)
    subscribers.activate(tx, subscriber.id, cursor, due, now)
    if undo:
        outbox.revive_left(tx, subscriber.id, subscriber.changed_at, now)
    elif resumes:
        outbox.revive(tx, subscriber.id, now)
