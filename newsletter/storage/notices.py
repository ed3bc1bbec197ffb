"""Notices (transactional mail): SQL over `notices` and their deliveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import DeliveryState
from newsletter.storage.outbox import NOTICES_FIRST, WAITING
from newsletter.storage.schema import deliveries, notices, subscribers


def add(
    tx: Connection,
    kind: str,
    address: str,
    normal: str,
    subject: str,
    text: str,
    now: datetime,
    *,
    subscriber: int = 0,
) -> int:
    """Queues a notice. Returns the id of its delivery.

    Args:
        address: as written.
        normal: in normal form; see `subscribers.address`.
        subscriber: the id of the subscriber it is about; 0 if it is about none.
    """
    notice = tx.execute(
        insert(notices)
        .values(
            kind=kind,
            address=address,
            normal=normal,
            subscriber_id=subscriber or None,
            subject=subject,
            text=text,
            at=now,
        )
        .returning(notices.c.id)
    ).scalar_one()
    return int(
        tx.execute(
            insert(deliveries)
            .values(
                notice_id=notice, part=1, state=DeliveryState.QUEUED, try_at=now, changed_at=now
            )
            .returning(deliveries.c.id)
        ).scalar_one()
    )


def cancel(tx: Connection, delivery: int, why: str, now: datetime) -> None:
    """Cancels a waiting notice."""
    tx.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery, deliveries.c.state.in_(WAITING))
        .values(state=DeliveryState.CANCELLED, try_at=None, reply=why, changed_at=now)
    )


def content(tx: Connection, number: int) -> tuple[str, str, str]:
    """Returns the kind, subject and text of a notice."""
    row = tx.execute(select(notices).where(notices.c.id == number)).one()
    return row.kind, row.subject, row.text


def are_waiting(tx: Connection, now: datetime) -> bool:
    """Whether any notice may be sent now. Fast."""
    query = (
        select(deliveries.c.id)
        .where(
            deliveries.c.try_at.is_not(None), deliveries.c.try_at <= now, deliveries.c.notice_id > 0
        )
        .with_hint(deliveries, *NOTICES_FIRST)
        .limit(1)
    )
    return tx.execute(query).scalar() is not None


_LOST = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)


def was_queued_since(tx: Connection, normal: str, kind: str, since: datetime) -> bool:
    """Whether a notice of this kind was queued for the address since then, and is not lost.

    Args:
        normal: the address in normal form.
    """
    lost = select(deliveries.c.notice_id).where(
        deliveries.c.notice_id == notices.c.id, deliveries.c.state.in_(_LOST)
    )
    query = select(notices.c.id).where(
        notices.c.normal == normal,
        notices.c.kind == kind,
        notices.c.at > since,
        ~lost.exists(),
    )
    return tx.execute(query.limit(1)).scalar() is not None


def forget(tx: Connection, subscriber_id: int, now: datetime) -> None:
    """Erases what could identify a subscriber: server replies to their mail, and notices.

    Includes notices to addresses that they had before, or asked for.
    """
    normal = select(subscribers.c.normal).where(subscribers.c.id == subscriber_id)
    about = or_(
        notices.c.subscriber_id == subscriber_id, notices.c.normal == normal.scalar_subquery()
    )
    theirs = select(notices.c.id).where(about)
    mine = or_(deliveries.c.subscriber_id == subscriber_id, deliveries.c.notice_id.in_(theirs))
    tx.execute(
        update(deliveries)
        .where(deliveries.c.notice_id.in_(theirs), deliveries.c.state.in_(WAITING))
        .values(state=DeliveryState.CANCELLED, try_at=None, changed_at=now)
    )
    tx.execute(update(deliveries).where(mine).values(reply=None))
    gone = {"address": "", "normal": "", "subscriber_id": None, "subject": "", "text": ""}
    tx.execute(update(notices).where(about).values(**gone))
