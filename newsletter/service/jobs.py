"""What the service does: captures sources when it is their time, plans and sends when anybody
is due. Each is decided by what is on record at that instant, never by when it was asked.
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
    NewsletterError,
    RenderError,
    SendingPaused,
    StorageError,
    one_line,
)
from newsletter.papers.report import CaptureReport
from newsletter.planning.plan import PlanResult
from newsletter.service.folders import Signature, rests, signature
from newsletter.service.health import CHECK_SECONDS
from newsletter.sources.files import is_folder
from newsletter.web.heartbeat import Heartbeat

log = structlog.get_logger()

HOURLY = timedelta(hours=1)
"""How often due times are looked through for those that a wrong clock made, and captures for
those that a process which died has left."""
RETRIED = timedelta(seconds=15)
"""When planning and sending are tried again after the database or the program failed."""
REPORTED = timedelta(minutes=10)
"""How often the owner's reports are looked after when nothing happens."""


@dataclass(slots=True)
class _WatchedSource:
    """A source, and what this process knows of it.

    Attributes:
        tried_at: when this process asked last.
        seen: what lay in the folder when it was taken in last.
    """

    section: SourceSection
    tried_at: datetime | None = None
    seen: Signature | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)


class Jobs:
    """The work of one process.

    Args:
        app: the program.
        config: its configuration.
        clock: the current instant, aware.
        stop: set to end between two messages.

    Attributes:
        sending: the signs of life of planning and sending.
        capturing: those of looking for sources whose time has come.
    """

    def __init__(
        self, app: App, config: Config, clock: Callable[[], datetime], stop: threading.Event
    ) -> None:
        self._app = app
        self._clock = clock
        self._stop = stop
        self._watched = [_WatchedSource(section) for section in config.sources]
        self._sending = threading.Lock()
        self._rescheduled_at: datetime | None = None
        self._reported_at: datetime | None = None
        self._looked_back_at: datetime | None = None
        self._said = ""
        self._failed = False
        self.sending = Heartbeat("sending")
        self.capturing = Heartbeat("captures")

    def captures_due(self) -> list[Callable[[], None]]:
        """What to run for each source whose time has come; each in a thread of its own.

        Nothing is captured while it could not be stored.
        """
        due: list[Callable[[], None]] = []
        with self.capturing.in_pass():
            now = self._clock()
            looks_back = _is_time(self._looked_back_at, now, HOURLY)
            due_sources = [
                watched
                for watched in self._watched
                if not watched.busy.locked() and self._is_due(watched, now)
            ]
            if looks_back or due_sources:
                self._app.database.check_writable(CHECK_SECONDS)
            if looks_back:
                self._looked_back_at = now
                due.append(self._settle_leftovers)
            for watched in due_sources:
                watched.tried_at = now
                due.append(partial(self._capture, watched))
        return due

    def tick(self) -> None:
        """Plans for who is due and sends what waits. One at a time in this process."""
        if not self._sending.acquire(blocking=False):
            return  # and gives no sign of life for the one that may hang
        try:
            with self.sending.in_pass():
                self._tick()
        finally:
            self._sending.release()

    def _tick(self) -> None:
        self._failed = False
        try:
            self._plan_and_send()
        except (SendingPaused, ClockBehind) as why:
            self._say_once("sending waits", why)
        except NewsletterError as error:
            self._failed = isinstance(error, StorageError)
            self._say_once("sending failed", error)
            self._app.sending.note_stopped(str(error))
        except Exception as error:
            self._failed = True
            self._app.sending.note_stopped(f"unexpected {type(error).__name__}, see the log")
            raise

    def settled(self, timeout: float) -> bool:
        """Waits until nothing is in hand; `False` when that takes too long.

        Args:
            patience: seconds.
        """
        ends = monotonic() + timeout
        locks = [self._sending, *(watched.busy for watched in self._watched)]
        for lock in locks:
            if not lock.acquire(timeout=max(0.0, ends - monotonic())):
                return False
            lock.release()
        return True

    def next_due(self) -> datetime | None:
        """The next instant at which anybody is due or anything is tried again, if it is known."""
        if self._failed:
            return self._clock() + RETRIED
        try:
            instants = (self._app.planner.next_due(), self._app.sending.next_try())
        except StorageError as error:
            self._say_once("sending waits", error)
            return None  # the next tick comes by itself
        return min(filter(None, instants), default=None)

    def _plan_and_send(self) -> None:
        now = self._clock()
        app = self._app
        app.sending.refuse(now)
        if _is_time(self._rescheduled_at, now, HOURLY):
            mended = app.due_times.reschedule(now)
            self._rescheduled_at = now
            if mended:
                log.info("due times mended", groups=mended)
        planned, fault = PlanResult(), ""
        try:
            planned = app.planner.plan_due(now)
        except RenderError as error:  # what is frozen already can go all the same
            fault = str(error)
        for edition in planned.held:
            log.warning("edition held", edition=edition.id, reason=edition.reason)
        if planned.people:
            log.info("planned", people=planned.people, editions=planned.editions)
        elif planned.open:
            log.info("nothing new yet, and a source fails", people=planned.open)
        result = RunResult(planned, stopped=fault)
        if app.sending.has_work(now) or (self._is_report_due(now) and app.alerts.report(now)):
            result = app.sending.send(planned, self._stop, self._beat, fault, persistent=True)
        elif fault:
            app.sending.note_stopped(fault)
        self._log_sent(result)

    def _is_report_due(self, now: datetime) -> bool:
        due = _is_time(self._reported_at, now, REPORTED)
        if due:
            self._reported_at = now
        return due

    def _beat(self, summary: RunSummary, _total: int) -> None:
        self.sending.beat()
        if summary.blocked:
            self._say_once("sending waits", summary.blocked)

    def _log_sent(self, result: RunResult) -> None:
        counts = {str(state): many for state, many in result.summary.counts.items()}
        if counts or result.summary.notices:
            log.info(
                "sent", **counts, notices=result.summary.notices, seconds=result.summary.seconds
            )
        if result.summary.limited:
            log.info("the day's limit is reached", waiting=result.summary.queued)
        if result.stopped:
            self._say_once("sending stopped", result.stopped)
        else:
            self._said = ""

    def _say_once(self, what: str, why: object) -> None:
        """Logs a reason when it is another than the last time."""
        reason = one_line(str(why))
        if f"{what} {reason}" != self._said:
            self._said = f"{what} {reason}"
            log.warning(what, reason=reason)

    # --- captures

    def _is_due(self, watched: _WatchedSource, now: datetime) -> bool:
        path = watched.section.path
        if path and is_folder(path):
            return signature(Path(path)) != watched.seen
        last = watched.tried_at
        if last is None:
            last = self._app.sources.captured_at(watched.section.name)
        return _is_time(last, now, watched.section.every)

    def _settle_leftovers(self) -> None:
        """What was captured and never looked at, of sources that are not configured too."""
        try:
            for report in self._app.ingest.leftovers():
                self._log_report(report)
                self._note_unstored(report)
        except NewsletterError as error:
            log.warning("captures left behind stay so", reason=str(error))
            self._looked_back_at = None
        except Exception:
            log.exception("captures left behind stay so")

    def _capture(self, watched: _WatchedSource) -> None:
        with watched.busy:
            try:
                self._take_in(watched)
            except NewsletterError as error:
                log.warning("capture failed", source=watched.section.name, reason=str(error))
            except Exception:
                # Nothing else hears of what goes wrong in this thread.
                log.exception("capture failed", source=watched.section.name)

    def _take_in(self, watched: _WatchedSource) -> None:
        path = watched.section.path
        before = signature(Path(path)) if path and is_folder(path) else None
        began, unstored = self._clock(), False
        for report in self._app.sources.ingest_source(watched.section):
            self._log_report(report)
            unstored |= self._note_unstored(report)
        if unstored:
            watched.tried_at = watched.seen = None
            return
        # What is still being written is looked at again.
        watched.seen = before if before is not None and rests(before, began) else None

    def _note_unstored(self, report: CaptureReport) -> bool:
        """Has what the database could not take looked at again soon; whether it is so."""
        if report.unstored:
            self._looked_back_at = None  # some of it may be stored, and not taken in
        return report.unstored

    def _log_report(self, report: CaptureReport) -> None:
        if report.held is not None:
            log.warning("held" if report.snapshot else "source fails", **_facts(report))
        elif report.unchanged:
            log.info("unchanged", source=report.source, origin=report.origin)
        else:
            log.info("captured", **_facts(report))


def _is_time(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether it is so long ago; a last time in the future was said by a wrong clock."""
    return last is None or not timedelta() <= now - last < every


def _facts(report: CaptureReport) -> dict[str, object]:
    facts: dict[str, object] = {"source": report.source, "origin": report.origin}
    if report.snapshot:
        facts["snapshot"] = report.snapshot
    if report.held is not None:
        return facts | {"reason": report.held}
    counts = report.counts
    return facts | {"new": counts.new, "papers": counts.papers, "learnt": counts.learnt}
