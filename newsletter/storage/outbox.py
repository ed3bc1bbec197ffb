"""Deliveries being sent: SQL over `deliveries`.

    queued ─ claim ─→ sending ─ settle ─→ sent, refused, expired, unknown
                         │         └────→ deferred (waits, then is claimed again)
                         └─ its sender died ─→ unknown

A claim is committed before anything is sent, and belongs to a sender whose lock the operating
system releases when its process ends. So deliveries that are claimed by a sender that is not
alive are `unknown`, and only these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)

from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage.columns import Utc
from newsletter.storage.schema import ENDED_OTHERWISE, deliveries, notices
from newsletter.storage.subscriber_tables import subscribers

WAITING = (DeliveryState.QUEUED, DeliveryState.DEFERRED)

# A million editions may wait and a million notices may be sent, but few notices wait.
NOTICES_FIRST = ("INDEXED BY ix_deliveries_notices", "sqlite")

LEFT = "the person left before it went"
PAUSED = "the person paused before it went; it goes when they are back"
"""The recorded reasons of cancelled deliveries.

Compared with what is stored: a new wording needs a migration.
"""


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """A delivery that may be sent now.

    Attributes:
        edition: the edition's id; 0 for a notice.
        part: the part of the edition, from 1.
        subscriber: the subscriber's id; 0 for a notice.
        notice: the notice's id; 0 for an edition.
        address: as written; empty if the subscriber was removed.
        domain: domain of the address, in ASCII; empty for a notice.
        attempts: number of attempts until now.
        first_at: when it was first tried; `None` if never, or if it was put back.
    """

    id: int
    edition: int
    part: int
    subscriber: int
    notice: int
    address: str
    domain: str
    attempts: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryUpdate:
    """The result of an attempt to send a claimed delivery.

    Attributes:
        reply: the server's reply, or what happened instead.
        try_at: when the delivery is tried again; `None` if it is not.
    """

    id: int
    state: DeliveryState
    reply: str
    try_at: datetime | None = None


def waiting(
    tx: Connection,
    now: datetime,
    limit: int,
    *,
    only_notices: bool = False,
    without: Collection[int] = (),
    domains_without: Collection[str] = (),
) -> list[QueuedDelivery]:
    """Returns the deliveries that may be sent now: notices first, then longest waiting first.

    Args:
        limit: maximum number of deliveries.
        only_notices: exclude editions.
        without: ids of deliveries to exclude.
        domains_without: recipient domains to exclude.
    """
    due = and_(
        deliveries.c.try_at.is_not(None),
        deliveries.c.try_at <= now,
        deliveries.c.id.not_in(list(without)),
    )
    urgent = (
        select(deliveries, notices.c.address)
        .join_from(deliveries, notices, notices.c.id == deliveries.c.notice_id)
        .where(due, deliveries.c.notice_id > 0)
        .with_hint(deliveries, *NOTICES_FIRST)
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    found = [_waiting(row, row.address, "") for row in tx.execute(urgent)]
    if only_notices or len(found) >= limit:
        return found
    was_put_back = and_(
        deliveries.c.state == DeliveryState.DEFERRED, deliveries.c.first_at.is_(None)
    )
    query = (
        select(deliveries, subscribers.c.address, subscribers.c.domain)
        # Includes deliveries of removed subscribers: the claim cancels them.
        .outerjoin_from(deliveries, subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(due, deliveries.c.notice_id.is_(None))
        .order_by(deliveries.c.try_at, deliveries.c.id)
        .limit(limit - len(found))
    )
    if domains_without:
        query = query.where(subscribers.c.domain.not_in(list(domains_without)))
    # Deliveries refused before come last: a probe is one of them only if no others wait.
    rows = tx.execute(query.where(~was_put_back)).all() or tx.execute(query).all()
    return found + [_waiting(row, row.address or "", row.domain or "") for row in rows]


def count_waiting(
    tx: Connection,
    now: datetime,
    *,
    only_notices: bool = False,
    domains_without: Collection[str] = (),
) -> int:
    """Returns the number of deliveries that are due to be sent now.

    Args:
        only_notices: exclude editions.
        domains_without: recipient domains to exclude.
    """
    query = select(func.count()).where(deliveries.c.try_at.is_not(None), deliveries.c.try_at <= now)
    if domains_without:
        query = query.outerjoin_from(
            deliveries, subscribers, subscribers.c.id == deliveries.c.subscriber_id
        ).where(func.coalesce(subscribers.c.domain, "").not_in(list(domains_without)))
    if only_notices:
        query = query.where(deliveries.c.notice_id > 0).with_hint(deliveries, *NOTICES_FIRST)
    return int(tx.execute(query).scalar_one())


def next_try(tx: Connection) -> datetime | None:
    """Returns when the next delivery is due to be tried, or `None`."""
    return tx.execute(
        select(func.min(deliveries.c.try_at)).where(deliveries.c.try_at.is_not(None))
    ).scalar()


_ACTIVE = (
    select(subscribers.c.id)
    .where(
        subscribers.c.id == deliveries.c.subscriber_id,
        subscribers.c.state == SubscriberState.ACTIVE,
    )
    .exists()
)
_IS_PAUSED = (
    select(subscribers.c.id)
    .where(
        subscribers.c.id == deliveries.c.subscriber_id,
        subscribers.c.state == SubscriberState.PAUSED,
    )
    .exists()
)
_MAY_GO = or_(deliveries.c.notice_id.is_not(None), _ACTIVE)
_STILL_THERE = (
    select(subscribers.c.id)
    .where(
        subscribers.c.id == deliveries.c.subscriber_id,
        subscribers.c.state == SubscriberState.ACTIVE,
        subscribers.c.address.in_(bindparam("addresses", expanding=True)),
    )
    .exists()
)

_CLAIM = (
    update(deliveries)
    .where(
        deliveries.c.id.in_(bindparam("ids", expanding=True)),
        deliveries.c.state.in_(WAITING),
        # Another sender may have deferred it since it was read.
        deliveries.c.try_at <= bindparam("now", type_=Utc()),
        or_(deliveries.c.notice_id.is_not(None), _STILL_THERE),
    )
    .values(
        state=DeliveryState.SENDING,
        claimed_by=bindparam("sender"),
        attempts=deliveries.c.attempts + 1,
        first_at=func.coalesce(
            deliveries.c.first_at, bindparam("now", type_=deliveries.c.first_at.type)
        ),
        try_at=None,
        changed_at=bindparam("now", type_=Utc()),
    )
    .returning(deliveries.c.id)
    .execution_options(synchronize_session=False)
)
_CANCEL = (
    update(deliveries)
    .where(
        deliveries.c.id.in_(bindparam("ids", expanding=True)),
        deliveries.c.state.in_(WAITING),
        ~_MAY_GO,
    )
    .values(
        state=DeliveryState.CANCELLED,
        try_at=None,
        reply=case((_IS_PAUSED, PAUSED), else_=LEFT),
        changed_at=bindparam("now", type_=Utc()),
    )
)
_SETTLE = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("delivery"),
        deliveries.c.claimed_by == bindparam("sender"),
    )
    .values(
        state=bindparam("new_state"),
        reply=bindparam("new_reply"),
        try_at=bindparam("again", type_=Utc()),
        changed_at=bindparam("now", type_=Utc()),
        claimed_by=None,
    )
)


_PUT_BACK = (
    update(deliveries)
    .where(
        deliveries.c.id.in_(bindparam("ids", expanding=True)),
        deliveries.c.state.in_((DeliveryState.REFUSED, DeliveryState.DEFERRED)),
    )
    .values(
        state=DeliveryState.DEFERRED,
        try_at=bindparam("now", type_=Utc()),
        first_at=None,
        acknowledged=False,
        changed_at=bindparam("now", type_=Utc()),
    )
)


def claim(
    tx: Connection, wanted: Sequence[QueuedDelivery], sender: str, now: datetime
) -> tuple[set[int], int]:
    """Claims deliveries for a sender, unless another one has. Returns their ids.

    Also returns the number of deliveries it cancelled: those of subscribers that have
    unsubscribed or paused since. Deliveries to an address that has changed since still wait, and
    go to the new one when they are read again.
    """
    found = {
        "ids": [one.id for one in wanted],
        "addresses": [one.address for one in wanted],
        "sender": sender,
        "now": now,
    }
    claimed = set(tx.execute(_CLAIM, found).scalars())
    if len(claimed) == len(wanted):
        return claimed, 0
    rest = [one.id for one in wanted if one.id not in claimed]
    return claimed, tx.execute(_CANCEL, {"ids": rest, "now": now}).rowcount


def settle(tx: Connection, sender: str, settled: Iterable[DeliveryUpdate], now: datetime) -> None:
    """Records the results of deliveries claimed by this sender."""
    rows = [
        {
            "delivery": one.id,
            "sender": sender,
            "new_state": one.state,
            "new_reply": one.reply,
            "again": one.try_at,
            "now": now,
        }
        for one in settled
    ]
    if rows:
        tx.execute(_SETTLE, rows)


def refused_lately(tx: Connection, domains: Collection[str], since: datetime) -> list[int]:
    """Returns the refused deliveries of active subscribers since then, to be put back.

    Args:
        domains: of these recipient domains only; all if empty.
    """
    query = (
        select(deliveries.c.id)
        .join_from(deliveries, subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(
            text(f"deliveries.{ENDED_OTHERWISE}"),
            deliveries.c.state == DeliveryState.REFUSED,
            deliveries.c.acknowledged.is_(False),
            deliveries.c.changed_at >= since,
            subscribers.c.state == SubscriberState.ACTIVE,
        )
    )
    if domains:
        query = query.where(subscribers.c.domain.in_(list(domains)))
    return list(tx.execute(query).scalars())


def put_back(tx: Connection, ids: Iterable[int], now: datetime) -> None:
    """Defers deliveries that were refused, as if they were never tried.

    They are the only deferred ones without `first_at`.
    """
    tx.execute(_PUT_BACK, {"ids": list(ids), "now": now})


def cancel_left(tx: Connection, ids: Sequence[int], now: datetime) -> set[int]:
    """Cancels deliveries whose subscriber has unsubscribed or paused. Returns their ids."""
    return set(tx.execute(_CANCEL.returning(deliveries.c.id), {"ids": ids, "now": now}).scalars())


def senders(tx: Connection) -> list[str]:
    """Returns the senders that have claims, alive or not."""
    query = select(deliveries.c.claimed_by).where(deliveries.c.claimed_by.is_not(None)).distinct()
    return [sender for sender in tx.execute(query).scalars() if sender]


def give_up_claims(tx: Connection, sender: str, now: datetime) -> int:
    """Marks the deliveries claimed by a dead sender as `unknown`. Returns their number."""
    return tx.execute(
        update(deliveries)
        .where(deliveries.c.claimed_by == sender)
        .values(
            state=DeliveryState.UNKNOWN,
            claimed_by=None,
            try_at=None,
            reply="the sender stopped before a reply was recorded; the message may have arrived",
            changed_at=now,
        )
    ).rowcount


def resend_unknown(tx: Connection, planned_since: datetime, now: datetime) -> int:
    """Requeues `unknown` editions first tried since `planned_since`. Returns their number.

    Only once: otherwise a server that never answers would get the same message with every run.
    """
    return tx.execute(
        update(deliveries)
        .where(
            text(ENDED_OTHERWISE),
            deliveries.c.state == DeliveryState.UNKNOWN,
            deliveries.c.first_at >= planned_since,
            deliveries.c.attempts < 2,
            deliveries.c.notice_id.is_(None),
        )
        .values(state=DeliveryState.QUEUED, try_at=now, changed_at=now)
    ).rowcount


def _waiting(row: Any, address: str, domain: str) -> QueuedDelivery:
    return QueuedDelivery(
        id=row.id,
        edition=row.edition_id or 0,
        part=row.part,
        subscriber=row.subscriber_id or 0,
        notice=row.notice_id or 0,
        address=address,
        domain=domain,
        attempts=row.attempts,
        first_at=row.first_at,
    )
