"""Claims and outcomes: what a run writes into the database, and what it has counted."""

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
"""Shorter than a day: else a job that runs once a day met its own mails of the day before."""

PAUSED = "all sending was stopped meanwhile; `newsletter continue` goes on"
"""Why a run ends that was under way."""
UNDER_WAY = "a run is under way, or was cut off before it could record why it ended"
"""Stands in place of an older reason once a run has claimed something: that one is out of date."""
LIMITED = "the day's limit (max_per_day) is reached"
"""Why mails wait that are as good as any."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How mail leaves.

    Attributes:
        sessions: at once.
        max_per_second: mails; `None` for no limit.
        max_per_day: mails in any 23 hours, to the hour; `None` for no limit.
        per_domain: mails per second to single domains, in ASCII and lower case.
        give_up_after: how long a delivery is tried.
        unknown: whether what may have arrived is sent once more.
        pause: seconds before a connection that failed is tried again, and a commit.
        commit_tries: how often a commit is tried that fails because the database is locked or
            its disk is full; `None` for as often as it takes.
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
    """What a run did.

    Attributes:
        counts: editions by what became of them. One in several parts is sent once, with its
            first; a part of it that is not sent is counted by itself.
        further_parts: mails that were sent besides the first of their edition.
        notices: mails that are no editions, sent.
        queued: what still waits, and could have gone now.
        suppressed: people who get nothing any more, because there is no such mailbox.
        seconds: from the first claim to the last outcome.
        stopped: why the run ended before its work was done; empty if it did not.
        blocked: why nothing can be recorded at the moment; empty while it can.
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
        """So many more ended in this state."""
        if many:
            self.counts[state] = self[state] + many

    @property
    def done(self) -> int:
        """Mails that came to an end, for now."""
        return sum(self.counts.values()) + self.further_parts + self.notices


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that ended."""

    waiting: QueuedDelivery
    reply: Reply


class Recorder:
    """What one sender writes down.

    Args:
        database: where.
        sender: whose claims they are.
        limits: how long a delivery is tried, and how many leave in a day.
        tally: what is counted.
    """

    def __init__(
        self, database: Database, sender: str, limits: Limits, summary: RunSummary
    ) -> None:
        self._database = database
        self._sender = sender
        self._limits = limits
        self._summary = summary
        self._put_off: set[int] = set()  # by this run, and counted as such
        self._has_claimed = False
        self._own_key = database.keys.own

    def record(
        self, done: Sequence[Attempt], wanted: Sequence[QueuedDelivery], now: datetime
    ) -> set[int]:
        """Settles what was done and claims what is wanted, in one transaction; what it got.

        Raises:
            StorageError: none of it is on disk.
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
            claimed, cancelled = self._claim(tx, wanted, now)
        self._has_claimed = self._has_claimed or bool(claimed)
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
            if not self._has_claimed:
                _outdate_reason(tx, now)
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
        """Whether this was the last mail to this person."""
        if what.suppress:
            return True
        if not what.doubtful:
            return False
        return (
            subscribers.refused_again(tx, one.waiting.subscriber, one.waiting.edition) >= EDITIONS
        )

    def _suppress(self, tx: Connection, one: Attempt, now: datetime) -> None:
        address = parse_address(one.waiting.address)
        # Not what the server said: it may name the address, which must go when they are forgotten.
        said = one.reply.enhanced or one.reply.code
        reason = f"its server says that there is no such mailbox ({said})"
        subscribers.suppress(
            tx, tokens.suppression_hash(self._own_key, address.normal), reason, now
        )
        found = subscribers.find(tx, address.normal)
        if found and found.id == one.waiting.subscriber:  # and has no other address by now
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
        """Counts a mail by its last state: one that was put off may be tried once more."""
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
    """Keeps since when runs end early, but not why the one before did.

    What ends this run may be what keeps it from recording the reason.
    """
    known = installation.get(tx).stopped
    if known:
        installation.note_stopped(tx, "" if known == LIMITED else UNDER_WAY, now)


def _settled(one: Attempt, what: Decision) -> DeliveryUpdate:
    return DeliveryUpdate(one.waiting.id, what.state, one.reply.text, what.try_at)
