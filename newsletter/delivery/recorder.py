"""Writes a run's claims and results to the database, and counts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from newsletter.delivery.retry import EDITIONS, Decision, decide
from newsletter.messages import tokens
from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage import installation, outbox, subscribers
from newsletter.storage.database import Database
from newsletter.storage.outbox import DeliveryUpdate, QueuedDelivery
from newsletter.subscribers.address import parse_address
from newsletter.transports.replies import Reply

_DAY = timedelta(hours=23)
"""Shorter than a day: otherwise a daily job would count its own mail of the day before."""

PAUSED = "all sending was stopped meanwhile; `newsletter continue` goes on"
"""Why a run ends if sending is paused while it is under way."""
UNDER_WAY = "its end is not on record: it is still under way, or was interrupted"
"""Replaces the previous run's reason, which is out of date once this run has claimed anything."""
LIMITED = "the day's limit (max_per_day) is reached"
"""Why deliveries wait although nothing is wrong with them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on sending.

    Attributes:
        sessions: number of concurrent sessions.
        max_per_second: messages per second; `None` for no limit.
        max_per_day: messages in any 23 hours, counted by the hour; `None` for no limit.
        per_domain: messages per second to single domains, in ASCII and lower case.
        give_up_after: how long a delivery is retried.
        unknown: whether deliveries that may have arrived are sent once more.
        pause: seconds before a failed connection or commit is tried again.
        commit_tries: how many times to try a commit while the database is locked or its disk is
            full; `None` for no limit.
    """

    sessions: int = 4
    max_per_second: float | None = None
    max_per_day: int | None = None
    per_domain: Mapping[str, float] = field(default_factory=dict)
    give_up_after: timedelta = timedelta(days=3)
    unknown: Literal["hold", "resend"] = "hold"
    pause: float = 1.0
    commit_tries: int | None = 3


@dataclass(slots=True)
class RunSummary:
    """The results of a run.

    Attributes:
        counts: editions by final state. An edition in several parts counts as sent once, with
            its first part; a part that is not sent is counted separately.
        further_parts: parts sent after the first of their edition.
        notices: notices sent.
        queued: deliveries that still wait and could have been sent now.
        suppressed: subscribers suppressed because their mailbox does not exist.
        seconds: from the first claim to the last result.
        stopped: why the run ended before its work was done; empty if it did not.
        blocked: why nothing can be recorded at the moment; empty if it can.
    """

    counts: dict[DeliveryState, int] = field(default_factory=dict)
    further_parts: int = 0
    notices: int = 0
    queued: int = 0
    suppressed: int = 0
    seconds: float = 0.0
    stopped: str = ""
    blocked: str = ""
    limited: bool = False
    """The day's limit was reached."""

    def __getitem__(self, state: DeliveryState) -> int:
        return self.counts.get(state, 0)

    def add(self, state: DeliveryState, many: int = 1) -> None:
        """Adds `many` deliveries that ended in this state."""
        if many:
            self.counts[state] = self[state] + many

    @property
    def done(self) -> int:
        """The number of messages that this run is done with."""
        return sum(self.counts.values()) + self.further_parts + self.notices


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt."""

    waiting: QueuedDelivery
    reply: Reply


class Recorder:
    """Records the claims and results of one sender.

    Args:
        database: where they are recorded.
        sender: the sender that the claims belong to.
        limits: how long a delivery is retried, and how many messages are sent per day.
        summary: counts the results.
    """

    def __init__(
        self, database: Database, sender: str, limits: Limits, summary: RunSummary
    ) -> None:
        self._database = database
        self._sender = sender
        self._limits = limits
        self._summary = summary
        self._put_off: set[int] = set()  # deferred by this run, and counted so
        self._has_outdated = False
        self._own_key = database.keys.own

    def record(
        self, done: Sequence[Attempt], wanted: Sequence[QueuedDelivery], now: datetime
    ) -> set[int]:
        """Records finished attempts and claims the wanted deliveries, in one transaction.

        Returns the ids of the deliveries it could claim.

        Raises:
            StorageError: nothing was recorded.
        """
        decisions = [(one, self._decision(one, now)) for one in done]
        gone: list[QueuedDelivery] = []
        with self._database.write() as tx:
            outbox.settle(tx, self._sender, (_settled(one, what) for one, what in decisions), now)
            for one, what in decisions:
                if one.waiting.subscriber and self._is_gone(tx, one, what):
                    self._suppress(tx, one, now)
                    gone.append(one.waiting)
            again = [one.waiting.id for one, what in decisions if what.try_at]
            left = outbox.cancel_left(tx, again, now) if again else set()
            sent = [
                one.waiting.subscriber
                for one, what in decisions
                if what.state is DeliveryState.SENT and one.waiting.subscriber
            ]
            if sent:
                subscribers.accepted(tx, sent)
            _count_outcomes(tx, [what.state for _, what in decisions], now)
            claimed, cancelled = self._claim(tx, wanted, now)
        self._count(decisions, left)
        self._summary.suppressed += len(gone)
        self._summary.add(DeliveryState.CANCELLED, cancelled)
        return claimed

    def _claim(
        self, tx: Connection, wanted: Sequence[QueuedDelivery], now: datetime
    ) -> tuple[set[int], int]:
        if not wanted:
            return set(), 0
        if installation.is_paused(tx):
            self._summary.stopped = PAUSED
            return set(), 0
        if (most := self._limits.max_per_day) is not None:
            left = max(0, most - installation.sendings_since(tx, now - _DAY))
            self._summary.limited = left < len(wanted)
            wanted = wanted[:left]
        if not wanted:
            return set(), 0
        claimed, cancelled = outbox.claim(tx, wanted, self._sender, now)
        if claimed:
            installation.count_sendings(tx, now, len(claimed))
            is_edition = any(one.id in claimed and not one.notice for one in wanted)
            if is_edition and not self._has_outdated:
                _outdate_reason(tx, now)
                self._has_outdated = True
        return claimed, cancelled

    def _decision(self, one: Attempt, now: datetime) -> Decision:
        return decide(
            one.reply,
            attempts=one.waiting.attempts + 1,
            first_at=one.waiting.first_at or now,
            now=now,
            give_up_after=self._limits.give_up_after,
        )

    def _is_gone(self, tx: Connection, one: Attempt, what: Decision) -> bool:
        """Whether the subscriber's address has to be suppressed."""
        if what.suppress:
            return True
        if not what.doubtful:
            return False
        return (
            subscribers.refused_again(tx, one.waiting.subscriber, one.waiting.edition) >= EDITIONS
        )

    def _suppress(self, tx: Connection, one: Attempt, now: datetime) -> None:
        address = parse_address(one.waiting.address)
        # Not the server's text: it may quote the address, which must not outlive the subscriber.
        said = one.reply.enhanced or one.reply.code
        reason = f"its server says that there is no such mailbox ({said})"
        subscribers.suppress(
            tx, tokens.suppression_hash(self._own_key, address.normal), reason, now
        )
        found = subscribers.find(tx, address.normal)
        if found and found.id == one.waiting.subscriber:  # has not changed address since
            subscribers.stop(tx, found.id, SubscriberState.SUPPRESSED, now)
            outbox.cancel(tx, found.id, now)

    def _count(self, decisions: Sequence[tuple[Attempt, Decision]], left: Collection[int]) -> None:
        for one, what in decisions:
            if not one.waiting.notice:
                gone = one.waiting.id in left
                self._count_again(one.waiting, DeliveryState.CANCELLED if gone else what.state)
            elif what.state is DeliveryState.SENT:
                self._summary.notices += 1

    def _count_again(self, waiting: QueuedDelivery, state: DeliveryState) -> None:
        """Counts a delivery by its last state: a deferred one may be tried again in this run."""
        if waiting.id in self._put_off:
            self._put_off.remove(waiting.id)
            self._summary.add(DeliveryState.DEFERRED, -1)
        if state is DeliveryState.DEFERRED:
            self._put_off.add(waiting.id)
        if state is DeliveryState.SENT and waiting.part > 1:
            self._summary.further_parts += 1
        else:
            self._summary.add(state)


def _outdate_reason(tx: Connection, now: datetime) -> None:
    """Keeps the time since when runs have ended early, but replaces the previous run's reason.

    The fault that ends this run may also keep it from recording its reason.
    """
    known = installation.get(tx).stopped
    if known:
        installation.note_stopped(tx, "" if known == LIMITED else UNDER_WAY, now)


def _count_outcomes(tx: Connection, states: Sequence[DeliveryState], now: datetime) -> None:
    accepted, refused = states.count(DeliveryState.SENT), states.count(DeliveryState.REFUSED)
    if accepted or refused:
        installation.count_outcomes(tx, now, accepted=accepted, refused=refused)


def _settled(one: Attempt, what: Decision) -> DeliveryUpdate:
    return DeliveryUpdate(one.waiting.id, what.state, one.reply.text, what.try_at)
