"""Requests by visitors: SQL over `requests`, and what they change in `subscribers`.

    asked ─ handled (a mail is queued) ─ confirmed

A request is recorded before anything is looked up, so that the response to a visitor does not
reveal whether an address is subscribed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from newsletter.models import SubscriberState
from newsletter.storage import cancellations, erasure, notices
from newsletter.storage import subscribers as subscriber_rows
from newsletter.storage.schema import deliveries, editions
from newsletter.storage.subscriber_tables import requests, subscribers
from newsletter.storage.subscribers import Newcomer, Subscriber


class RequestKind(StrEnum):
    """What a visitor asks for."""

    SUBSCRIBE = "subscribe"  # to receive editions
    SETTINGS = "settings"  # a link to their preferences
    CHANGE = "change"  # a new address


@dataclass(frozen=True, slots=True)
class Request:
    """A visitor's request.

    Attributes:
        address: as written; empty once it is no longer needed.
        subscriber: the subscriber's id, or 0 if not known yet.
        time_zone: time zone of the visitor's browser, or `None`.
        network: the visitor's truncated IP address.
    """

    id: int
    kind: RequestKind
    address: str
    subscriber: int
    time_zone: str | None
    network: str
    at: datetime
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriberDetails:
    """Details of a subscriber that are shown only on their own page.

    Attributes:
        paused_until: the local date on which their pause ends.
        left_because: the reason they gave for unsubscribing, or `None`.
    """

    paused_until: date | None
    consented_at: datetime | None
    consent_text: str | None
    consent_network: str | None
    left_because: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """An edition that was planned for a subscriber."""

    subject: str
    state: str
    at: datetime


def ask(
    tx: Connection,
    kind: RequestKind,
    address: str,
    network: str,
    now: datetime,
    *,
    subscriber: int = 0,
    time_zone: str | None = None,
) -> int:
    """Records a visitor's request. Returns its id."""
    return int(
        tx.execute(
            insert(requests)
            .values(
                kind=kind,
                address=address,
                subscriber_id=subscriber or None,
                time_zone=time_zone,
                network=network,
                at=now,
            )
            .returning(requests.c.id)
        ).scalar_one()
    )


def newest_waiting(tx: Connection) -> int | None:
    """Returns the id of the newest request that is not handled yet, or `None`. Fast."""
    query = select(requests.c.id).where(requests.c.handled_at.is_(None))
    return tx.execute(query.order_by(requests.c.id.desc()).limit(1)).scalar()


def waiting(tx: Connection, newest: int, limit: int) -> list[Request]:
    """Returns requests that are not handled yet, oldest first.

    Args:
        newest: the highest id to return.
        limit: maximum number of requests.
    """
    rows = tx.execute(
        select(requests)
        .where(requests.c.handled_at.is_(None), requests.c.id <= newest)
        .order_by(requests.c.id)
        .limit(limit)
    )
    return [_request(row) for row in rows]


def request(tx: Connection, number: int) -> Request | None:
    """Returns the request with this id, or `None`."""
    row = tx.execute(select(requests).where(requests.c.id == number)).one_or_none()
    return _request(row) if row else None


def take(tx: Connection, number: int, now: datetime) -> bool:
    """Marks a request as handled. Returns `False` if it was handled already."""
    return bool(
        tx.execute(
            update(requests)
            .where(requests.c.id == number, requests.c.handled_at.is_(None))
            .values(handled_at=now)
        ).rowcount
    )


def give(tx: Connection, number: int, subscriber: int) -> None:
    """Assigns a request to a subscriber."""
    tx.execute(update(requests).where(requests.c.id == number).values(subscriber_id=subscriber))


def set_address(tx: Connection, number: int, address: str) -> None:
    """Replaces the address of a request; an empty one once it is no longer needed."""
    tx.execute(update(requests).where(requests.c.id == number).values(address=address))


def note_confirmed(tx: Connection, number: int, now: datetime) -> None:
    """Records that the link of a request was used: it works only once."""
    tx.execute(update(requests).where(requests.c.id == number).values(confirmed_at=now, address=""))


def end_links(tx: Connection, number: int, now: datetime) -> None:
    """Ends a subscriber's preferences links and their requests that are not confirmed.

    A request that has ended belongs to no subscriber, so its link confirms nothing.
    """
    raised = func.max(subscribers.c.link_epoch + 1, math.ceil(now.timestamp()))
    tx.execute(update(subscribers).where(subscribers.c.id == number).values(link_epoch=raised))
    tx.execute(
        update(requests)
        .where(requests.c.subscriber_id == number, requests.c.confirmed_at.is_(None))
        .values(
            subscriber_id=None,
            address="",
            network="",
            handled_at=func.coalesce(requests.c.handled_at, now),
        )
    )


def forget_requests(tx: Connection, before: datetime) -> None:
    """Erases the address and network of requests older than `before`, whose links have expired."""
    erased = tx.execute(
        update(requests)
        .where(requests.c.at < before, requests.c.network != "")
        .values(address="", network="")
    )
    if erased.rowcount:
        erasure.note(tx)


def erase(tx: Connection, one: Subscriber, now: datetime) -> None:
    """Removes a subscriber, along with everything that could identify them."""
    cancellations.cancel(tx, one.id, now)
    notices.forget(tx, one.id, now)
    tx.execute(
        update(requests).where(requests.c.subscriber_id == one.id).values(address="", network="")
    )
    subscriber_rows.remove(tx, one.id)


def pend(tx: Connection, newcomer: Newcomer, cursor: int, now: datetime) -> None:
    """Adds a subscriber as pending: not confirmed yet."""
    subscriber_rows.add(tx, [newcomer], cursor, now)
    tx.execute(
        update(subscribers)
        .where(subscribers.c.normal == newcomer.normal)
        .values(state=SubscriberState.PENDING, next_due_at=None)
    )


def restart_expiry(tx: Connection, number: int, now: datetime) -> None:
    """Lets a pending subscriber expire as if added now. Does nothing in any other state."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == number, subscribers.c.state == SubscriberState.PENDING)
        .values(changed_at=now)
    )


def stale(tx: Connection, before: datetime, after: int, limit: int) -> list[Subscriber]:
    """Returns subscribers with ids above `after`, pending (not confirmed) since before `before`."""
    never = and_(subscribers.c.state == SubscriberState.PENDING, subscribers.c.changed_at < before)
    return _some(tx, never, after, limit)


def subscriber(tx: Connection, number: int) -> Subscriber | None:
    """Returns the subscriber with this id, or `None`."""
    normal = tx.execute(select(subscribers.c.normal).where(subscribers.c.id == number)).scalar()
    return subscriber_rows.find(tx, normal) if normal else None


def about(tx: Connection, number: int) -> SubscriberDetails:
    """Returns the details of a subscriber that are shown only on their own page."""
    row = tx.execute(select(subscribers).where(subscribers.c.id == number)).one()
    return SubscriberDetails(
        row.paused_until,
        row.consented_at,
        row.consent_text,
        row.consent_network,
        row.left_because,
    )


def note_consent(tx: Connection, number: int, text: str, network: str, now: datetime) -> None:
    """Records a subscriber's consent: when, to which text, and from where."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == number)
        .values(consented_at=now, consent_text=text, consent_network=network, left_because=None)
    )


def note_pause(tx: Connection, number: int, until: date | None) -> None:
    """Records when a pause ends; `None` means when the subscriber resumes."""
    tx.execute(update(subscribers).where(subscribers.c.id == number).values(paused_until=until))


def note_reason(tx: Connection, number: int, why: str) -> None:
    """Records the reason that a subscriber gave for unsubscribing."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == number, subscribers.c.state == SubscriberState.UNSUBSCRIBED)
        .values(left_because=why)
    )


def pauses_over(tx: Connection, today: date, after: int, limit: int) -> list[Subscriber]:
    """Returns subscribers with ids above `after` whose pause ended on or before `today`."""
    over = and_(subscribers.c.state == SubscriberState.PAUSED, subscribers.c.paused_until <= today)
    return _some(tx, over, after, limit)


def _some(tx: Connection, wanted: ColumnElement[bool], after: int, limit: int) -> list[Subscriber]:
    query = (
        select(subscribers.c.normal)
        .where(wanted, subscribers.c.id > after)
        .order_by(subscribers.c.id)
        .limit(limit)
    )
    found = (subscriber_rows.find(tx, one) for one in tx.execute(query).scalars().all())
    return [one for one in found if one]


def rename(
    tx: Connection, number: int, address: str, normal: str, domain: str, now: datetime
) -> None:
    """Changes a subscriber's address to one that no other subscriber has, and ends their links."""
    tx.execute(
        update(subscribers)
        .where(subscribers.c.id == number)
        .values(address=address, normal=normal, domain=domain, refusals=0, refused_edition=None)
    )
    end_links(tx, number, now)
    erasure.note(tx)


def received(tx: Connection, number: int) -> list[Received]:
    """Returns the editions that were planned for a subscriber, oldest first."""
    rows = tx.execute(
        select(
            editions.c.subject,
            deliveries.c.state,
            deliveries.c.changed_at,
        )
        .join_from(deliveries, editions, editions.c.id == deliveries.c.edition_id)
        .where(deliveries.c.subscriber_id == number)
        .order_by(deliveries.c.id)
    )
    return [Received(row.subject, row.state, row.changed_at) for row in rows]


def _request(row: Row[Any]) -> Request:
    return Request(
        id=row.id,
        kind=RequestKind(row.kind),
        address=row.address,
        subscriber=row.subscriber_id or 0,
        time_zone=row.time_zone,
        network=row.network,
        at=row.at,
        confirmed_at=row.confirmed_at,
    )
