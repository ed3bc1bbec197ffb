"""What the service does: captures sources when it is their time, plans and sends when anybody
is due. Each is decided by what is on record at that instant, never by when it was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import structlog

from newsletter.app import App
from newsletter.config.schema import Config, SourceSection
from newsletter.delivery import Tally
from newsletter.delivery.sending import Ran
from newsletter.errors import (
    ClockBehind,
    NewsletterError,
    RenderError,
    SendingPaused,
    one_line,
)
from newsletter.planning import Planned
from newsletter.reports import Report
from newsletter.sources.files import RESTED, is_folder

log = structlog.get_logger()

HOURLY = timedelta(hours=1)
"""How often due times are looked through for those that a wrong clock made, and captures for
those that a process which died has left."""
REPORTED = timedelta(minutes=10)
"""How often the owner's reports are looked after when nothing happens."""

Signature = tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class _Place:
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
    """

    def __init__(
        self, app: App, config: Config, clock: Callable[[], datetime], stop: threading.Event
    ) -> None:
        self._app = app
        self._clock = clock
        self._stop = stop
        self._places = [_Place(section) for section in config.sources]
        self._sending = threading.Lock()
        self._rescheduled_at: datetime | None = None
        self._reported_at: datetime | None = None
        self._looked_back_at: datetime | None = None
        self._said = ""
        self.beat_at = clock()
        """When something was done last."""

    def captures_due(self) -> Iterator[Callable[[], None]]:
        """What to run for each source whose time has come; each in a thread of its own."""
        now = self._clock()
        if _is_time(self._looked_back_at, now, HOURLY):
            self._looked_back_at = now
            yield self._settle_leftovers
        for place in self._places:
            if not place.busy.locked() and self._is_due(place, now):
                place.tried_at = now
                yield lambda place=place: self._capture(place)  # type: ignore[misc]

    def tick(self) -> None:
        """Plans for who is due and sends what waits. One at a time in this process."""
        self.beat_at = self._clock()
        if not self._sending.acquire(blocking=False):
            return
        try:
            self._plan_and_send()
        except (SendingPaused, ClockBehind) as why:
            self._say_once("sending waits", why)
        except NewsletterError as error:
            self._say_once("sending failed", error)
            self._app.sending.note_stopped(str(error))
        finally:
            self._sending.release()

    def settled(self, patience: float) -> bool:
        """Waits until nothing is in hand; `False` when that takes too long.

        Args:
            patience: seconds.
        """
        ends = monotonic() + patience
        locks = [self._sending, *(place.busy for place in self._places)]
        for lock in locks:
            if not lock.acquire(timeout=max(0.0, ends - monotonic())):
                return False
            lock.release()
        return True

    def next_due(self) -> datetime | None:
        """The next instant at which anybody is due or anything is tried again."""
        instants = (self._app.planner.next_due(), self._app.sending.next_try())
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
        planned, fault = Planned(), ""
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
        ran = Ran(planned, stopped=fault)
        if app.sending.has_work(now) or (self._is_report_due(now) and app.owner.report(now)):
            ran = app.sending.send(planned, self._stop, self._beat, fault)
        elif fault:
            app.sending.note_stopped(fault)
        self._log_sent(ran)

    def _is_report_due(self, now: datetime) -> bool:
        due = _is_time(self._reported_at, now, REPORTED)
        if due:
            self._reported_at = now
        return due

    def _beat(self, _tally: Tally, _total: int) -> None:
        self.beat_at = self._clock()

    def _log_sent(self, ran: Ran) -> None:
        counts = {str(state): many for state, many in ran.tally.counts.items()}
        if counts or ran.tally.notices:
            log.info("sent", **counts, notices=ran.tally.notices, seconds=ran.tally.seconds)
        if ran.tally.limited:
            log.info("the day's limit is reached", waiting=ran.tally.queued)
        if ran.stopped:
            self._say_once("sending stopped", ran.stopped)
        else:
            self._said = ""

    def _say_once(self, what: str, why: object) -> None:
        """Logs a reason when it is another than the last time."""
        reason = one_line(str(why))
        if f"{what} {reason}" != self._said:
            self._said = f"{what} {reason}"
            log.warning(what, reason=reason)

    # --- captures

    def _is_due(self, place: _Place, now: datetime) -> bool:
        path = place.section.path
        if path and is_folder(path):
            return _signature(Path(path)) != place.seen
        last = place.tried_at
        if last is None:
            last = self._app.sources.captured_at(place.section.name)
        return _is_time(last, now, place.section.every)

    def _settle_leftovers(self) -> None:
        """What was captured and never looked at, of sources that are not configured too."""
        try:
            for report in self._app.ingest.leftovers():
                self._log_report(report)
        except NewsletterError as error:
            log.warning("captures left behind stay so", reason=str(error))

    def _capture(self, place: _Place) -> None:
        with place.busy:
            path = place.section.path
            before = _signature(Path(path)) if path and is_folder(path) else None
            began = self._clock()
            try:
                for report in self._app.sources.ingest_source(place.section):
                    self.beat_at = self._clock()
                    self._log_report(report)
            except NewsletterError as error:
                log.warning("capture failed", source=place.section.name, reason=str(error))
            else:
                # What is still being written is looked at again.
                rests = before is not None and _rests(before, began)
                place.seen = before if rests else None

    def _log_report(self, report: Report) -> None:
        if report.held is not None:
            log.warning("held" if report.snapshot else "source fails", **_facts(report))
        elif report.unchanged:
            log.info("unchanged", source=report.source, origin=report.origin)
        else:
            log.info("captured", **_facts(report))


def _is_time(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether it is so long ago; a last time in the future was said by a wrong clock."""
    return last is None or not timedelta() <= now - last < every


def _facts(report: Report) -> dict[str, object]:
    facts: dict[str, object] = {"source": report.source, "origin": report.origin}
    if report.snapshot:
        facts["snapshot"] = report.snapshot
    if report.held is not None:
        return facts | {"reason": report.held}
    counts = report.counts
    return facts | {"new": counts.new, "papers": counts.papers, "learnt": counts.learnt}


def _rests(signature: Signature, at: datetime) -> bool:
    """Whether every file had been left alone for a while."""
    ages = (at.timestamp() - changed / 1e9 for _, _, changed in signature)
    return not any(0 <= age < RESTED for age in ages)


def _signature(folder: Path) -> Signature:
    """What lies in a folder, as far as it can be told from outside."""
    found = []
    try:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                about = path.stat()
                found.append((path.name, about.st_size, about.st_mtime_ns))
    except OSError:
        return ()
    return tuple(found)
