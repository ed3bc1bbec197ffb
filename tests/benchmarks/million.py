"""A million subscribers: time, memory and locks of importing and planning.

Compared with limits, not peers: the time that an operator with such a list can wait, and the
time that other writers can wait meanwhile.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.storage.database import Database
from newsletter.subscribers.csv_import import read
from newsletter.subscribers.list_import import Imported
from tests.benchmarks.invented import api_json, papers
from tests.benchmarks.measure import Row

MANY = 1_000_000
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC", "")
CADENCES = ("daily", "weekdays", "weekly:mon")

IMPORT_SECONDS = 180
PLAN_SECONDS = 30
LONGEST_LOCK = 0.2  # seconds
GROWTH = 30  # MB


def run() -> Iterator[Row]:
    """Import, then planning with 15 schedules, and for all subscribers at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = _Timed(f"sqlite:///{folder}/million.db")
        app = App(Config(), database)
        capture = folder / "papers.json"
        capture.write_bytes(api_json(papers(0, 100)))
        list(app.sources.ingest_named([str(capture)]))
        began = time.perf_counter()
        done = Imported()
        list(app.subscribers.list_import.add(read(subscriber_lines()).rows, done))
        taken = time.perf_counter() - began
        yield _limited(f"{done.added:,} subscribers imported", "s", taken, IMPORT_SECONDS)
        yield _limited("its longest write", "s", database.longest, LONGEST_LOCK)
        app.close()
        for what, all_active in (("15 schedules", False), ("all at once", True)):
            yield from _planned(folder, what, all_active=all_active)


def _planned(folder: Path, what: str, *, all_active: bool) -> Iterator[Row]:
    path = folder / "copy.db"
    shutil.copyfile(folder / "million.db", path)
    database = _Timed(f"sqlite:///{path}")
    app = App(Config(), database)
    _ = app.builder
    # Every schedule is due on the Monday after the next, at noon.
    now = datetime.now(UTC)
    at = now + timedelta(days=14 - now.weekday(), hours=12)
    before, began = _peak(), time.perf_counter()
    found = app.planning.plan(at, all_active=all_active)
    seconds = time.perf_counter() - began
    yield _limited(f"{found.subscribers:,} planned, {what}", "s", seconds, PLAN_SECONDS)
    yield _limited("its longest write", "s", database.longest, LONGEST_LOCK)
    yield _limited("growth", "MB", _peak() - before, GROWTH)
    app.close()


def subscriber_lines() -> Iterator[str]:
    """Yields the lines of a file with a million subscribers."""
    yield "address,cadence,time_zone,send_at,topics\n"
    for number in range(MANY):
        cadence, zone = CADENCES[number % 3], ZONES[number % 5]
        yield f"mira{number}@domain{number % 5000}.example.org,{cadence},{zone},,\n"


def _limited(what: str, unit: str, ours: float, limit: float) -> Row:
    return Row(what, unit, ours, limit, ours / limit, 1.0)


def _peak() -> float:
    """Returns the peak memory in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Timed(Database):
    """A database that records its longest write transaction, in seconds."""

    longest = 0.0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        began = 0.0
        try:
            with super().write() as tx:
                began = time.perf_counter()  # the lock is held
                yield tx
        finally:
            if began:
                self.longest = max(self.longest, time.perf_counter() - began)
