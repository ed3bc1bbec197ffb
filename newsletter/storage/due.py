"""Finds due subscribers and advances them: SQL over `subscribers` and `deliveries`.

Subscribers with the same cursor and the same preferences are planned together, at most `CHUNK` in
a transaction, so that none takes long. Changes apply only to subscribers that still match their
group, so a second planner finds none left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    func,
    insert,
    literal,
    select,
    update,
)

from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage.columns import Utc
from newsletter.storage.schema import deliveries
from newsletter.storage.subscriber_tables import subscribers
from newsletter.storage.subscribers import Preferences

CHUNK = 1_500
"""Subscribers planned in one transaction: 30 ms, so that visitors do not wait long."""


@dataclass(frozen=True, slots=True)
class Group:
    """Active subscribers with the same cursor, due time and preferences.

    Attributes:
        due_at: when they are due; `None` for all active subscribers with this cursor.
        merged: whether the previous due date was merged with this one.
        last_on: the last local date that was served.
        size: the number of subscribers when the group was read.
    """

    cursor: int
    due_at: datetime | None = None
    cadence: str = ""
    time_zone: str | None = None
    send_at: str | None = None
    merged: bool = False
    last_on: date | None = None
    size: int = field(default=0, compare=False)

    @property
    def preferences(self) -> Preferences:
        """The preferences that determine their due times."""
        return Preferences(self.cadence, self.time_zone, self.send_at)


@dataclass(frozen=True, slots=True)
class NextState:
    """The state of a group's members after planning.

    Attributes:
        cursor: the new cursor.
        due_at: when they are due next; `None` leaves it unchanged.
        served_on: the local date that was served; `None` leaves it unchanged.
        merged: whether that date is merged with the next due date.
    """

    cursor: int
    due_at: datetime | None = None
    served_on: date | None = None
    merged: bool = False


def due(tx: Connection, now: datetime) -> list[Group]:
    """Returns the groups that are due, longest overdue first."""
    columns = (
        subscribers.c.cursor,
        subscribers.c.next_due_at,
        subscribers.c.cadence,
        subscribers.c.time_zone,
        subscribers.c.send_at,
        subscribers.c.merged,
        subscribers.c.last_due_on,
    )
    first = tx.execute(select(func.min(subscribers.c.next_due_at))).scalar()
    if first is None or first > now:
        return []
    rows = tx.execute(
        select(*columns, func.count().label("size"))
        .where(subscribers.c.next_due_at <= now, is_active())
        .group_by(*columns)
        .order_by(subscribers.c.next_due_at, subscribers.c.cursor)
    )
    return [
        Group(
            row.cursor,
            row.next_due_at,
            row.cadence,
            row.time_zone,
            row.send_at,
            row.merged,
            row.last_due_on,
            row.size,
        )
        for row in rows
    ]


def all_active(tx: Connection) -> list[Group]:
    """Returns all active subscribers, grouped by cursor alone."""
    rows = tx.execute(
        select(subscribers.c.cursor, func.count().label("size"))
        .where(is_active())
        .group_by(subscribers.c.cursor)
    )
    return [Group(row.cursor, size=row.size) for row in rows]


def chunk(tx: Connection, cursor: int, after: int) -> int | None:
    """Returns the last id of the next `CHUNK` active subscribers with this cursor, or `None`.

    Subscribers with consecutive ids are stored together, so a chunk of them is written quickly,
    whatever groups they are in.
    """
    ids = (
        select(subscribers.c.id)
        .where(is_active(), subscribers.c.cursor == cursor, subscribers.c.id > after)
        .order_by(subscribers.c.id)
        .limit(CHUNK)
        .subquery()
    )
    return tx.execute(select(func.max(ids.c.id))).scalar()


def plan(
    tx: Connection,
    group: Group,
    span: tuple[int, int],
    next_state: NextState,
    now: datetime,
    *,
    edition: int = 0,
    parts: int = 0,
) -> int:
    """Queues an edition for the members of a group with ids in `span`, and advances them.

    Without an edition they are only advanced.

    Args:
        span: ids greater than the first value, up to the second.

    Returns:
        The number of subscribers advanced.
    """
    after, last = span
    matching = (*_members(group), subscribers.c.id > after, subscribers.c.id <= last)
    for part in range(1, parts + 1):
        queue(tx, edition, part, now, matching)
    moved = tx.execute(update(subscribers).where(*matching).values(_values(next_state)))
    return moved.rowcount


def queue(
    tx: Connection, edition: int, part: int, now: datetime, matching: Sequence[ColumnElement[bool]]
) -> None:
    """Queues a part of an edition for the subscribers that meet these conditions."""
    rows = select(
        literal(edition),
        literal(part),
        subscribers.c.id,
        literal(str(DeliveryState.QUEUED)),
        literal(now, Utc()),
        literal(0),
        literal(now, Utc()),
    ).where(*matching)
    names = ["edition_id", "part", "subscriber_id", "state", "try_at", "attempts", "changed_at"]
    # An existing delivery was planned earlier, and only the cursor is behind.
    tx.execute(insert(deliveries).prefix_with("OR IGNORE").from_select(names, rows))


def scheduled(tx: Connection, after: datetime) -> Iterator[tuple[Group, date | None]]:
    """Yields the groups due later than `after`, at any cursor, with their last served date."""
    columns = (
        subscribers.c.next_due_at,
        subscribers.c.cadence,
        subscribers.c.time_zone,
        subscribers.c.send_at,
        subscribers.c.last_due_on,
    )
    rows = tx.execute(
        select(*columns).where(subscribers.c.next_due_at > after, is_active()).group_by(*columns)
    )
    for row in rows.all():
        yield (
            Group(0, row.next_due_at, row.cadence, row.time_zone, row.send_at),
            row.last_due_on,
        )


def reschedule(
    tx: Connection, group: Group, last_due_on: date | None, due_at: datetime, after: int
) -> int | None:
    """Changes the due time of the next members of a group, at any cursor.

    Returns:
        The last id changed, or `None` if there were none left.
    """
    matching = (*_alike(group), subscribers.c.last_due_on.is_not_distinct_from(last_due_on))
    ids = (
        select(subscribers.c.id)
        .where(*matching, subscribers.c.id > after)
        .order_by(subscribers.c.id)
        .limit(CHUNK)
    )
    last = tx.execute(select(func.max(ids.subquery().c.id))).scalar()
    if last is not None:
        tx.execute(
            update(subscribers)
            .where(*matching, subscribers.c.id > after, subscribers.c.id <= last)
            .values(next_due_at=due_at)
        )
    return last


def _members(group: Group) -> Sequence[ColumnElement[bool]]:
    if group.due_at is None:
        return (is_active(), subscribers.c.cursor == group.cursor)
    return (
        *_alike(group),
        subscribers.c.cursor == group.cursor,
        subscribers.c.merged.is_(group.merged),
        subscribers.c.last_due_on.is_not_distinct_from(group.last_on),
    )


def _alike(group: Group) -> Sequence[ColumnElement[bool]]:
    return (
        subscribers.c.next_due_at == group.due_at,
        is_active(),
        subscribers.c.cadence == group.cadence,
        subscribers.c.time_zone.is_not_distinct_from(group.time_zone),
        subscribers.c.send_at.is_not_distinct_from(group.send_at),
    )


def is_active() -> ColumnElement[bool]:
    """Returns the condition that a subscriber gets editions."""
    return subscribers.c.state == SubscriberState.ACTIVE


def _values(next_state: NextState) -> dict[str, object]:
    values: dict[str, object] = {"cursor": next_state.cursor}
    if next_state.due_at is not None:
        values["next_due_at"] = next_state.due_at
    if next_state.served_on is not None:
        values["last_due_on"] = next_state.served_on
        values["merged"] = next_state.merged
    return values
