"""One delivery run: sends waiting deliveries until none is left that may be sent now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from time import monotonic

from newsletter.delivery.dead_claims import give_up_dead_claims
from newsletter.delivery.personalise import Personaliser
from newsletter.delivery.queue import PAGE, Queue
from newsletter.delivery.recorder import LIMITED, Attempt, Limits, Recorder, RunSummary
from newsletter.delivery.retry import Streak
from newsletter.delivery.stop import Retry, RunStop
from newsletter.delivery.throttle import Rates
from newsletter.delivery.workers import Job, Worker, WorkerPool, WorkerReport
from newsletter.errors import RenderError, SendingPaused, StorageError
from newsletter.models import DeliveryState
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import generations, installation, outbox, senders
from newsletter.storage.database import Database
from newsletter.storage.outbox import QueuedDelivery
from newsletter.subscribers.address import parse_address
from newsletter.transports.base import Transport
from newsletter.transports.replies import ReplyKind, without_reply

COMMIT_INTERVAL = 0.002
"""Seconds between two commits, so that several sessions can share one."""
IDLE_WAIT = 0.25
"""Seconds without a worker's report after which a run checks its state again."""

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
            commit and before each retry of one.
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

        If the database fails during the run, it is retried as `Limits.commit_tries` says. After
        that the run ends and the summary says why; messages that sessions were sending become
        `unknown` when the next run begins.

        Args:
            only_notices: send notices but no editions.
            fault: what kept editions from being planned, if anything: recorded as the reason
                why nothing is sent, unless sending has a reason of its own.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            DatabaseOlder: the database does not know of everything that was sent.
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
            recorder = Recorder(self._database, name, self._limits, summary)
            self._send(recorder, summary, fault, only_notices=only_notices)
        return summary

    def _send(
        self, recorder: Recorder, summary: RunSummary, fault: str, *, only_notices: bool
    ) -> None:
        with self._database.read() as tx:
            total = outbox.count_waiting(tx, self._clock(), only_notices=only_notices)
        limits = self._limits
        say = partial(self._progress, summary, total)
        retry = self._retry(summary, say)

        def waiting(without: Collection[int], slow: Collection[str]) -> list[QueuedDelivery]:
            return retry(lambda: self._waiting(only_notices, without, slow))

        pool = WorkerPool(self._transport, min(limits.sessions, total), self._stop, limits.pause)
        queue = Queue(Rates(limits.max_per_second, limits.per_domain), waiting)
        _Loop(pool, queue, recorder, self._personaliser, summary, retry).run(
            self._clock, self._stop, say
        )
        with suppress(StorageError):
            retry.at_the_end(lambda: self._note_end(summary, fault, only_notices=only_notices))

    def _retry(self, summary: RunSummary, say: Callable[[], None]) -> Retry:
        def blocked(error: StorageError) -> None:
            summary.blocked = str(error)
            say()

        # Only the caller's event ends the wait: a run that stopped itself still has results to
        # record.
        return Retry(self._stop.caller, self._limits.pause, self._limits.commit_tries, blocked)

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
            # That notices were sent does not mean that editions can be.
            if not is_interrupted and (why or not only_notices):
                installation.note_stopped(tx, why, self._clock())
            summary.queued = outbox.count_waiting(tx, self._clock(), only_notices=only_notices)


class _Loop:
    """Collects the workers' reports, records them, and gives the workers new jobs."""

    def __init__(
        self,
        pool: WorkerPool,
        queue: Queue,
        recorder: Recorder,
        personaliser: Personaliser,
        summary: RunSummary,
        retry: Retry,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._recorder = recorder
        self._personaliser = personaliser
        self._summary = summary
        self._retry = retry
        self._streak = Streak()
        self._idle: list[Worker] = []
        self._busy = 0
        self._done: list[Attempt] = []  # not recorded yet
        self._no_session = ""

    def run(
        self, clock: Callable[[], datetime], stop: threading.Event, progress: Callable[[], None]
    ) -> None:
        """Runs until nothing is left to send now, or no more messages may be started."""
        began = last_commit = monotonic()
        with self._pool.at_work():
            try:
                while not self._is_over(begin := self._may_begin(stop)):
                    commit_wait = (
                        last_commit + COMMIT_INTERVAL - monotonic() if self._busy > 1 else 0.0
                    )
                    self._hear(self._pool.said(self._timeout(begin), max(0.0, commit_wait)))
                    wanted = self._wanted(clock()) if self._may_begin(stop) else {}
                    self._give(self._recorded(wanted, clock), wanted)
                    last_commit = monotonic()
                    progress()
            except StorageError as error:
                self._summary.stopped = str(error)
                stop.set()  # sessions need not wait long for a reply any more
        self._last_words(clock)
        self._summary.seconds = monotonic() - began
        if self._no_session and not self._pool.size and not self._summary.stopped:
            self._summary.stopped = self._no_session

    def _may_begin(self, stop: threading.Event) -> bool:
        return not (self._summary.stopped or self._summary.limited or stop.is_set())

    def _is_over(self, begin: bool) -> bool:
        if self._busy or self._done:
            return False
        if not begin or not self._pool.size:
            return True
        if not self._idle or self._queue.pause(monotonic()) is not None:
            return False
        # Deliveries that lost their connection may be due again by now.
        self._queue.look_again()
        return not self._queue.has_more()

    def _timeout(self, begin: bool) -> float:
        """Returns the seconds to wait for a worker's report."""
        if self._done:
            return 0.0
        pause = self._queue.pause(monotonic()) if self._idle and begin else None
        return IDLE_WAIT if pause is None else min(pause, IDLE_WAIT)

    def _hear(self, reports: Sequence[WorkerReport]) -> None:
        for report in reports:
            if report.job and report.reply:
                self._busy -= 1
                self._note(Attempt(report.job.waiting, report.reply))
            elif report.reply:
                self._no_session = report.reply.text
                if report.reply.kind is ReplyKind.OURS:
                    self._summary.stopped = report.reply.text
            if report.ready:
                self._idle.append(report.worker)

    def _note(self, done: Attempt) -> None:
        self._done.append(done)
        waiting = done.waiting
        domain = waiting.domain or waiting.address.rpartition("@")[2]
        if why := self._streak.note(done.reply, domain):
            self._summary.stopped = why

    def _wanted(self, now: datetime) -> dict[int, Job | Attempt]:
        """Returns jobs for the idle workers by delivery id, or attempts that already failed."""
        rows = self._queue.take(len(self._idle), monotonic())
        return {one.id: self._job(one, now) for one in rows}

    def _job(self, waiting: QueuedDelivery, now: datetime) -> Job | Attempt:
        try:
            to = parse_address(waiting.address)
        except ValueError as fault:
            return Attempt(waiting, without_reply(ReplyKind.REFUSED, "rcpt", str(fault)))
        try:
            return Job(waiting, self._retry(lambda: self._personaliser.message(waiting, to, now)))
        except RenderError as fault:
            return Attempt(waiting, without_reply(ReplyKind.OURS, "data", str(fault)))

    def _recorded(
        self, wanted: Mapping[int, Job | Attempt], clock: Callable[[], datetime]
    ) -> set[int]:
        """Records finished attempts and claims `wanted`. Returns the ids that were claimed."""
        if not self._done and not wanted:
            return set()
        rows = [one.waiting for one in wanted.values()]
        got = self._retry(lambda: self._recorder.record(self._done, rows, clock()))
        self._done = []
        try:
            self._retry(self._recorder.note_claims)
        except StorageError as error:  # none of them leaves
            reply = without_reply(ReplyKind.OURS, "data", str(error))
            self._done = [Attempt(one, reply) for one in rows if one.id in got]
            raise
        self._summary.blocked = ""
        return got

    def _give(self, got: set[int], wanted: Mapping[int, Job | Attempt]) -> None:
        for number in got:
            what = wanted[number]
            if isinstance(what, Job):
                self._idle.pop().give(what)
                self._busy += 1
            else:
                self._note(what)

    def _last_words(self, clock: Callable[[], datetime]) -> None:
        """Records, if possible, what workers finished after the loop ended."""
        self._hear(self._pool.left_over())
        if not self._done:
            return
        try:
            self._retry.at_the_end(lambda: self._recorder.record(self._done, [], clock()))
        except StorageError as error:
            self._summary.stopped = str(error)
            self._summary.add(DeliveryState.UNKNOWN, len(self._done))
        self._done = []
