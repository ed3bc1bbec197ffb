"""The loop of a delivery run: records its workers' results, and gives the workers new jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic

from newsletter.delivery.breaker import ALL, Breaker, Change, Step
from newsletter.delivery.personalise import Personaliser
from newsletter.delivery.queue import Queue
from newsletter.delivery.recorder import Attempt, Recorder, RunSummary
from newsletter.delivery.refusals import domain_of, was_put_back
from newsletter.delivery.retry import stops_everything
from newsletter.delivery.stop import Retry
from newsletter.delivery.workers import Job, Worker, WorkerPool, WorkerReport
from newsletter.errors import RenderError, StorageError
from newsletter.models import DeliveryState
from newsletter.storage.outbox import QueuedDelivery
from newsletter.subscribers.address import parse_address
from newsletter.transports.replies import Reply, ReplyKind, without_reply

COMMIT_INTERVAL = 0.002
"""Seconds between two commits, so that several sessions can share one."""
IDLE_WAIT = 0.25
"""Seconds without a worker's report after which a run checks its state again."""


class BreakerGate:
    """Holds back deliveries for which a circuit is open, but never notices.

    Args:
        breaker: the circuits.
        clock: returns the current time, timezone-aware.
    """

    def __init__(self, breaker: Breaker, clock: Callable[[], datetime]) -> None:
        self._breaker = breaker
        self._clock = clock

    def may_try(self, one: QueuedDelivery) -> bool:
        """Whether it may be tried now, if only as a probe."""
        return bool(one.notice) or self._breaker.may_try(domain_of(one), self._clock())

    def begin(self, one: QueuedDelivery) -> None:
        """Records that it is tried."""
        if not one.notice:
            self._breaker.begin(domain_of(one))

    def abandon(self, one: QueuedDelivery) -> None:
        """Records that it was not tried after all."""
        if not one.notice:
            self._breaker.abandon(domain_of(one))

    def note(self, one: QueuedDelivery, reply: Reply) -> list[Change]:
        """Counts the outcome of an attempt. Returns the changes of circuits that it causes."""
        if one.notice:
            return []
        again = was_put_back(one)
        return self._breaker.note(domain_of(one), reply, self._clock(), again=again)


class Loop:
    """Collects the workers' reports, records them, and gives the workers new jobs."""

    def __init__(
        self,
        pool: WorkerPool,
        queue: Queue,
        recorder: Recorder,
        personaliser: Personaliser,
        summary: RunSummary,
        retry: Retry,
        gate: BreakerGate,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._recorder = recorder
        self._personaliser = personaliser
        self._summary = summary
        self._retry = retry
        self._gate = gate
        self._changes: list[Change] = []  # of the breaker's circuits, not recorded yet
        self._seen = 0
        self._idle: list[Worker] = []
        self._busy = 0
        self._done: list[Attempt] = []  # not recorded yet
        self._no_session = ""

    def run(
        self,
        clock: Callable[[], datetime],
        stop: threading.Event,
        progress: Callable[[], None],
    ) -> None:
        """Runs until nothing is left to send now, or no more messages may be started."""
        began = last_commit = monotonic()
        with self._pool.at_work():
            try:
                while not self._is_over(begin := self._may_begin(stop)):
                    commit_wait = (
                        last_commit + COMMIT_INTERVAL - monotonic() if self._busy > 1 else 0.0
                    )
                    self._handle(
                        self._pool.next_reports(self._timeout(begin), max(0.0, commit_wait))
                    )
                    wanted = self._wanted(clock()) if self._may_begin(stop) else {}
                    self._give(self._recorded(wanted, clock), wanted)
                    last_commit = monotonic()
                    progress()
            except StorageError as error:
                self._summary.stopped = str(error)
                stop.set()  # so that sessions no longer wait long for a reply
        self._record_late_reports(clock)
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
        if not self._idle or self._queue.wait(monotonic()) is not None:
            return False
        # Deliveries that lost their connection may be due again by now.
        self._queue.look_again()
        return not self._queue.has_more()

    def _timeout(self, begin: bool) -> float:
        """Returns the seconds to wait for a worker's report."""
        if self._done:
            return 0.0
        wait = self._queue.wait(monotonic()) if self._idle and begin else None
        return IDLE_WAIT if wait is None else min(wait, IDLE_WAIT)

    def _handle(self, reports: Sequence[WorkerReport]) -> None:
        for report in reports:
            if report.job and report.reply:
                self._busy -= 1
                self._note(report.job.waiting, report.reply)
            elif report.reply:
                self._no_session = report.reply.text
            if report.ready:
                self._idle.append(report.worker)

    def _note(self, waiting: QueuedDelivery, reply: Reply) -> None:
        self._seen += 1
        self._done.append(Attempt(waiting, reply, self._seen))
        if stops_everything(reply):
            self._summary.stopped = reply.text
        for change in self._gate.note(waiting, reply):
            self._changes.append(change)
            if change.step is Step.CLOSED:
                self._queue.look_again()  # deliveries that it held back may be sent now
            elif change.circuit.domain == ALL:
                self._summary.stopped = change.circuit.reason

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
        got = self._retry(lambda: self._record(rows, clock()))
        self._done, self._changes = [], []
        try:
            self._retry(self._recorder.note_claims)
        except StorageError as error:  # none of them may be sent
            reply = without_reply(ReplyKind.OURS, "data", str(error))
            self._done = [Attempt(one, reply) for one in rows if one.id in got]
            raise
        self._summary.blocked = ""
        return got

    def _record(self, wanted: Sequence[QueuedDelivery], now: datetime) -> set[int]:
        return self._recorder.record(
            self._done, wanted, now, changes=self._changes, seen=self._seen
        )

    def _give(self, got: set[int], wanted: Mapping[int, Job | Attempt]) -> None:
        for number in got:
            what = wanted[number]
            if isinstance(what, Job):
                self._idle.pop().give(what)
                self._busy += 1
            else:
                self._note(what.waiting, what.reply)
        for number in wanted.keys() - got:
            self._gate.abandon(wanted[number].waiting)

    def _record_late_reports(self, clock: Callable[[], datetime]) -> None:
        """Records, if possible, results that workers reported after the loop ended."""
        self._handle(self._pool.left_over())
        if not self._done:
            return
        try:
            self._retry.at_the_end(lambda: self._record([], clock()))
            self._changes = []
        except StorageError as error:
            self._summary.stopped = str(error)
            self._summary.add(DeliveryState.UNKNOWN, len(self._done))
        self._done = []
