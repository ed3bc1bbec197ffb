"""Workers: the sessions of a transport, one thread each.

A worker has at most one message at a time. It reports the reply and asks for the next message in
one step, and gets it once the reply is recorded on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from time import monotonic

from newsletter.storage.outbox import QueuedDelivery
from newsletter.transports.base import OutgoingMessage, SessionFailed, Transport
from newsletter.transports.replies import Reply

OPENINGS = 4
"""Failed attempts in a row to open a session before its worker gives up, if no other is open."""
MAX_RETRY_INTERVAL = 30.0
"""Maximum seconds between two attempts to open a session."""
_STOP_CHECK_INTERVAL = 0.2
"""Seconds within which a waiting worker notices that it has to end."""
_END_TIMEOUT = 7.0
"""Seconds to wait for workers to end. One that is still connecting is abandoned."""


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery and its message."""

    waiting: QueuedDelivery
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's report to the run.

    Attributes:
        job: the job it finished, with its `reply`; if `None`, the reply says why there is no
            session.
        ready: the worker can take another job.
        gone: the worker has ended.
        fault: the exception that ended it, unless the transport failed.
    """

    worker: Worker
    job: Job | None = None
    reply: Reply | None = None
    ready: bool = False
    gone: bool = False
    fault: BaseException | None = None


class Worker(threading.Thread):
    """A thread with one session.

    Args:
        transport: provides the session.
        reports: receives the worker's reports.
        stop: set when the worker should end without delay.
        retry_interval: seconds before another attempt to open a session, doubled each time.
        is_served: whether any worker has an open session. If so, the server can be reached, and a
            failed attempt is no reason to give up.
    """

    def __init__(
        self,
        transport: Transport,
        reports: SimpleQueue[WorkerReport],
        stop: threading.Event,
        retry_interval: float,
        is_served: Callable[[], bool],
    ) -> None:
        super().__init__(name="session", daemon=True)
        self._is_served = is_served
        self._must_end = False
        self._session = transport.session()
        self._reports = reports
        self._stop_now = stop
        self._retry_interval = retry_interval
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    @property
    def is_open(self) -> bool:
        """Whether its session is open."""
        return self._session.is_open

    def give(self, job: Job | None) -> None:
        """Gives the worker its next job; `None` ends it."""
        self._must_end = self._must_end or job is None
        self._jobs.put(job)

    def run(self) -> None:
        """Opens the session and sends the jobs it is given, until it has to end."""
        fault = None
        try:
            while self._opens() and self._serves():
                pass
        except BaseException as error:  # noqa: BLE001  # raised again when the reports are read
            fault = error
        finally:
            self._session.close()
        self._reports.put(WorkerReport(self, gone=True, fault=fault))

    def _serves(self) -> bool:
        """Sends messages while the session is open. Returns `False` if the worker has to end."""
        self._reports.put(WorkerReport(self, ready=True))
        while job := self._jobs.get():
            reply = self._session.send(job.message)
            # Reported first, so that the result is recorded while the session is reopened.
            self._reports.put(WorkerReport(self, job, reply, ready=self._session.is_open))
            if not self._session.is_open:
                return True
        return False

    def _opens(self) -> bool:
        """Opens the session. Returns whether that succeeded."""
        interval, failures = self._retry_interval, 0
        while not (self._stop_now.is_set() or self._must_end):
            try:
                self._session.open()
            except SessionFailed as failure:
                failures += 1
                self._reports.put(WorkerReport(self, reply=_explained(failure)))
                is_last = failures >= OPENINGS and not self._is_served()
                if is_last or not failure.may_pass or not self._waits(interval):
                    return False
                interval = min(2 * interval, MAX_RETRY_INTERVAL)
            else:
                return True
        return False

    def _waits(self, seconds: float) -> bool:
        """Waits. Returns `False` if the worker has to end before that."""
        ends = monotonic() + seconds
        while (left := ends - monotonic()) > 0:
            if self._must_end or self._stop_now.wait(min(left, _STOP_CHECK_INTERVAL)):
                return False
        return True


def _explained(failure: SessionFailed) -> Reply:
    return replace(failure.reply, text=str(failure))


class WorkerPool:
    """The workers of a run, and their reports.

    Args:
        transport: provides their sessions.
        size: number of workers.
        stop: set when the workers should end without delay.
        retry_interval: see `Worker`.
    """

    def __init__(
        self, transport: Transport, size: int, stop: threading.Event, retry_interval: float
    ) -> None:
        self._reports: SimpleQueue[WorkerReport] = SimpleQueue()
        self._workers = {
            Worker(transport, self._reports, stop, retry_interval, self._is_served)
            for _ in range(size)
        }
        self._all = tuple(self._workers)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Starts the workers, and ends them on exit."""
        for worker in self._workers:
            worker.start()
        try:
            yield
        finally:
            for worker in self._workers:
                worker.give(None)
            ends = monotonic() + _END_TIMEOUT
            for worker in self._workers:
                worker.join(max(0.0, ends - monotonic()))

    def _is_served(self) -> bool:
        return any(worker.is_open for worker in self._all)

    @property
    def size(self) -> int:
        """The number of workers that have not ended."""
        return len(self._workers)

    def next_reports(self, timeout: float, commit_wait: float) -> list[WorkerReport]:
        """Waits for reports: up to `timeout` seconds for the first, then `commit_wait` for more.

        Raises:
            BaseException: the exception that ended a worker, unless the transport failed.
        """
        try:
            found = [self._reports.get(timeout=timeout)]
        except Empty:
            return []
        ends = monotonic() + commit_wait
        while len(found) < len(self._workers):
            try:
                found.append(self._reports.get(timeout=max(0.0, ends - monotonic())))
            except Empty:
                break
        for report in found:
            if report.fault:
                raise report.fault
            if report.gone:
                self._workers.discard(report.worker)
        return found

    def left_over(self) -> list[WorkerReport]:
        """Returns the reports that have not been read."""
        found = []
        while not self._reports.empty():
            found.append(self._reports.get())
        return found
