"""Permanent refusals of a run, which are believed only once they are clearly not about us.

A refused delivery is recorded at once. Its subscriber is suppressed only after as many further
messages as the breaker would need to open; until then everything can be put back. If the process
dies earlier, the address is not suppressed, and is refused again with the next edition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from newsletter.delivery.breaker import ALL, Change, Step
from newsletter.delivery.outcomes import WINDOW
from newsletter.delivery.retry import EDITIONS, Decision
from newsletter.messages import tokens
from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage import breakers, cancellations, installation, outbox, subscribers
from newsletter.storage.outbox import QueuedDelivery
from newsletter.subscribers.address import parse_address
from newsletter.transports.replies import Reply

_EARLIER = timedelta(hours=2)
"""Refusals of earlier runs within this time before a circuit opens may have the same cause."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A delivery of an edition that was refused, or deferred because the sender was refused.

    Attributes:
        number: number of outcomes of the run up to this one.
        decision: the decision that was recorded.
    """

    number: int
    waiting: QueuedDelivery
    reply: Reply
    decision: Decision


@dataclass(frozen=True, slots=True)
class SettledRefusals:
    """The refusals that one transaction settles; applied to memory once it is committed.

    Attributes:
        put_back: those that were deferred, because a circuit opened.
        believed: those that are final.
        suppressed: number of subscribers that were suppressed.
        closed: domains of circuits that the operator has closed since.
    """

    put_back: Sequence[Refusal] = ()
    believed: Sequence[Refusal] = ()
    suppressed: int = 0
    closed: Sequence[str] = ()


class Refusals:
    """The refusals of a run that are not settled yet.

    Args:
        own_key: the database's own key.
    """

    def __init__(self, own_key: bytes) -> None:
        self._own_key = own_key
        self._open: deque[Refusal] = deque()

    def settle(
        self, tx: Connection, changes: Sequence[Change], seen: int, now: datetime
    ) -> SettledRefusals:
        """Records changes of circuits, and the consequences of refusals that are old enough.

        Args:
            changes: changes of circuits since the last call.
            seen: number of outcomes until now; refusals `WINDOW` or more before them are believed.
        """
        opened, closed = _note(tx, changes)
        back = [one for one in self._open if opened & {ALL, domain_of(one.waiting)}]
        if opened:
            domains = () if ALL in opened else opened
            earlier = outbox.refused_lately(tx, domains, now - _EARLIER)
            outbox.put_back(tx, {*earlier, *(one.waiting.id for one in back)}, now)
        ids = {one.waiting.id for one in back}
        old = [one for one in self._open if one.number <= seen - WINDOW]
        believed = [one for one in old if one.waiting.id not in ids]
        suppressed = sum(self._follow(tx, one, now) for one in believed)
        final = sum(one.decision.state is DeliveryState.REFUSED for one in believed)
        installation.count_outcomes(tx, now, refused=final)
        return SettledRefusals(back, believed, suppressed, closed)

    def apply(self, settled: SettledRefusals, more: Sequence[Refusal]) -> None:
        """Removes settled refusals once they are committed, and adds new ones."""
        done = {one.waiting.id for one in (*settled.put_back, *settled.believed)}
        self._open = deque(one for one in self._open if one.waiting.id not in done)
        self._open.extend(more)

    def _follow(self, tx: Connection, one: Refusal, now: datetime) -> bool:
        """Suppresses the address if the refusal calls for it. Returns whether it does."""
        decision, waiting = one.decision, one.waiting
        in_a_row = (
            subscribers.refused_again(tx, waiting.subscriber, waiting.edition)
            if decision.doubtful
            else 0
        )
        if not (decision.suppress or in_a_row >= EDITIONS):
            return False
        address = parse_address(waiting.address)
        # Not the server's text: it may quote the address, which must not outlive the subscriber.
        code = one.reply.enhanced or one.reply.code
        reason = f"its server says that there is no such mailbox ({code})"
        suppression = tokens.suppression_hash(self._own_key, address.normal)
        subscribers.suppress(tx, suppression, reason, now)
        found = subscribers.find(tx, address.normal)
        if found and found.id == waiting.subscriber:  # has not changed address since
            subscribers.stop(tx, found.id, SubscriberState.SUPPRESSED, now)
            cancellations.cancel(tx, found.id, now)
        return True


def _note(tx: Connection, changes: Sequence[Change]) -> tuple[set[str], list[str]]:
    """Records changes of circuits. Returns those that opened, and those the operator closed."""
    opened, closed = set(), []
    for change in changes:
        circuit = change.circuit
        if change.step is Step.CLOSED:
            breakers.remove(tx, circuit.domain)
        elif change.step is Step.OPENED:
            breakers.save(tx, circuit)
            opened.add(circuit.domain)
        elif not breakers.postpone(tx, circuit):
            closed.append(circuit.domain)
    return opened, closed


def domain_of(waiting: QueuedDelivery) -> str:
    """Returns the recipient's domain, in ASCII."""
    return waiting.domain or waiting.address.rpartition("@")[2]


def was_put_back(waiting: QueuedDelivery) -> bool:
    """Returns whether it was refused before, without the refusal being believed."""
    return waiting.attempts > 0 and waiting.first_at is None
