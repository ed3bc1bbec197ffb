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

from newsletter.delivery.desk import Tally
from newsletter.delivery.run import Delivery, Progress
from newsletter.errors import SendingPaused, StorageError
from newsletter.planning import Planned, refuse_old_clock
from newsletter.storage import notices, outbox, standing
from newsletter.storage.database import Database


class MakeDelivery(Protocol):
    """Builds a run of deliveries; see `App.delivery`."""

    def __call__(
        self, stop: threading.Event, progress: Progress, *, persistent: bool = False
    ) -> Delivery: ...


@dataclass(slots=True)
class Ran:
    """What planning and sending did.

    Attributes:
        stopped: why sending ended before its work was done; empty if it did not.
    """

    planned: Planned = field(default_factory=Planned)
    tally: Tally = field(default_factory=Tally)
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
        planned: Planned,
        stop: threading.Event,
        progress: Progress,
        fault: str = "",
        *,
        persistent: bool = False,
    ) -> Ran:
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
        ran = Ran(planned, delivery.run(fault=fault))
        ran.stopped = ran.tally.stopped
        try:
            if not stop.is_set() and not ran.stopped and self._report(self._clock()):
                notices = delivery.run(only_notices=True, fault=fault)
                ran.tally.notices += notices.notices
                ran.stopped = notices.stopped
        except (SendingPaused, StorageError) as error:
            ran.stopped = str(error)  # what was sent before is still said
        ran.stopped = ran.stopped or fault
        return ran

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
            row = standing.get(tx)
        if row.paused_at:
            raise SendingPaused("all sending is stopped", hint="`newsletter continue` starts it")
        refuse_old_clock(row, at)

    def note_stopped(self, why: str) -> None:
        """Records why nothing goes out, if the database takes it."""
        with suppress(StorageError):
            with self._database.read() as tx:
                known = standing.get(tx).stopped
            if known != why:
                with self._database.write() as tx:
                    standing.note_stopped(tx, why, self._clock())

    def pause(self) -> None:
        """Stops all sending, until `resume`."""
        with self._database.write() as tx:
            standing.pause(tx, self._clock())

    def resume(self) -> None:
        """Starts sending again, and takes the clock as right."""
        with self._database.write() as tx:
            standing.resume(tx, self._clock())
