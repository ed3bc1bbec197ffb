"""Sending as the operator and the service see it: a run, a pause, and why nothing goes out.

Builds a `Delivery` for each run. Does not plan and does not send by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from newsletter.delivery.recorder import RunSummary
from newsletter.delivery.run import DeliveryRun, Progress
from newsletter.errors import SendingPaused, StorageError
from newsletter.planning.plan import PlanResult
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import installation, notices, outbox
from newsletter.storage.database import Database


class MakeDelivery(Protocol):
    """Builds a run of deliveries; see `App.delivery`."""

    def __call__(
        self, stop: threading.Event, progress: Progress, *, persistent: bool = False
    ) -> DeliveryRun: ...


@dataclass(slots=True)
class RunResult:
    """What planning and sending did.

    Attributes:
        stopped: why sending ended before its work was done; empty if it did not.
    """

    planned: PlanResult = field(default_factory=PlanResult)
    summary: RunSummary = field(default_factory=RunSummary)
    stopped: str = ""


class Sending:
    """Sends what is planned, and pauses and resumes all sending.

    Args:
        database: where deliveries wait.
        make_delivery: builds a run.
        report: queues a report to the owner if something needs them; says whether it did.
        clock: the current instant, aware.
    """

    def __init__(
        self,
        database: Database,
        make_delivery: MakeDelivery,
        report: Callable[[datetime], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._make_delivery = make_delivery
        self._report = report
        self._clock = clock

    def send(
        self,
        planned: PlanResult,
        stop: threading.Event,
        progress: Progress,
        fault: str = "",
        *,
        persistent: bool = False,
    ) -> RunResult:
        """Sends what waits, then a report to the owner if something needs them.

        Args:
            fault: what kept editions from being planned, if anything.
            persistent: wait for a database that is locked or has no room, however long that
                takes; otherwise the run gives up after a few tries.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            ConfigError: something that the transport needs is not configured.
        """
        delivery = self._make_delivery(stop, progress, persistent=persistent)
        result = RunResult(planned, delivery.run(fault=fault))
        result.stopped = result.summary.stopped
        try:
            if not stop.is_set() and not result.stopped and self._report(self._clock()):
                notices = delivery.run(only_notices=True, fault=fault)
                result.summary.notices += notices.notices
                result.stopped = notices.stopped
        except (SendingPaused, StorageError) as error:
            result.stopped = str(error)  # what was sent before is still said
        result.stopped = result.stopped or fault
        return result

    def send_notices(self, stop: threading.Event, progress: Progress) -> None:
        """Sends the notices that wait, and no edition; nothing while all sending is paused.

        Waits for a database that is locked or has no room.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            ConfigError: something that the transport needs is not configured.
            StorageError: the database cannot be used.
        """
        with self._database.read() as tx:
            if not notices.are_waiting(tx, self._clock()):
                return
        with suppress(SendingPaused):
            self._make_delivery(stop, progress, persistent=True).run(only_notices=True)

    def has_work(self, at: datetime) -> bool:
        """Whether mail waits that may go now, or a dead sender has left some."""
        with self._database.read() as tx:
            first = outbox.next_try(tx)
            return (first is not None and first <= at) or bool(outbox.senders(tx))

    def next_try(self) -> datetime | None:
        """The next instant at which a mail is tried."""
        with self._database.read() as tx:
            return outbox.next_try(tx)

    def refuse(self, at: datetime) -> None:
        """Raises when nothing may be planned or sent at this instant.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
        """
        with self._database.read() as tx:
            row = installation.get(tx)
        if row.paused_at:
            raise SendingPaused("all sending is stopped", hint="`newsletter continue` starts it")
        refuse_old_clock(row, at)

    def note_stopped(self, why: str) -> None:
        """Records why nothing goes out, if the database takes it."""
        with suppress(StorageError):
            with self._database.read() as tx:
                known = installation.get(tx).stopped
            if known != why:
                with self._database.write() as tx:
                    installation.note_stopped(tx, why, self._clock())

    def pause(self) -> None:
        """Stops all sending, until `resume`."""
        with self._database.write() as tx:
            installation.pause(tx, self._clock())

    def resume(self) -> None:
        """Starts sending again, and takes the clock as right."""
        with self._database.write() as tx:
            installation.resume(tx, self._clock())
