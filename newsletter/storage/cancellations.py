"""Deliveries cancelled because their subscriber paused, left or was suppressed: SQL over
`deliveries`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, update

from newsletter.models import DeliveryState
from newsletter.storage.outbox import LEFT, PAUSED, WAITING
from newsletter.storage.schema import deliveries


def cancel(tx: Connection, subscriber_id: int, now: datetime, why: str = LEFT) -> int:
    """Cancels a subscriber's deliveries that wait to be sent, or for a pause to end.

    Returns their number.
    """
    return tx.execute(
        update(deliveries)
        .where(
            deliveries.c.subscriber_id == subscriber_id,
            or_(deliveries.c.state.in_(WAITING), _waits_for_them()),
        )
        .values(state=DeliveryState.CANCELLED, try_at=None, reply=why, changed_at=now)
    ).rowcount


def revive(tx: Connection, subscriber_id: int, now: datetime) -> int:
    """Requeues, as if new, deliveries cancelled by a subscriber's pause. Returns their number."""
    return tx.execute(
        update(deliveries)
        .where(deliveries.c.subscriber_id == subscriber_id, _waits_for_them())
        .values(state=DeliveryState.QUEUED, try_at=now, first_at=None, reply=None, changed_at=now)
    ).rowcount


def revive_left(tx: Connection, subscriber_id: int, since: datetime, now: datetime) -> int:
    """Requeues, as if new, deliveries cancelled by unsubscribing since then.

    Returns their number.
    """
    return tx.execute(
        update(deliveries)
        .where(
            deliveries.c.subscriber_id == subscriber_id,
            deliveries.c.state == DeliveryState.CANCELLED,
            deliveries.c.reply == LEFT,
            deliveries.c.changed_at >= since,
        )
        .values(state=DeliveryState.QUEUED, try_at=now, first_at=None, reply=None, changed_at=now)
    ).rowcount


def _waits_for_them() -> ColumnElement[bool]:
    return and_(deliveries.c.state == DeliveryState.CANCELLED, deliveries.c.reply == PAUSED)
