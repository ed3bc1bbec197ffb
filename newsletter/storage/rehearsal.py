"""What a run on a copy of the database did: SQL over `deliveries` and `subscribers`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage.chunks import in_chunks
from newsletter.storage.schema import deliveries, editions, notices
from newsletter.storage.subscriber_tables import subscribers

_PAGE = 1_000
"""Rows in memory at a time."""
_OPEN = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Before:
    """The deliveries before the run.

    Attributes:
        newest: the highest id.
        not_sent: the ids of those that had not been sent.
    """

    newest: int
    not_sent: frozenset[int]


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that the run sent.

    Attributes:
        edition: the edition's key, or the notice's kind.
        part: the part of the edition, from 1.
        papers: number of papers in the edition; 0 for a notice.
        subscriber: the subscriber's id; 0 for a notice.
        was_queued: whether it was planned before the run.
    """

    edition: str
    part: int
    subject: str
    papers: int
    address: str
    subscriber: int
    was_queued: bool


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """A delivery of an active subscriber that the run left to be sent.

    Attributes:
        try_at: when it may be tried; `None` while a sender has it.
    """

    state: DeliveryState
    try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A subscriber after the run; the attributes are those of the table."""

    id: int
    address: str
    domain: str
    state: SubscriberState
    cursor: int
    next_due_at: datetime | None
    paused_until: date | None


def before(tx: Connection) -> Before:
    """Reads which deliveries there are before a run."""
    newest = tx.execute(select(func.max(deliveries.c.id))).scalar() or 0
    rest = select(deliveries.c.id).where(deliveries.c.state != DeliveryState.SENT)
    return Before(int(newest), frozenset(tx.execute(rest).scalars()))


def sent(tx: Connection, before: Before) -> Iterator[SentMessage]:
    """Yields the messages that a run sent; those that were planned before it come first."""
    for row in in_chunks(tx, _sent(), deliveries.c.id, before.not_sent):
        yield _message(row, before)
    later = _sent().where(deliveries.c.id > before.newest).order_by(deliveries.c.id)
    for row in tx.execution_options(yield_per=_PAGE).execute(later):
        yield _message(row, before)


def _sent() -> Select[Any]:
    return (
        select(
            deliveries.c.id,
            deliveries.c.part,
            deliveries.c.subscriber_id,
            func.coalesce(editions.c.key, notices.c.kind).label("edition"),
            func.coalesce(editions.c.subject, notices.c.subject).label("subject"),
            func.coalesce(editions.c.papers, 0).label("papers"),
            func.coalesce(notices.c.address, subscribers.c.address).label("address"),
        )
        .select_from(
            deliveries.outerjoin(editions, editions.c.id == deliveries.c.edition_id)
            .outerjoin(notices, notices.c.id == deliveries.c.notice_id)
            .outerjoin(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        )
        .where(deliveries.c.state == DeliveryState.SENT)
    )


def _message(row: Any, before: Before) -> SentMessage:
    return SentMessage(
        edition=row.edition,
        part=row.part,
        subject=row.subject,
        papers=row.papers,
        address=row.address,
        subscriber=row.subscriber_id or 0,
        was_queued=row.id <= before.newest,
    )


def open_deliveries(tx: Connection) -> dict[int, OpenDelivery]:
    """Returns an edition's delivery that is still to be sent, by subscriber."""
    query = select(deliveries.c.subscriber_id, deliveries.c.state, deliveries.c.try_at).where(
        deliveries.c.state.in_(_OPEN), deliveries.c.notice_id.is_(None)
    )
    return {
        row.subscriber_id: OpenDelivery(DeliveryState(row.state), row.try_at)
        for row in tx.execute(query)
    }


def recipients(tx: Connection) -> Iterator[Recipient]:
    """Yields all subscribers in the order they were added, with one page in memory at a time."""
    columns = [subscribers.c[name] for name in Recipient.__dataclass_fields__]
    query = select(*columns).order_by(subscribers.c.id)
    for row in tx.execution_options(yield_per=_PAGE).execute(query):
        yield Recipient(**{**row._mapping, "state": SubscriberState(row.state)})  # noqa: SLF001
