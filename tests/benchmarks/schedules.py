"""Planning for subscribers with many schedules, against as many with a single one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.storage.database import Database
from newsletter.subscribers.csv_import import read
from newsletter.subscribers.list_import import Imported
from tests.benchmarks.invented import api_json, papers
from tests.benchmarks.measure import Row

SUBSCRIBERS = 100_000
SCHEDULES = 360
GOAL = 2.0


def run() -> Iterator[Row]:
    """CPU of planning one edition for all, by the number of different send times."""
    with tempfile.TemporaryDirectory() as name:
        many, one = (_seconds(Path(name), schedules) for schedules in (SCHEDULES, 1))
        what = f"{SUBSCRIBERS:,} planned, {SCHEDULES} schedules against 1, CPU"
        yield Row(what, "s", many, one, many / one, GOAL)


def _seconds(folder: Path, schedules: int) -> float:
    database = Database(f"sqlite:///{folder}/{schedules}.db")
    app = App(Config(), database)
    capture = folder / "papers.json"
    capture.write_bytes(api_json(papers(0, 100)))
    list(app.sources.ingest_named([str(capture)]))
    list(app.subscribers.list_import.add(read(_lines(schedules)).rows, Imported()))
    _ = app.builder
    # All send times are in the hours before: none is merged with the next day's.
    at = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12, minute=0)
    began = time.process_time()
    planned = app.planning.plan(at)
    taken = time.process_time() - began
    app.close()
    if planned.subscribers != SUBSCRIBERS:
        raise RuntimeError(f"planned for {planned.subscribers:,} subscribers")
    return taken


def _lines(schedules: int) -> Iterator[str]:
    yield "address,cadence,time_zone,send_at,topics\n"
    for number in range(SUBSCRIBERS):
        hour, minute = divmod(number % schedules, 60)
        yield f"reader{number}@example.org,daily,UTC,{hour + 6:02}:{minute:02},\n"
