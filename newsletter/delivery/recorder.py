"""Writes a run's claims and results to the database, and counts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from newsletter.delivery.breaker import Breaker, Change
from newsletter.delivery.refusals import Refusal, Refusals, domain_of
from newsletter.delivery.retry import Decision, decide, is_about_us
from newsletter.models import Circuit, DeliveryState
from newsletter.storage import generations, installation, outbox, subscribers
from newsletter.storage.database import Database
from newsletter.storage.installation import LIMITED
from newsletter.storage.outbox import DeliveryUpdate, QueuedDelivery
from newsletter.transports.replies import Reply

_DAY = timedelta(hours=23)
"""Shorter than a day, so that a daily job does not count its own mail of the day before."""

ALL_SEEN = 1 << 62
"""More than any number of outcomes: no refusal has to wait for later ones."""
PAUSED = "all sending was stopped during the run; `newsletter continue` resumes it"
"""Why a run ends if the operator pauses sending during it."""
UNDER_WAY = "its end is not on record: it is still running, or was interrupted"
"""Replaces the previous run's reason, which is out of date once this run has claimed an edition."""


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
        retry_interval: seconds before a failed connection or commit is tried again.
        commit_tries: how many times to try a commit while the database is locked or its disk is
            full; `None` for no limit.
    """

    sessions: int = 4
    max_per_second: float | None = None
    max_per_day: int | None = None
    per_domain: Mapping[str, float] = field(default_factory=dict)
    give_up_after: timedelta = timedelta(days=3)
    unknown: Literal["hold", "resend"] = "hold"
    retry_interval: float = 1.0
    commit_tries: int | None = 3


@dataclass(slots=True)
class RunSummary:
    """The results of a run.

    Attributes:
        counts: editions by final state. An edition in several parts counts as sent once, with
            its first part; a part that is not sent is counted separately.
        further_parts: parts sent after the first of their edition.
        notices: notices sent.
        queued: deliveries still waiting that could have been sent now.
        suppressed: subscribers suppressed because their mailbox does not exist.
        seconds: from the first claim to the last result.
        stopped: why the run ended early; empty if it did not.
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
    circuits: tuple[Circuit, ...] = ()
    """The breaker's open circuits, with their domains and reasons."""

    def __getitem__(self, state: DeliveryState) -> int:
        return self.counts.get(state, 0)

    def add(self, state: DeliveryState, many: int = 1) -> None:
        """Adds `many` deliveries that ended in this state."""
        if many:
            self.counts[state] = self[state] + many

    @property
    def done(self) -> int:
        """The number of messages that this run has finished with."""
        return sum(self.counts.values()) + self.further_parts + self.notices


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt; `number` counts those of the run."""

    waiting: QueuedDelivery
    reply: Reply
    number: int = 0


class Recorder:
    """Records the claims and results of one sender.

    Args:
        database: where they are recorded.
        sender: the sender that the claims belong to.
        limits: how long a delivery is retried, and how many messages are sent per day.
        summary: counts the results.
        breaker: decides whether refusals are believed.
    """

    def __init__(
        self,
        database: Database,
        sender: str,
        limits: Limits,
        summary: RunSummary,
        breaker: Breaker,
    ) -> None:
        self._database = database
        self._sender = sender
        self._limits = limits
        self._summary = summary
        self._put_off: set[int] = set()  # deferred by this run, and counted as deferred
        self._has_outdated = False
        self._breaker = breaker
        self._refusals = Refusals(database.keys.own)
        self._counter = generations.Counter(database)

    def record(
        self,
        done: Sequence[Attempt],
        wanted: Sequence[QueuedDelivery],
        now: datetime,
        *,
        changes: Sequence[Change] = (),
        seen: int = 0,
    ) -> set[int]:
        """Records finished attempts and claims the wanted deliveries, in one transaction.

        Returns the ids of the deliveries it could claim; none may be sent before `note_claims`.

        Args:
            changes: the changes of the breaker's circuits that these attempts caused.
            seen: number of outcomes of the run until now; `ALL_SEEN` if it is over.

        Raises:
            StorageError: nothing was recorded.
        """
        decisions = [(one, self._decision(one, now)) for one in done]
        with self._database.write() as tx:
            outbox.settle(
                tx, self._sender, (_settled(one, decision) for one, decision in decisions), now
            )
            if back := [one.waiting.id for one, decision in decisions if decision.put_back]:
                outbox.put_back(tx, back, now)
            settled = self._refusals.settle(tx, changes, seen, now)
            again = [one.waiting.id for one, decision in decisions if decision.try_at]
            left = outbox.cancel_left(tx, again, now) if again else set()
            self._note_accepted(tx, decisions, now)
            claimed, cancelled = self._claim(tx, wanted, now)
            generation = generations.raised(tx) if claimed else None
        if generation is not None:
            self._counter.reach(generation)
        self._refusals.apply(settled, self._new_refusals(decisions))
        for domain in settled.closed:
            self._breaker.drop(domain)
        self._count(decisions, left)
        for one in settled.put_back:
            self._put_back(one)
        self._summary.suppressed += settled.suppressed
        self._summary.add(DeliveryState.CANCELLED, cancelled)
        return claimed

    def finish(self, changes: Sequence[Change], now: datetime) -> None:
        """Settles the remaining refusals of a finished run, unless circuits put them back.

        Raises:
            StorageError: nothing was recorded.
        """
        self.record([], [], now, changes=changes, seen=ALL_SEEN)

    def _note_accepted(
        self, tx: Connection, decisions: Sequence[tuple[Attempt, Decision]], now: datetime
    ) -> None:
        sent = [one.waiting for one, decision in decisions if decision.state is DeliveryState.SENT]
        installation.count_outcomes(tx, now, accepted=len(sent))
        ids = [one.subscriber for one in sent if one.subscriber]
        if ids:
            subscribers.accepted(tx, ids)

    def _new_refusals(self, decisions: Sequence[tuple[Attempt, Decision]]) -> list[Refusal]:
        return [
            Refusal(one.number, one.waiting, one.reply, decision)
            for one, decision in decisions
            if one.waiting.subscriber
            and not decision.put_back
            and (decision.state is DeliveryState.REFUSED or is_about_us(one.reply))
        ]

    def _put_back(self, refusal: Refusal) -> None:
        if refusal.decision.state is DeliveryState.REFUSED:
            self._summary.add(DeliveryState.REFUSED, -1)
            self._summary.add(DeliveryState.DEFERRED)
            self._put_off.add(refusal.waiting.id)

    def note_claims(self) -> None:
        """Records beside the database that claims were made, so that an older copy is recognised.

        Raises:
            StorageError: this failed; the claimed messages may not be sent.
        """
        self._counter.note()

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
            is_believed=bool(one.waiting.notice)
            or not self._breaker.is_open(domain_of(one.waiting)),
        )

    def _count(self, decisions: Sequence[tuple[Attempt, Decision]], left: Collection[int]) -> None:
        for one, decision in decisions:
            if not one.waiting.notice:
                gone = one.waiting.id in left
                self._count_again(one.waiting, DeliveryState.CANCELLED if gone else decision.state)
            elif decision.state is DeliveryState.SENT:
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
    """Replaces the previous run's reason, but keeps the time since when runs have ended early.

    The fault that ends this run may also keep it from recording its reason.
    """
    known = installation.get(tx).stopped
    if known:
        installation.note_stopped(tx, "" if known == LIMITED else UNDER_WAY, now)


def _settled(one: Attempt, decision: Decision) -> DeliveryUpdate:
    return DeliveryUpdate(one.waiting.id, decision.state, one.reply.text, decision.try_at)
