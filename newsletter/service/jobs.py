"""The work of the service: captures sources when they are due, and plans and sends when
subscribers are due. What is due is read from the database each time, never derived from the time
of the last run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic

import structlog

from newsletter.app.composition import App
from newsletter.config.schema import Config, SourceSection
from newsletter.delivery.recorder import RunSummary
from newsletter.delivery.sending import RunResult
from newsletter.errors import (
    ClockBehind,
    DatabaseOlder,
    NewsletterError,
    RenderError,
    SendingPaused,
    StorageError,
    one_line,
)
from newsletter.papers.report import CaptureReport
from newsletter.planning.plan import PlanResult
from newsletter.service.capture_log import log_report
from newsletter.service.folders import Signature, rests, signature
from newsletter.service.health import CHECK_SECONDS
from newsletter.service.intervals import is_time
from newsletter.service.owner import OwnerReports
from newsletter.sources.files import is_folder
from newsletter.web.heartbeat import Heartbeat

log = structlog.get_logger()

HOURLY = timedelta(hours=1)
"""Interval between checks for due times set by a wrong clock, and for captures left by a process
that died."""
RETRIED = timedelta(seconds=15)
"""Time after which planning and sending are retried following a database or program error."""


@dataclass(slots=True)
class _WatchedSource:
    """A source and its state in this process.

    Attributes:
        tried_at: when this process last tried to capture it.
        seen: the signature of the folder when it was last ingested.
        busy: held while the source is being captured.
    """

    section: SourceSection
    tried_at: datetime | None = None
    seen: Signature | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)


class Jobs:
    """The work of one process.

    Args:
        app: the use cases.
        config: the configuration.
        clock: returns the current instant, aware.
        stop: set to stop between two messages.

    Attributes:
        sending: monitors planning and sending.
        capturing: monitors the check for sources that are due.
    """

    def __init__(
        self, app: App, config: Config, clock: Callable[[], datetime], stop: threading.Event
    ) -> None:
        self._app = app
        self._clock = clock
        self._stop = stop
        self._watched = [_WatchedSource(section) for section in config.sources]
        self._tick_lock = threading.Lock()
        self._leftovers_lock = threading.Lock()
        self._rescheduled_at: datetime | None = None
        self._owner = OwnerReports(app)
        self._leftovers_checked_at: datetime | None = None
        self._logged = ""
        self._failed = False
        self._noted = ""
        self.sending = Heartbeat("sending")
        self.capturing = Heartbeat("captures")

    def captures_due(self) -> list[Callable[[], None]]:
        """Returns a function for each source that is due, to be run in a thread of its own.

        Returns none while the database cannot be written to and store captures.
        """
        due: list[Callable[[], None]] = []
        with self.capturing.in_pass():
            now = self._clock()
            check_leftovers = not self._leftovers_lock.locked() and is_time(
                self._leftovers_checked_at, now, HOURLY
            )
            due_sources = [
                watched
                for watched in self._watched
                if not watched.busy.locked() and self._is_due(watched, now)
            ]
            if check_leftovers or due_sources:
                self._app.database.check_writable(CHECK_SECONDS)
            if check_leftovers:
                self._leftovers_checked_at = now
                due.append(self._settle_leftovers)
            for watched in due_sources:
                watched.tried_at = now
                due.append(partial(self._capture, watched))
        return due

    def tick(self) -> None:
        """Plans for due subscribers and sends what is queued. Only one call runs at a time."""
        if not self._tick_lock.acquire(blocking=False):
            return  # without a heartbeat, because the running call may hang
        try:
            with self.sending.in_pass():
                self._tick()
        finally:
            self._tick_lock.release()

    def _tick(self) -> None:
        self._failed = False
        try:
            self._plan_and_send()
        except SendingPaused as why:
            self._log_once("sending is waiting", why)
        except (ClockBehind, DatabaseOlder) as why:
            self._log_once("sending is waiting", why)
            self._owner.after_failure(self._clock())
        except NewsletterError as error:
            self._failed = isinstance(error, StorageError)
            self._log_once("sending failed", error)
            self._note_stopped(str(error))
        except Exception as error:
            self._failed = True
            self._note_stopped(f"unexpected {type(error).__name__}, see the log")
            raise

    def _note_stopped(self, why: str) -> None:
        self._noted = why
        self._app.sending.note_stopped(why)
        self._owner.after_failure(self._clock())

    def settled(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for running jobs to finish. Returns whether they did."""
        ends = monotonic() + timeout
        locks = [
            self._tick_lock,
            self._leftovers_lock,
            *(watched.busy for watched in self._watched),
        ]
        for lock in locks:
            if not lock.acquire(timeout=max(0.0, ends - monotonic())):
                return False
            lock.release()
        return True

    def next_due(self) -> datetime | None:
        """Returns when a subscriber or a retry is due next, or `None` if that is not known."""
        if self._failed:
            return self._clock() + RETRIED
        try:
            instants = (self._app.planner.next_due(), self._app.sending.next_try())
        except StorageError as error:
            self._log_once("sending is waiting", error)
            return None  # the next regular tick follows anyway
        return min(filter(None, instants), default=None)

    def _plan_and_send(self) -> None:
        now = self._clock()
        app = self._app
        app.sending.refuse(now)
        if is_time(self._rescheduled_at, now, HOURLY):
            corrected = app.due_times.reschedule(now)
            self._rescheduled_at = now
            if corrected:
                log.info("due times corrected", groups=corrected)
        planned, fault = PlanResult(), ""
        try:
            planned = app.planner.plan_due(now)
        except RenderError as error:  # frozen editions can still be sent
            fault = str(error)
        for edition in planned.held:
            log.warning("edition held", edition=edition.id, reason=edition.reason)
        if planned.subscribers:
            log.info("planned", subscribers=planned.subscribers, editions=planned.editions)
        elif planned.open:
            log.info("waiting for new papers, because a source fails", subscribers=planned.open)
        result = self._sent(planned, fault, now)
        self._log_sent(result)
        if not self._stop.is_set():
            self._owner.after_pass(result, self._clock())

    def _sent(self, planned: PlanResult, fault: str, now: datetime) -> RunResult:
        """Sends queued mail; without any, a report to the owner; else records the fault, if any."""
        sending = self._app.sending
        result = RunResult(planned, stopped=fault)
        if sending.has_work(now):
            return sending.send(planned, self._stop, self._beat, fault, persistent=True)
        if self._owner.is_due(now) and self._app.alerts.report(now):
            result.summary = sending.send_notices(self._stop, self._beat)
            result.stopped = fault or result.summary.stopped
        elif fault:
            sending.note_stopped(fault)
        elif self._noted:
            # The database works again, but nothing was sent that would have recorded it.
            sending.withdraw_stopped(self._noted)
            self._noted = ""
        return result

    def _beat(self, summary: RunSummary, _total: int) -> None:
        self.sending.beat()
        if summary.blocked:
            self._log_once("sending is waiting", summary.blocked)

    def _log_sent(self, result: RunResult) -> None:
        counts = {str(state): many for state, many in result.summary.counts.items()}
        if counts or result.summary.notices:
            log.info(
                "sent", **counts, notices=result.summary.notices, seconds=result.summary.seconds
            )
        if result.summary.limited:
            log.info("the day's limit is reached", waiting=result.summary.queued)
        if result.stopped:
            self._log_once("sending stopped", result.stopped)
        else:
            self._logged = ""

    def _log_once(self, what: str, why: object) -> None:
        """Logs a reason unless it is the same as the last time."""
        reason = one_line(str(why))
        if f"{what} {reason}" != self._logged:
            self._logged = f"{what} {reason}"
            log.warning(what, reason=reason)

    # --- captures

    def _is_due(self, watched: _WatchedSource, now: datetime) -> bool:
        path = watched.section.path
        if path and is_folder(path):
            return signature(Path(path)) != watched.seen
        last = watched.tried_at
        if last is None:
            last = self._app.sources.captured_at(watched.section.name)
        return is_time(last, now, watched.section.every)

    def _settle_leftovers(self) -> None:
        """Ingests captures that were stored but never ingested, even those of removed sources."""
        with self._leftovers_lock:
            try:
                for report in self._app.ingest.leftovers():
                    log_report(report)
                    self._note_left(report)
            except NewsletterError as error:
                log.warning("stored captures could not be ingested", reason=str(error))
                self._leftovers_checked_at = None
            except Exception:
                log.exception("stored captures could not be ingested")

    def _capture(self, watched: _WatchedSource) -> None:
        with watched.busy:
            try:
                self._take_in(watched)
            except NewsletterError as error:
                log.warning("capture failed", source=watched.section.name, reason=str(error))
            except Exception:
                # Nothing else would report an error in this thread.
                log.exception("capture failed", source=watched.section.name)

    def _take_in(self, watched: _WatchedSource) -> None:
        path = watched.section.path
        before = signature(Path(path)) if path and is_folder(path) else None
        began, unstored = self._clock(), False
        for report in self._app.sources.ingest_source(watched.section):
            log_report(report)
            unstored |= self._note_left(report)
        if unstored:
            watched.tried_at = watched.seen = None
            return
        # Files that are still being written are read again.
        watched.seen = before if before is not None and rests(before, began) else None

    def _note_left(self, report: CaptureReport) -> bool:
        """Schedules another round if something is left. Returns whether it could not be stored."""
        if report.unstored or report.postponed:
            self._leftovers_checked_at = None  # a part may be stored but not ingested
        return report.unstored
