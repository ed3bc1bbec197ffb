"""Starts the jobs: APScheduler with its jobs in memory. Decides nothing.

APScheduler's job stores lose or repeat runs, and its next run times are wrong after the system
clock is set. So there is a tick every minute for correctness, one at the next due instant for
punctuality, and a thread that detects when the system clock is set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from newsletter.web.heartbeat import Heartbeat, is_alive

TICK = 60
"""Seconds between two ticks."""
_CHECK = 5.0  # seconds between two checks of the system clock
_MOVED = 20.0  # seconds of drift from the monotonic clock that mean that it was set
_THREADS = 8
_CAPTURES = "captures"
_STARTING = 0.05  # seconds between two checks for its start


class Scheduler:
    """Runs jobs when they are due, until it is stopped.

    Args:
        tick: called every minute and at the next due instant; must tolerate overlapping calls.
        captures: returns further functions to run now, each in a thread of its own.
        next_due: returns the next instant at which `tick` has work, or `None`.

    Attributes:
        heartbeat: monitors the thread that watches the clock.
    """

    def __init__(
        self,
        tick: Callable[[], None],
        captures: Callable[[], Iterable[Callable[[], None]]],
        next_due: Callable[[], datetime | None],
    ) -> None:
        self._tick = tick
        self._captures = captures
        self._next_due = next_due
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._watch_clock, name="clock", daemon=True)
        self.heartbeat = Heartbeat("clock", is_alive(self._watch))
        self._scheduler = BlockingScheduler(
            timezone=UTC,
            # Slow captures must not keep sending waiting for a thread.
            executors={name: ThreadPoolExecutor(_THREADS) for name in ("default", _CAPTURES)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def run(self) -> None:
        """Blocks until `stop` is called. Running jobs are not interrupted."""
        self._watch.start()
        self._every_minute()
        if self._stopping.is_set():
            return
        try:
            self._scheduler.start()
        except JobLookupError:
            # APScheduler was shut down while it took a job that runs once, and misses that job.
            if not self._stopping.is_set():
                raise

    def stop(self) -> None:
        """Stops `run`, even if it has not started yet. Safe to call from a signal handler."""
        self._stopping.set()
        threading.Thread(target=self._shut_down, name="shut down", daemon=True).start()

    def _shut_down(self) -> None:
        while not self._scheduler.running:  # it refuses to be shut down before it has started
            time.sleep(_STARTING)
        self._scheduler.shutdown(wait=False)

    def soon(self) -> None:
        """Schedules an additional tick now, and returns immediately."""
        if not self._stopping.is_set():
            self._scheduler.add_job(self._work, id="soon", replace_existing=True)

    def _every_minute(self) -> None:
        # Two jobs, so that a long run of one does not delay the other.
        for name, job in (("captures", self._begin_captures), ("tick", self._work)):
            self._scheduler.add_job(
                job,
                IntervalTrigger(seconds=TICK, timezone=UTC),
                id=name,
                replace_existing=True,
                next_run_time=datetime.now(UTC),
            )

    def _begin_captures(self) -> None:
        for number, capture in enumerate(self._captures()):
            name = f"capture {time.monotonic()} {number}"
            self._scheduler.add_job(capture, id=name, executor=_CAPTURES)

    def _work(self) -> None:
        self._tick()
        due = self._next_due()
        soon = datetime.now(UTC) + timedelta(seconds=TICK)
        if due is not None and datetime.now(UTC) < due < soon and not self._stopping.is_set():
            self._scheduler.add_job(
                self._work, DateTrigger(due, timezone=UTC), id="due", replace_existing=True
            )

    def _watch_clock(self) -> None:
        """Reschedules the jobs if the clock was set, because their next run may be hours away."""
        apart = time.time() - time.monotonic()
        while not self._stopping.wait(_CHECK):
            with self.heartbeat.in_pass():
                now_apart = time.time() - time.monotonic()
                if abs(now_apart - apart) > _MOVED:
                    self._every_minute()
                    apart = now_apart
