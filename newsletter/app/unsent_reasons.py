"""Why a run sends nothing to one subscriber. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter.app.reason_words import circuit_open, edition_held, local
from newsletter.models import Circuit, DeliveryState, SubscriberState
from newsletter.storage.editions import EditionRow
from newsletter.storage.rehearsal import OpenDelivery, Recipient

_STATES = {
    SubscriberState.PENDING: "not confirmed yet",
    SubscriberState.UNSUBSCRIBED: "unsubscribed",
    SubscriberState.SUPPRESSED: "suppressed",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The state after a run.

    Attributes:
        now: the time of the run.
        zone: the newsletter's time zone, in which times are given.
        due_now: whether every active subscriber was treated as due.
        limited: whether the day's limit was reached.
        circuits: the breaker's open circuits.
        held: the held editions.
        open: the deliveries that are still to be sent, by subscriber.
        waiting: returns the number of papers after a cursor.
        otherwise: why nothing is sent where the subscriber is not the reason.
    """

    now: datetime
    zone: str
    due_now: bool
    limited: bool
    circuits: Sequence[Circuit]
    held: Sequence[EditionRow]
    open: Mapping[int, OpenDelivery]
    waiting: Callable[[int], int]
    otherwise: str


def unsent_reason(one: Recipient, facts: RunFacts) -> str:
    """Returns why the run sends nothing to a subscriber."""
    if one.state in _STATES:
        return _STATES[one.state]
    if one.state is SubscriberState.PAUSED:
        return f"paused until {one.paused_until}" if one.paused_until else "paused"
    if delivery := facts.open.get(one.id):
        return _delivery_reason(delivery, one.domain, facts)
    if not facts.waiting(one.cursor):
        return "no new papers"
    if one.next_due_at and one.next_due_at > facts.now and not facts.due_now:
        return f"not due until {local(one.next_due_at, facts.zone).removeprefix('on ')}"
    for row in facts.held:
        if max(row.positions, default=0) > one.cursor:
            return edition_held(row.id, row.reason or "")
    return facts.otherwise


def _delivery_reason(delivery: OpenDelivery, domain: str, facts: RunFacts) -> str:
    if delivery.state is DeliveryState.SENDING:
        return "the mail is being sent by another process"
    if delivery.try_at and delivery.try_at > facts.now:
        when = local(delivery.try_at, facts.zone)
        return f"the mail was deferred and is tried again {when}"
    for circuit in facts.circuits:
        if circuit.domain in ("", domain):
            return circuit_open(circuit)
    return "the day's limit (max_per_day) is reached" if facts.limited else facts.otherwise
