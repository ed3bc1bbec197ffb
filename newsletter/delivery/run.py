"""One delivery run: sends waiting deliveries until none is left that may be sent now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from newsletter.delivery.breaker import ALL, Background, Breaker
from newsletter.delivery.dead_claims import give_up_dead_claims
from newsletter.delivery.loop import BreakerGate, Loop
from newsletter.delivery.outcomes import WINDOW
from newsletter.delivery.personalise import Personaliser
from newsletter.delivery.queue import PAGE, Queue
from newsletter.delivery.recorder import Limits, Recorder, RunSummary
from newsletter.delivery.stop import Retry, RunStop
from newsletter.delivery.throttle import Rates
from newsletter.delivery.workers import WorkerPool
from newsletter.errors import SendingPaused, StorageError
from newsletter.models import DeliveryState, SubscriberState
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import (
    breakers,
    deliveries,
    generations,
    installation,
    outbox,
    senders,
    subscribers,
)
from newsletter.storage.database import Database
from newsletter.storage.installation import LIMITED
from newsletter.storage.outbox import QueuedDelivery
from newsletter.transports.base import Transport

_DAY = timedelta(days=1)
_MONTH = timedelta(days=30)

Progress = Callable[[RunSummary, int], None]


class DeliveryRun:
    """Sends waiting deliveries.

    Args:
        database: where they wait.
        transport: sends the messages.
        personaliser: builds the messages.
        limits: how fast to send, and how long to retry.
        clock: returns the current time, timezone-aware.
        stop: set by the caller to end the run between two messages. The run never sets it; it
            stops its own sessions with a `RunStop` derived from it.
        progress: called with the summary and the number of deliveries to send, after every
            commit and before each retry of a commit.
    """

    def __init__(
        self,
        database: Database,
        transport: Transport,
        personaliser: Personaliser,
        limits: Limits,
        clock: Callable[[], datetime],
        stop: threading.Event,
        progress: Progress = lambda _summary, _total: None,
    ) -> None:
        self._database = database
        self._transport = transport
        self._personaliser = personaliser
        self._limits = limits
        self._clock = clock
        self._stop = RunStop.of(stop)
        self._progress = progress

    def run(self, *, only_notices: bool = False, fault: str = "") -> RunSummary:
        """Sends everything that may be sent now.

        If the database fails during the run, it is retried as `Limits.commit_tries` says. If this
        does not help, the run ends and the summary says why; messages that were being sent become
        `unknown` when the next run begins.

        Args:
            only_notices: send notices but no editions.
            fault: why editions could not be planned, if they could not. Recorded as the reason why
                nothing is sent, unless sending has a reason of its own.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            DatabaseOlder: the database lacks a record of mail that was sent.
            StorageError: the database cannot be used at all.
        """
        with self._database.read() as tx:
            row = installation.get(tx)
        if row.paused_at:
            raise SendingPaused("all sending is stopped", hint="`newsletter continue` starts it")
        refuse_old_clock(row, self._clock())
        generations.begin(self._database)
        self._stop.clear()
        summary = RunSummary()
        with senders.sender(self._database.file) as name:
            summary.add(
                DeliveryState.UNKNOWN,
                give_up_dead_claims(self._database, self._limits, self._clock()),
            )
            self._send(name, summary, fault, only_notices=only_notices)
        return summary

    def _send(self, name: str, summary: RunSummary, fault: str, *, only_notices: bool) -> None:
        limits = self._limits
        breaker = self._breaker()
        recorder = Recorder(self._database, name, limits, summary, breaker)
        total = self._total(breaker, only_notices=only_notices)
        say = partial(self._progress, summary, total)
        retry = self._retry(summary, say)

        def waiting(without: Collection[int], slow: Collection[str]) -> list[QueuedDelivery]:
            only = only_notices or not breaker.may_try(ALL, self._clock())
            domains = [*slow, *breaker.blocked_domains(self._clock())]
            return retry(lambda: self._waiting(only, without, domains))

        pool = WorkerPool(
            self._transport, min(limits.sessions, total), self._stop, limits.retry_interval
        )
        gate = BreakerGate(breaker, self._clock)
        queue = Queue(Rates(limits.max_per_second, limits.per_domain), waiting, gate)
        loop = Loop(pool, queue, recorder, self._personaliser, summary, retry, gate)
        loop.run(self._clock, self._stop, say)
        changes = breaker.finish(self._clock())
        with suppress(StorageError):
            retry.at_the_end(lambda: recorder.finish(changes, self._clock()))
        summary.circuits = breaker.circuits
        if (circuit := breaker.stopped(self._clock())) and not only_notices:
            summary.stopped = summary.stopped or circuit.reason
        with suppress(StorageError):
            retry.at_the_end(lambda: self._note_end(summary, fault, only_notices=only_notices))

    def _breaker(self) -> Breaker:
        now = self._clock()
        with self._database.read() as tx:
            month = installation.outcomes_since(tx, now - _MONTH)
            day = installation.outcomes_since(tx, now - _DAY)
            accepted, refused = month.accepted - day.accepted, month.refused - day.refused
            return Breaker(
                Background(
                    subscribers.counts(tx).get(SubscriberState.ACTIVE, 0),
                    refused / (accepted + refused + WINDOW),  # so that a new list begins near 0
                    day.accepted,
                    day.refused,
                    frozenset(deliveries.refusing_domains(tx, now - _DAY)),
                    tuple(breakers.listed(tx)),
                )
            )

    def _total(self, breaker: Breaker, *, only_notices: bool) -> int:
        """Returns the number of deliveries that this run may send."""
        now = self._clock()
        only = only_notices or not breaker.may_try(ALL, now)
        domains = breaker.blocked_domains(now)
        with self._database.read() as tx:
            return outbox.count_waiting(tx, now, only_notices=only, domains_without=domains)

    def _retry(self, summary: RunSummary, say: Callable[[], None]) -> Retry:
        def blocked(error: StorageError) -> None:
            summary.blocked = str(error)
            say()

        # Only the caller's event ends the wait: a run that stopped itself still has results to
        # record.
        return Retry(
            self._stop.caller, self._limits.retry_interval, self._limits.commit_tries, blocked
        )

    def _waiting(
        self, only_notices: bool, without: Collection[int], slow: Collection[str]
    ) -> list[QueuedDelivery]:
        with self._database.read() as tx:
            return outbox.waiting(
                tx,
                self._clock(),
                PAGE,
                only_notices=only_notices,
                without=without,
                domains_without=slow,
            )

    def _note_end(self, summary: RunSummary, fault: str, *, only_notices: bool) -> None:
        with self._database.write() as tx:
            installation.note_instant(tx, self._clock())
            why = summary.stopped or (LIMITED if summary.limited else fault)
            is_interrupted = self._stop.is_set() and not summary.stopped
            # Sending notices does not prove that editions can be sent.
            if not is_interrupted and (why or not only_notices):
                installation.note_stopped(tx, why, self._clock())
            summary.queued = outbox.count_waiting(tx, self._clock(), only_notices=only_notices)
