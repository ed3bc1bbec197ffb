"""The sessions of a transport, each in a thread of its own.

A worker has at most one letter. It asks for the next one with the outcome of the last,
and waits until what it said is on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from time import monotonic

from newsletter.storage.outbox import QueuedDelivery
from newsletter.transports.base import OutgoingMessage, SessionFailed, Transport
from newsletter.transports.replies import Reply, ReplyKind

OPENINGS = 3
"""Times that a session is opened in a row, in vain, before its worker gives up."""
_FAREWELL = 7.0
"""Seconds for a worker to come home. One that still connects is left behind."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed delivery and its letter."""

    waiting: QueuedDelivery
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says.

    Attributes:
        job: what it did, with its `outcome`; without one, the outcome says why there is no
            session.
        ready: it takes another.
        gone: it ends with this; `fault` is what it died of, if that was no failure of the
            transport.
    """

    worker: Worker
    job: Job | None = None
    reply: Reply | None = None
    ready: bool = False
    gone: bool = False
    fault: BaseException | None = None


class Worker(threading.Thread):
    """One session.

    Args:
        transport: where the session comes from.
        reports: takes what the worker says.
        stop: set when no more time should be lost.
        pause: seconds before a session that failed is opened again; twice as long each time.
    """

    def __init__(
        self,
        transport: Transport,
        reports: SimpleQueue[WorkerReport],
        stop: threading.Event,
        pause: float,
    ) -> None:
        super().__init__(name="session", daemon=True)
        self._session = transport.session()
        self._reports = reports
        self._stop_now = stop
        self._pause = pause
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    def give(self, job: Job | None) -> None:
        """The next letter; `None` sends it home."""
        self._jobs.put(job)

    def run(self) -> None:
        """Opens the session, then sends what it is given, until sent home."""
        fault = None
        try:
            while self._opens() and self._serves():
                pass
        except BaseException as error:  # noqa: BLE001  # raised again by who reads the reports
            fault = error
        finally:
            self._session.close()
        self._reports.put(WorkerReport(self, gone=True, fault=fault))

    def _serves(self) -> bool:
        """Sends while there is a session; `False` once it was sent home."""
        self._reports.put(WorkerReport(self, ready=True))
        while job := self._jobs.get():
            reply = self._session.send(job.message)
            # Said before anything else, so that it is on disk while a session is opened.
            self._reports.put(WorkerReport(self, job, reply, ready=self._session.is_open))
            if not self._session.is_open:
                return True
        return False

    def _opens(self) -> bool:
        """Makes a session; `False` if there is none to be had."""
        pause = self._pause
        for left in reversed(range(OPENINGS)):
            if self._stop_now.is_set():
                return False
            try:
                self._session.open()
            except SessionFailed as failure:
                self._reports.put(WorkerReport(self, reply=_explained(failure)))
                ours = failure.reply.kind is ReplyKind.OURS
                if ours or not left or self._stop_now.wait(pause):
                    return False
                pause *= 2
            else:
                return True
        return False


def _explained(failure: SessionFailed) -> Reply:
    return replace(failure.reply, text=str(failure))


class WorkerPool:
    """Workers, and what they say.

    Args:
        transport: where their sessions come from.
        size: how many.
        stop: set when no more time should be lost.
        pause: see `Worker`.
    """

    def __init__(
        self, transport: Transport, size: int, stop: threading.Event, pause: float
    ) -> None:
        self._reports: SimpleQueue[WorkerReport] = SimpleQueue()
        self._workers = {Worker(transport, self._reports, stop, pause) for _ in range(size)}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Starts them; afterwards none is left."""
        for worker in self._workers:
            worker.start()
        try:
            yield
        finally:
            for worker in self._workers:
                worker.give(None)
            ends = monotonic() + _FAREWELL
            for worker in self._workers:
                worker.join(max(0.0, ends - monotonic()))

    @property
    def size(self) -> int:
        """How many are there still."""
        return len(self._workers)

    def said(self, timeout: float, commit_wait: float) -> list[WorkerReport]:
        """What they say within `patience` seconds, and `gather` seconds more.

        Raises:
            BaseException: what a worker died of, if it was no failure of the transport.
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
        """What was said and nobody has heard."""
        found = []
        while not self._reports.empty():
            found.append(self._reports.get())
        return found
