"""Deliveries as the operator sees them: listed, counted, retried and settled by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    or_,
    select,
    text,
    update,
)

from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage.schema import ENDED_OTHERWISE, deliveries, editions, notices
from newsletter.storage.subscriber_tables import subscribers

_PAGE = 1_000
CHUNK = 2_000
"""Deliveries changed in one transaction, which then takes less than 200 ms."""
# Qualified with the table's name: joined tables have a `state` column too.
_ENDED_OTHERWISE: Any = text(f"deliveries.{ENDED_OTHERWISE}")
_UNDER_WAY = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT)
_SHORTEST_KEY = 19  # digits; a number this long is not an edition's id but part of its key


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects deliveries; attributes that are `None` match all.

    Attributes:
        address: the address of the subscriber or the notice, in normal form.
        edition: the edition's key, a prefix of it, or its id; or the kind of a notice.
    """

    state: DeliveryState | None = None
    address: str | None = None
    edition: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery on record.

    Attributes:
        edition: the edition's key, or the notice's kind.
        address: `None` if the subscriber was removed.
        domain: domain of its Message-ID; `None` for the sender's.
    """

    id: int
    edition: str
    part: int
    parts: int
    subscriber: int
    notice: int
    address: str | None
    domain: str | None
    state: DeliveryState
    attempts: int
    reply: str | None
    try_at: datetime | None
    changed_at: datetime


def listed(tx: Connection, wanted: Filter) -> Iterator[DeliveryRow]:
    """Yields the deliveries in the order they were planned, with one page in memory at a time."""
    return _found(tx, _conditions(wanted))


def _found(tx: Connection, conditions: Sequence[ColumnElement[bool]]) -> Iterator[DeliveryRow]:
    query = (
        select(
            deliveries,
            editions.c.key,
            editions.c.domain,
            func.json_array_length(editions.c.parts).label("parts"),
            notices.c.kind,
            func.coalesce(notices.c.address, subscribers.c.address).label("address"),
        )
        .select_from(_joined())
        .where(*conditions)
        .order_by(deliveries.c.id)
    )
    for row in tx.execution_options(yield_per=_PAGE).execute(query):
        yield _delivery(row)


def get(tx: Connection, number: int) -> DeliveryRow:
    """Returns the delivery with this id."""
    return next(_found(tx, [deliveries.c.id == number]))


def counts(tx: Connection, wanted: Filter | None = None) -> dict[DeliveryState, int]:
    """Counts deliveries of editions by state."""
    query = (
        select(deliveries.c.state, func.count().label("many"))
        .select_from(_joined())
        .where(deliveries.c.notice_id.is_(None), *_conditions(wanted or Filter()))
        .group_by(deliveries.c.state)
    )
    return {DeliveryState(row.state): row.many for row in tx.execute(query)}


def counts_by_edition(tx: Connection) -> dict[int, dict[DeliveryState, int]]:
    """Counts the deliveries of each edition by state."""
    query = (
        select(deliveries.c.edition_id, deliveries.c.state, func.count().label("many"))
        .where(deliveries.c.edition_id.is_not(None))
        .group_by(deliveries.c.edition_id, deliveries.c.state)
    )
    found: dict[int, dict[DeliveryState, int]] = {}
    for row in tx.execute(query):
        found.setdefault(row.edition_id, {})[DeliveryState(row.state)] = row.many
    return found


def ended_otherwise(
    tx: Connection, *, notices: bool = True, acknowledged: bool = True
) -> dict[DeliveryState, int]:
    """Counts, by state, deliveries that wait for a retry or did not end as sent. Fast.

    Args:
        notices: whether to count notices too.
        acknowledged: whether to count those that the operator has acknowledged.
    """
    query = (
        select(deliveries.c.state, func.count().label("many"))
        .where(_ENDED_OTHERWISE)
        .group_by(deliveries.c.state)
    )
    of_editions = deliveries.c.notice_id.is_(None)
    # A cancelled notice was no longer needed and does not have to be reported.
    counted = or_(of_editions, deliveries.c.state != DeliveryState.CANCELLED)
    query = query.where(counted if notices else of_editions)
    if not acknowledged:
        query = query.where(deliveries.c.acknowledged.is_(False))
    return {DeliveryState(row.state): row.many for row in tx.execute(query)}


def undelivered(tx: Connection, now: datetime) -> list[tuple[DeliveryState, int, datetime, str]]:
    """Returns messages that did not reach a server, or may not have, for the operator to act on.

    Leaves out notices, first attempts that are not due yet, acknowledged deliveries, and refusals
    for subscribers that were suppressed or have left: they need no action.

    Returns:
        For each state: the state, the number of messages, since when, and the newest reply.
    """
    waits = and_(deliveries.c.try_at.is_not(None), deliveries.c.try_at <= now)
    is_queued = and_(deliveries.c.state == DeliveryState.QUEUED, waits)
    queued = tx.execute(
        select(func.count().label("many"), func.min(deliveries.c.try_at).label("since")).where(
            is_queued, deliveries.c.notice_id.is_(None)
        )
    ).one()
    found = [(DeliveryState.QUEUED, queued.many, queued.since, "")] if queued.many else []
    rows = tx.execute(
        select(
            deliveries.c.state,
            func.count().label("many"),
            func.min(func.coalesce(deliveries.c.first_at, deliveries.c.changed_at)).label("since"),
            func.max(deliveries.c.id).label("newest"),
        )
        .join_from(deliveries, subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(
            _ENDED_OTHERWISE,
            deliveries.c.state.in_(_FAILED),
            deliveries.c.acknowledged.is_(False),
            or_(
                deliveries.c.state == DeliveryState.UNKNOWN,
                subscribers.c.state == SubscriberState.ACTIVE,
            ),
        )
        .group_by(deliveries.c.state)
    )
    for row in rows:
        reply = select(deliveries.c.reply).where(deliveries.c.id == row.newest)
        newest_reply = tx.execute(reply).scalar() or ""
        found.append((DeliveryState(row.state), row.many, row.since, newest_reply))
    return found


_FAILED = (
    DeliveryState.DEFERRED,
    DeliveryState.REFUSED,
    DeliveryState.EXPIRED,
    DeliveryState.UNKNOWN,
)


def refusing_domains(tx: Connection, since: datetime) -> list[str]:
    """Returns the domains that refused an edition permanently since then."""
    query = (
        select(subscribers.c.domain)
        .join_from(deliveries, subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(
            _ENDED_OTHERWISE,
            deliveries.c.state == DeliveryState.REFUSED,
            deliveries.c.changed_at >= since,
        )
        .distinct()
    )
    return list(tx.execute(query).scalars())


def newest(tx: Connection, state: DeliveryState) -> int:
    """Returns the id of an edition's newest delivery in this `ended_otherwise` state, or 0."""
    query = select(func.max(deliveries.c.id)).where(
        _ENDED_OTHERWISE, deliveries.c.state == state, deliveries.c.notice_id.is_(None)
    )
    return int(tx.execute(query).scalar() or 0)


@dataclass(frozen=True, slots=True)
class FailingMail:
    """Editions' deliveries that servers deferred or refused.

    Attributes:
        since: when the first of them was first tried; `None` if there are none.
        deferred: the number that wait for a retry.
        refused: the number that were refused permanently.
        subscribers: the number of subscribers they are for.
    """

    since: datetime | None
    deferred: int
    refused: int
    subscribers: int


def failing(tx: Connection, since: datetime) -> FailingMail:
    """Returns the deferred and refused deliveries of editions that were first tried since then."""
    deferred = func.count().filter(deliveries.c.state == DeliveryState.DEFERRED)
    query = select(
        func.min(deliveries.c.first_at),
        deferred,
        func.count() - deferred,
        func.count(deliveries.c.subscriber_id.distinct()),
    ).where(
        _ENDED_OTHERWISE,
        deliveries.c.state.in_([DeliveryState.DEFERRED, DeliveryState.REFUSED]),
        deliveries.c.notice_id.is_(None),
        deliveries.c.first_at >= since,
    )
    return FailingMail(*tx.execute(query).one())


def retry(tx: Connection, wanted: Filter, now: datetime, after: int) -> tuple[int, int]:
    """Requeues, as if new, the next matching deliveries that did not end as sent.

    Deliveries that are `unknown` may have arrived: they are sent again only if the filter names
    their state or an address, and not with a whole edition.

    Args:
        after: only deliveries with a higher id.

    Returns:
        The number of deliveries changed, at most `CHUNK` and 0 if none are left, and the id of
        the last one.
    """
    among = _ENDED_OTHERWISE
    if wanted.state is None and wanted.address is None:
        among = and_(_ENDED_OTHERWISE, deliveries.c.state != DeliveryState.UNKNOWN)
    return _set(
        tx,
        wanted,
        among,
        after,
        state=DeliveryState.QUEUED,
        try_at=now,
        first_at=None,
        changed_at=now,
        acknowledged=False,
    )


def settle(
    tx: Connection, wanted: Filter, state: DeliveryState, reply: str, now: datetime, after: int
) -> tuple[int, int]:
    """Sets the next matching `unknown` deliveries to the state given by the operator.

    Args:
        after: see `retry`, also for the return value.
    """
    unknown = and_(_ENDED_OTHERWISE, deliveries.c.state == DeliveryState.UNKNOWN)
    values = {"state": state, "reply": reply, "changed_at": now, "acknowledged": True}
    return _set(tx, wanted, unknown, after, **values)


def acknowledge(tx: Connection, wanted: Filter, after: int) -> tuple[int, int]:
    """Records that the next matching refused and expired deliveries need no further action.

    Args:
        after: see `retry`, also for the return value.
    """
    ended = and_(
        _ENDED_OTHERWISE,
        deliveries.c.state.in_((DeliveryState.REFUSED, DeliveryState.EXPIRED)),
        deliveries.c.acknowledged.is_(False),
    )
    return _set(tx, wanted, ended, after, acknowledged=True)


def _set(
    tx: Connection, wanted: Filter, among: ColumnElement[bool], after: int, **values: Any
) -> tuple[int, int]:
    query = (
        select(deliveries.c.id)
        .select_from(_joined())
        .where(among, deliveries.c.id > after, *_conditions(wanted))
        .order_by(deliveries.c.id)
        .limit(CHUNK)
    )
    ids = tx.execute(query).scalars().all()
    if ids:
        tx.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))
    return len(ids), max(ids, default=after)


def _joined() -> Any:
    return (
        deliveries.outerjoin(editions, editions.c.id == deliveries.c.edition_id)
        .outerjoin(notices, notices.c.id == deliveries.c.notice_id)
        .outerjoin(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
    )


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.state:
        found.append(deliveries.c.state == wanted.state)
        if wanted.state not in _UNDER_WAY:
            found.append(_ENDED_OTHERWISE)  # so that its index is used
    if wanted.address is not None:
        person = select(subscribers.c.id).where(subscribers.c.normal == wanted.address)
        theirs = select(notices.c.id).where(notices.c.normal == wanted.address)
        # Conditions on indexed columns, so that not all deliveries are read.
        found.append(
            or_(
                deliveries.c.subscriber_id == person.scalar_subquery(),
                deliveries.c.notice_id.in_(theirs),
            )
        )
    if wanted.edition is not None:
        is_number = wanted.edition.isdecimal() and len(wanted.edition) < _SHORTEST_KEY
        found.append(
            editions.c.id == int(wanted.edition)
            if is_number
            else or_(
                editions.c.key.startswith(wanted.edition, autoescape=True),
                notices.c.kind == wanted.edition,
            )
        )
    return found


def _delivery(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        id=row.id,
        edition=row.key or row.kind,
        part=row.part,
        parts=row.parts or 1,
        subscriber=row.subscriber_id or 0,
        notice=row.notice_id or 0,
        address=row.address,
        domain=row.domain,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        reply=row.reply,
        try_at=row.try_at,
        changed_at=row.changed_at,
    )
