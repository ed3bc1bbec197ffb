"""Makes a subscriber active: for the first time, after a pause, or after unsubscribing.

The only module that decides the cursor of a returning subscriber and which of their
cancelled deliveries are queued again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules, latest_day
from newsletter.storage import cancellations, log, subscribers
from newsletter.storage.subscribers import Newcomer, Preferences, Subscriber
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.other_services import Fate


def newcomer(row: SubscriberRow, rules: Rules, now: datetime) -> Newcomer:
    """Returns a subscriber to be added, due at the next time that their preferences give.

    If another service recorded that they unsubscribed, they are not due at all.
    """
    record = row.record
    is_active = record is None or record.fate is Fate.ACTIVE
    address, preferences = (
        row.address,
        Preferences(row.cadence, row.time_zone, row.send_at, row.topics),
    )
    return Newcomer(
        address=address.display,
        normal=address.normal,
        domain=address.domain,
        preferences=preferences,
        next_due_at=rules.schedule(preferences).next_due(now) if is_active else None,
        state=SubscriberState.ACTIVE if is_active else SubscriberState.UNSUBSCRIBED,
        since=min(record.since, now) if record and record.since else None,
        consent_text=f"imported from {record.service}" if record and is_active else None,
    )


def newcomer_cursor(tx: Connection, now: datetime) -> int:
    """Returns the cursor of a subscriber who joins now: just before the latest day's papers."""
    return log.newcomer_cursor(tx, latest_day(now))


def reactivate(
    tx: Connection, subscriber: Subscriber, rules: Rules, now: datetime, *, undo: bool = False
) -> None:
    """Makes a subscriber active again, due at the next time that their preferences give.

    After a pause the cursor stays, and the deliveries that the pause cancelled are queued
    again, so that nothing is skipped. After any other state they start like a newcomer.

    Args:
        subscriber: their current record; not active.
        undo: they unsubscribed by mistake; treat that like a pause.
    """
    resumes = undo or subscriber.state is SubscriberState.PAUSED
    cursor = subscriber.cursor if resumes else newcomer_cursor(tx, now)
    due = rules.next_due(subscriber.preferences, subscriber.last_due_on, now)
    subscribers.activate(tx, subscriber.id, cursor, due, now)
    if undo:
        cancellations.revive_left(tx, subscriber.id, subscriber.changed_at, now)
    elif resumes:
        cancellations.revive(tx, subscriber.id, now)
