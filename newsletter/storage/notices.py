"""Notices (transactional mail): SQL over `notices` and their deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, null, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import DeliveryState
from newsletter.storage.outbox import NOTICES_FIRST, WAITING
from newsletter.storage.schema import deliveries, notices
from newsletter.storage.subscriber_tables import subscribers


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report to the owner whose result has not been recorded yet.

    Attributes:
        notice: id of the notice.
        delivery: id of its delivery.
        alerts: names of the alerts that it is about; empty if all of them are over.
        state: the state of its delivery.
        attempts: number of attempts to send it.
        changed_at: when that state was reached.
    """

    notice: int
    delivery: int
    alerts: tuple[str, ...]
    state: DeliveryState
    attempts: int
    changed_at: datetime


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
    alerts: Sequence[str] | None = None,
) -> int:
    """Queues a notice. Returns the id of its delivery.

    Args:
        address: as written.
        normal: in normal form; see `subscribers.address`.
        subscriber: the id of the subscriber it is about; 0 if it is about none.
        alerts: names of the alerts that a report to the owner is about; `None` for other notices.
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
            alerts=null() if alerts is None else list(alerts),
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


def open_report(tx: Connection, normal: str) -> ReportRow | None:
    """Returns the newest report to this address that `close_report` was not called for.

    Args:
        normal: the owner's address in normal form.
    """
    row = tx.execute(
        select(
            notices.c.id,
            notices.c.alerts,
            deliveries.c.id.label("delivery"),
            deliveries.c.state,
            deliveries.c.attempts,
            deliveries.c.changed_at,
        )
        .join_from(notices, deliveries, deliveries.c.notice_id == notices.c.id)
        .where(notices.c.normal == normal, notices.c.alerts.is_not(null()))
        .order_by(notices.c.at.desc(), notices.c.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    state = DeliveryState(row.state)
    return ReportRow(row.id, row.delivery, tuple(row.alerts), state, row.attempts, row.changed_at)


def close_report(tx: Connection, report: ReportRow, why: str, now: datetime) -> None:
    """Records that a report has been dealt with, and cancels it if it waits.

    Args:
        why: the reason to record if it is cancelled.
    """
    tx.execute(update(notices).where(notices.c.id == report.notice).values(alerts=null()))
    cancel(tx, report.delivery, why, now)


def resend(tx: Connection, delivery: int, now: datetime) -> None:
    """Requeues, as if new, a notice that was refused, expired or may not have arrived."""
    tx.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery,
            deliveries.c.state.not_in([*WAITING, DeliveryState.SENDING, DeliveryState.SENT]),
        )
        .values(state=DeliveryState.QUEUED, try_at=now, first_at=None, changed_at=now)
    )


def count_sent(
    tx: Connection, normal: str, kinds: Collection[str], since: datetime, until: datetime
) -> int:
    """Returns the number of notices of these kinds that a server accepted for an address.

    Args:
        normal: the address in normal form.
        since: the first instant that counts.
        until: the first instant that does not.
    """
    query = (
        select(func.count())
        .select_from(notices)
        .join(deliveries, deliveries.c.notice_id == notices.c.id)
        .where(
            notices.c.normal == normal,
            notices.c.kind.in_(list(kinds)),
            deliveries.c.state == DeliveryState.SENT,
            deliveries.c.changed_at >= since,
            deliveries.c.changed_at < until,
        )
    )
    return int(tx.execute(query).scalar_one())


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


def queued_since(tx: Connection, kind: str, local: str, since: datetime) -> list[str]:
    """Returns the addresses, in normal form, that notices of a kind were queued for since then.

    Lost notices do not count. Only addresses are returned whose local part is `local` without
    dots, with or without a tag such as `+papers`.
    """
    newest_before = (
        select(notices.c.id)
        .where(notices.c.at <= since)
        .order_by(notices.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    written = func.replace(notices.c.normal, ".", "")
    beginnings = (f"{local}@", f"{local}+")
    lost = select(deliveries.c.notice_id).where(
        deliveries.c.notice_id == notices.c.id, deliveries.c.state.in_(_LOST)
    )
    query = select(notices.c.normal).where(
        # Ids are in the order of time, so only recent notices are read.
        notices.c.id > func.coalesce(newest_before, 0),
        notices.c.kind == kind,
        notices.c.at > since,
        or_(*(func.substr(written, 1, len(one)) == one for one in beginnings)),
        ~lost.exists(),
    )
    return list(tx.execute(query).scalars())


def forget(tx: Connection, subscriber_id: int, now: datetime) -> None:
    """Erases data that could identify a subscriber: server replies to their mail, and notices.

    Includes notices to addresses that they had before or requested.
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
