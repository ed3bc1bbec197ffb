"""Prunes old data. Keys and the log stay, so pruned papers never come back as new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, func, or_, select

from newsletter.models import DeliveryState, SnapshotState
from newsletter.storage.database import Database
from newsletter.storage.outbox import PAUSED
from newsletter.storage.schema import blobs, deliveries, notices, sendings, snapshots

_CHUNK = 5_000

_DONE = or_(
    deliveries.c.state == DeliveryState.SENT,
    and_(
        deliveries.c.state == DeliveryState.CANCELLED,
        # Deliveries cancelled by a pause are sent when it ends, however long it lasts.
        func.coalesce(deliveries.c.reply, "") != PAUSED,
    ),
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The data that was pruned.

    Attributes:
        captures: number of captures whose bytes were removed.
        mails: number of records of sent or cancelled deliveries that were removed.
    """

    captures: int
    mails: int


def prune(database: Database, before: datetime) -> Pruned:
    """Removes data from before `before`: bytes of decided captures, finished deliveries."""
    return Pruned(_captures(database, before), _mails(database, before))


def _captures(database: Database, before: datetime) -> int:
    """Removes bytes that no newer or undecided capture shares. Returns their number."""
    needed = select(snapshots.c.sha256).where(
        (snapshots.c.captured_at >= before)
        | snapshots.c.state.in_([SnapshotState.CAPTURED, SnapshotState.HELD])
    )
    with database.read() as tx:
        old = list(
            tx.execute(select(blobs.c.sha256).where(blobs.c.sha256.not_in(needed))).scalars()
        )
    for start in range(0, len(old), 100):
        with database.write() as tx:
            some = old[start : start + 100]
            tx.execute(delete(blobs).where(blobs.c.sha256.in_(some), blobs.c.sha256.not_in(needed)))
    return len(old)


def _mails(database: Database, before: datetime) -> int:
    many = 0
    while True:
        with database.write() as tx:
            some = (
                select(deliveries.c.id).where(_DONE, deliveries.c.changed_at < before).limit(_CHUNK)
            )
            gone = tx.execute(delete(deliveries).where(deliveries.c.id.in_(some))).rowcount
            if not gone:
                used = select(deliveries.c.notice_id).where(deliveries.c.notice_id.is_not(None))
                tx.execute(delete(notices).where(notices.c.at < before, notices.c.id.not_in(used)))
                tx.execute(delete(sendings).where(sendings.c.hour < before - timedelta(days=2)))
                return many
            many += gone


def count_unknown(database: Database) -> int:
    """Returns the number of `unknown` deliveries."""
    with database.read() as tx:
        query = select(func.count()).where(deliveries.c.state == DeliveryState.UNKNOWN)
        return int(tx.execute(query).scalar_one())
