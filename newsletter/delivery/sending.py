"""Sending as the operator and the service see it: runs, pausing, and why nothing is sent.

Builds a `DeliveryRun` for each run. Does not plan and does not send by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from newsletter.delivery.recorder import PAUSED, RunSummary
from newsletter.delivery.run import DeliveryRun, Progress
from newsletter.errors import SendingPaused, StorageError
from newsletter.planning.plan import PlanResult
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import breakers, generations, installation, notices, outbox
from newsletter.storage.database import Database


class MakeDelivery(Protocol):
    """Builds a delivery run; see `App.delivery`."""

    def __call__(
        self, stop: threading.Event, progress: Progress, *, persistent: bool = False
    ) -> DeliveryRun: ...


@dataclass(slots=True)
class RunResult:
    """The results of planning and sending.

    Attributes:
        stopped: why sending ended before its work was done; empty if it did not.
        excerpt: lines to show with it, such as those around a mistake in a template.
    """

    planned: PlanResult = field(default_factory=PlanResult)
    summary: RunSummary = field(default_factory=RunSummary)
    stopped: str = ""
    excerpt: Sequence[str] = ()


class Sending:
    """Sends planned deliveries, and pauses and resumes all sending.

    Args:
        database: where deliveries wait.
        make_delivery: builds a delivery run.
        report: reports to the owner if something needs attention; returns whether it queued a
            mail for that.
        clock: returns the current time, timezone-aware.
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
        """Sends waiting deliveries, then a report to the owner if something needs attention.

        Args:
            fault: why editions could not be planned, if they could not.
            persistent: keep retrying while the database is locked or its disk is full;
                otherwise the run gives up after a few tries.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            ConfigError: a setting that the transport needs is missing.
        """
        delivery = self._make_delivery(stop, progress, persistent=persistent)
        result = RunResult(planned, delivery.run(fault=fault))
        result.stopped = result.summary.stopped
        try:
            # Also after a run that was stopped: the fault may concern other recipients only.
            is_ended = stop.is_set() or result.stopped == PAUSED
            if not is_ended and self._report(self._clock()):
                notice_summary = delivery.run(only_notices=True, fault=fault)
                result.summary.notices += notice_summary.notices
                result.stopped = result.stopped or notice_summary.stopped
        except (SendingPaused, StorageError) as error:
            # The result still has the numbers from before the error.
            result.stopped = result.stopped or str(error)
        result.stopped = result.stopped or fault
        return result

    def send_notices(self, stop: threading.Event, progress: Progress) -> RunSummary:
        """Sends waiting notices but no editions. Sends nothing while sending is paused.

        Keeps retrying while the database is locked or its disk is full.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            ConfigError: a setting that the transport needs is missing.
            StorageError: the database cannot be used.
        """
        with self._database.read() as tx:
            if not notices.are_waiting(tx, self._clock()):
                return RunSummary()
        try:
            return self._make_delivery(stop, progress, persistent=True).run(only_notices=True)
        except SendingPaused:
            return RunSummary()

    def has_work(self, at: datetime) -> bool:
        """Whether any mail may be sent now, or a sender has claims that may need recovery."""
        with self._database.read() as tx:
            first = outbox.next_try(tx)
            return (first is not None and first <= at) or bool(outbox.senders(tx))

    def next_try(self) -> datetime | None:
        """Returns when the next delivery is tried, or `None` if none waits."""
        with self._database.read() as tx:
            return outbox.next_try(tx)

    def refuse(self, at: datetime) -> None:
        """Raises an error if nothing may be planned or sent now.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            DatabaseOlder: the database lacks a record of mail that was sent.
            StorageError: this cannot be checked.
        """
        with self._database.read() as tx:
            row = installation.get(tx)
        if row.paused_at:
            raise SendingPaused("all sending is stopped", hint="`newsletter continue` starts it")
        refuse_old_clock(row, at)
        generations.check(self._database)

    def note_stopped(self, why: str) -> None:
        """Records why nothing is sent, if the database can be written."""
        with suppress(StorageError):
            with self._database.read() as tx:
                known = installation.get(tx).stopped
            if known != why:
                with self._database.write() as tx:
                    installation.note_stopped(tx, why, self._clock())

    def withdraw_stopped(self, why: str) -> None:
        """Clears a reason recorded by `note_stopped`, unless another one replaced it.

        Raises:
            StorageError: the database cannot be used.
        """
        with self._database.write() as tx:
            if installation.get(tx).stopped == why:
                installation.note_stopped(tx, "", self._clock())

    def pause(self) -> None:
        """Stops all sending, until `resume`."""
        with self._database.write() as tx:
            installation.pause(tx, self._clock())

    def resume(self) -> None:
        """Starts sending again, accepts the current clock, and closes the breaker's circuits."""
        with self._database.write() as tx:
            installation.resume(tx, self._clock())
            breakers.remove_all(tx)
