"""Subscribers and suppressions: SQL over `subscribers` and `suppressions`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import SubscriberState
from newsletter.storage import erasure
from newsletter.storage.subscriber_tables import subscribers, suppressions

_PAGE = 1_000
"""Rows in memory at a time."""

PAUSED_WHEN_REMOVED = "paused when removed"
"""The reason recorded for the id of a removed subscriber who was paused. A restore leaves out ids
with any other reason. Compared with what is stored: a new wording needs a migration."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """A subscriber's preferences: when to send, and which papers.

    Attributes:
        cadence: such as `daily`, `weekdays`, `weekly:mon` or `monthly:1`.
        time_zone: the subscriber's own; `None` for the newsletter's.
        send_at: `HH:MM`; `None` for the newsletter's.
        topics: empty for everything.
    """

    cadence: str = "daily"
    time_zone: str | None = None
    send_at: str | None = None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscriber as stored.

    Attributes:
        normal: the address in normal form.
        link_epoch: rises whenever their links are ended; then it is the time, in seconds since
            1970.
    """

    id: int
    address: str
    normal: str
    link_epoch: int
    state: SubscriberState
    preferences: Preferences
    cursor: int
    next_due_at: datetime | None
    last_due_on: date | None
    added_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """The values that a preferences link depends on; the attributes are as in `Subscriber`."""

    id: int
    normal: str
    link_epoch: int


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A subscriber to be added.

    Attributes:
        address: as written.
        normal: the normal form, for comparison; see `subscribers.address.Address`.
        domain: domain of the address, in ASCII.
        next_due_at: when they are first due; `None` if they are not active.
        state: active or unsubscribed.
        since: when they consented or, if they are unsubscribed, left, as another service
            recorded it.
        consent_text: where their consent is recorded, if not here.
    """

    address: str
    normal: str
    domain: str
    preferences: Preferences
    next_due_at: datetime | None
    state: SubscriberState = SubscriberState.ACTIVE
    since: datetime | None = None
    consent_text: str | None = None


def find(tx: Connection, normal: str) -> Subscriber | None:
    """Returns the subscriber with this address, in normal form, or `None`."""
    row = tx.execute(select(subscribers).where(subscribers.c.normal == normal)).one_or_none()
    return _subscriber(row) if row else None


def link_holder(tx: Connection, number: int) -> LinkHolder | None:
    """Returns the values that preferences links of this subscriber depend on, or `None`."""
    query = select(subscribers.c.normal, subscribers.c.link_epoch)
    row = tx.execute(query.where(subscribers.c.id == number)).one_or_none()
    return LinkHolder(number, row.normal, row.link_epoch) if row else None


def get(tx: Connection, normal: str) -> Subscriber:
    """Returns the subscriber with this address, in normal form, who must exist."""
    return _subscriber(tx.execute(select(subscribers).where(subscribers.c.normal == normal)).one())


def listed(tx: Connection, state: SubscriberState | None = None) -> Iterator[Subscriber]:
    """Yields all subscribers in the order they were added, with one page in memory at a time."""
    query = select(subscribers).order_by(subscribers.c.id)
    if state:
        query = query.where(subscribers.c.state == state)
    for row in tx.execution_options(yield_per=_PAGE).execute(query):
        yield _subscriber(row)


def counts(tx: Connection) -> dict[SubscriberState, int]:
    """Counts subscribers by state.

    Most are active, and counting all rows is fast, so only rows in other states are read.
    """
    others = [state for state in SubscriberState if state is not SubscriberState.ACTIVE]
    rows = tx.execute(
        select(subscribers.c.state, func.count().label("many"))
        .where(subscribers.c.state.in_(others))
        .group_by(subscribers.c.state)
    )
    found = {SubscriberState(row.state): int(row.many) for row in rows}
    total = tx.execute(select(func.count()).select_from(subscribers)).scalar_one()
    active = int(total) - sum(found.values())
    return ({SubscriberState.ACTIVE: active} if active else {}) | found


def states(tx: Connection, normals: Collection[str]) -> dict[str, SubscriberState]:
    """Returns the states of the subscribers that have these addresses, in normal form."""
    query = select(subscribers.c.normal, subscribers.c.state).where(
        subscribers.c.normal.in_(normals)
    )
    return {row.normal: SubscriberState(row.state) for row in tx.execute(query)}


def add(tx: Connection, newcomers: Sequence[Newcomer], cursor: int, at: datetime) -> None:
    """Adds subscribers, all with the same cursor.

    Those who left another service long ago do not count as added or unsubscribed today.
    """
    if not newcomers:
        return
    tx.execute(insert(subscribers), [_newcomer_columns(one, cursor, at) for one in newcomers])


def _newcomer_columns(one: Newcomer, cursor: int, at: datetime) -> dict[str, Any]:
    is_active = one.state is SubscriberState.ACTIVE
    noted_at = at if is_active else one.since or at
    return {
        "address": one.address,
        "normal": one.normal,
        "domain": one.domain,
        "state": one.state,
        **_columns(one.preferences),
        "cursor": cursor,
        "next_due_at": one.next_due_at,
        "added_at": noted_at,
        "changed_at": noted_at,
        "consented_at": one.since if is_active else None,
        "consent_text": one.consent_text,
    }


def activate(tx: Connection, subscriber_id: int, cursor: int, due: datetime, at: datetime) -> None:
    """Makes a subscriber active (again). The cursor never moves back, so nothing is sent twice."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == subscriber_id)
        .values(
            state=SubscriberState.ACTIVE,
            cursor=func.max(subscribers.c.cursor, cursor),
            next_due_at=due,
            paused_until=None,
            changed_at=at,
            refusals=0,
            refused_edition=None,
        )
    )


def stop(tx: Connection, subscriber_id: int, state: SubscriberState, at: datetime) -> None:
    """Puts a subscriber into a state in which nothing is sent to them, until changed again."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == subscriber_id)
        .values(state=state, next_due_at=None, paused_until=None, changed_at=at)
    )


def change(
    tx: Connection, subscriber_id: int, preferences: Preferences, due: datetime | None
) -> None:
    """Changes a subscriber's preferences, and the due time that follows from them."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == subscriber_id)
        .values(**_columns(preferences), next_due_at=due)
    )


def remove(tx: Connection, subscriber_id: int) -> None:
    """Removes a subscriber; their id is never reused."""
    tx.execute(delete(subscribers).where(subscribers.c.id == subscriber_id))
    erasure.note(tx)


def oldest_cursor(tx: Connection, *, everyone: bool) -> int | None:
    """Returns the lowest cursor of active subscribers, or `None` if there are none.

    Unless `everyone` is set, only daily subscribers count.
    """
    query = select(func.min(subscribers.c.cursor)).where(
        subscribers.c.state == SubscriberState.ACTIVE
    )
    if not everyone:
        query = query.where(subscribers.c.cadence == "daily")
    return tx.execute(query).scalar()


def first_due(tx: Connection, *, behind: int | None = None) -> datetime | None:
    """Returns when the next subscriber is due, or `None`.

    Args:
        behind: only subscribers whose cursor is lower.
    """
    query = select(func.min(subscribers.c.next_due_at))
    if behind is not None:
        query = query.where(subscribers.c.cursor < behind)
    return tx.execute(query).scalar()


def added_since(tx: Connection, at: datetime) -> int:
    """Counts subscribers added since then that are still on record and not pending."""
    query = select(func.count()).where(
        subscribers.c.added_at >= at, subscribers.c.state != SubscriberState.PENDING
    )
    return int(tx.execute(query).scalar_one())


def left_since(tx: Connection, at: datetime) -> int:
    """Counts subscribers that unsubscribed or were suppressed since then."""
    gone = (SubscriberState.UNSUBSCRIBED, SubscriberState.SUPPRESSED)
    query = select(func.count()).where(
        subscribers.c.state.in_(gone), subscribers.c.changed_at >= at
    )
    return int(tx.execute(query).scalar_one())


def suppressed_since(tx: Connection, at: datetime) -> int:
    """Counts subscribers that were suppressed since then."""
    query = select(func.count()).where(
        subscribers.c.state == SubscriberState.SUPPRESSED, subscribers.c.changed_at >= at
    )
    return int(tx.execute(query).scalar_one())


def suppressed_after(
    tx: Connection, since: datetime, after: int, limit: int
) -> list[tuple[Subscriber, str]]:
    """Returns the next subscribers that were suppressed since then, with their normal addresses.

    Args:
        after: only subscribers with a higher id.
        limit: maximum number of subscribers.
    """
    query = (
        select(subscribers)
        .where(
            subscribers.c.state == SubscriberState.SUPPRESSED,
            subscribers.c.changed_at >= since,
            subscribers.c.id > after,
        )
        .order_by(subscribers.c.id)
        .limit(limit)
    )
    return [(_subscriber(row), row.normal) for row in tx.execute(query)]


def suppress(tx: Connection, suppression_hash: bytes, reason: str, at: datetime) -> None:
    """Suppresses the address with this suppression hash; an earlier reason is kept."""
    tx.execute(
        insert(suppressions)
        .values(hash=suppression_hash, reason=reason, at=at)
        .on_conflict_do_nothing()
    )


def unsuppress(tx: Connection, suppression_hash: bytes) -> None:
    """Lifts the suppression of the address with this suppression hash."""
    tx.execute(delete(suppressions).where(suppressions.c.hash == suppression_hash))


def suppressed(tx: Connection, suppression_hashes: Iterable[bytes]) -> dict[bytes, str]:
    """Returns which of these suppression hashes are suppressed, with the reason of each."""
    query = select(suppressions).where(suppressions.c.hash.in_(list(suppression_hashes)))
    return {row.hash: row.reason for row in tx.execute(query)}


def refused_again(tx: Connection, subscriber_id: int, edition: int) -> int:
    """Counts an edition refused without a clear reason. Returns the number in a row."""
    row = tx.execute(
        update(subscribers)
        .where(
            subscribers.c.id == subscriber_id,
            # An older edition, retried, does not count: it was counted, or arrived late.
            func.coalesce(subscribers.c.refused_edition, 0) < edition,
        )
        .values(refusals=subscribers.c.refusals + 1, refused_edition=edition)
        .returning(subscribers.c.refusals)
    ).one_or_none()
    return int(row.refusals) if row else 0


_ACCEPTED = (
    update(subscribers)
    .where(subscribers.c.id.in_(bindparam("ids", expanding=True)), subscribers.c.refusals > 0)
    .values(refusals=0, refused_edition=None)
)


def accepted(tx: Connection, subscriber_ids: Collection[int]) -> None:
    """Resets the refusal counts of these subscribers: their servers accepted a message."""
    tx.execute(_ACCEPTED, {"ids": list(subscriber_ids)})


def _columns(preferences: Preferences) -> dict[str, Any]:
    return {
        "cadence": preferences.cadence,
        "time_zone": preferences.time_zone,
        "send_at": preferences.send_at,
        "topics": list(preferences.topics),
    }


def _subscriber(row: Row[Any]) -> Subscriber:
    return Subscriber(
        id=row.id,
        address=row.address,
        normal=row.normal,
        link_epoch=row.link_epoch,
        state=SubscriberState(row.state),
        preferences=Preferences(row.cadence, row.time_zone, row.send_at, tuple(row.topics)),
        cursor=row.cursor,
        next_due_at=row.next_due_at,
        last_due_on=row.last_due_on,
        added_at=row.added_at,
        changed_at=row.changed_at,
    )
