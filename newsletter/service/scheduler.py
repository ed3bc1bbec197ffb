"""The clock: APScheduler with its jobs in memory. It wakes us up and decides nothing.

Its own job stores lose runs or repeat them, and its idea of the next time goes wrong when
the clock is set; so there is one tick a minute for correctness, one at the next due instant
for punctuality, and a thread that notices when the clock on the wall is moved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from newsletter.web.heartbeat import Heartbeat, is_alive

TICK = 60
"""Seconds between two ticks."""
_LOOK = 5.0  # seconds between two looks at the clock
_MOVED = 20.0  # seconds by which it differs from a steady one when somebody set it
_THREADS = 8


class Scheduler:
    """Runs jobs when their time has come, until it is stopped.

    Args:
        tick: done every minute and at the next due instant; never twice at once.
        captures: what else is to be done now, each piece in a thread of its own.
        next_due: the next instant at which `tick` has something to do; `None` if there is none.

    Attributes:
        heartbeat: the signs of life of the thread that watches the clock.
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
            executors={"default": ThreadPoolExecutor(_THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def run(self) -> None:
        """Blocks until `stop`; what runs then is left to end by itself."""
        self._watch.start()
        self._every_minute()
        self._scheduler.start()

    def stop(self) -> None:
        """Ends `run`. Safe from a signal handler."""
        self._stopping.set()
        threading.Thread(target=self._scheduler.shutdown, kwargs={"wait": False}).start()

    def soon(self) -> None:
        """Ticks at once, besides; returns before it does."""
        if not self._stopping.is_set():
            self._scheduler.add_job(self._work, id="soon", replace_existing=True)

    def _every_minute(self) -> None:
        # Two jobs: a long run of one must not keep the other waiting.
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
            self._scheduler.add_job(capture, id=f"capture {time.monotonic()} {number}")

    def _work(self) -> None:
        self._tick()
        due = self._next_due()
        soon = datetime.now(UTC) + timedelta(seconds=TICK)
        if due is not None and datetime.now(UTC) < due < soon and not self._stopping.is_set():
            self._scheduler.add_job(
                self._work, DateTrigger(due, timezone=UTC), id="due", replace_existing=True
            )

    def _watch_clock(self) -> None:
        """Asks again from now when the clock was set: the next minute may be hours away."""
        apart = time.time() - time.monotonic()
        while not self._stopping.wait(_LOOK):
            with self.heartbeat.in_pass():
                now_apart = time.time() - time.monotonic()
                if abs(now_apart - apart) > _MOVED:
                    self._every_minute()
                    apart = now_apart
