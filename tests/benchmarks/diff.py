"""Ingesting 100 new papers into a database with a million papers, against an empty one.

Both sides get the same bytes, in which all papers are new. What a round adds to the large
database stays there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from newsletter.formats import parse
from newsletter.models import Capture, Paper
from newsletter.papers import changes
from newsletter.papers.identity import Identities
from newsletter.papers.ingest import Ingest
from newsletter.storage import log, sightings
from newsletter.storage.database import Database
from tests.benchmarks import history
from tests.benchmarks.invented import DAY, api_json, papers
from tests.benchmarks.measure import Comparison, Job, Row, compare

GOAL = 2.0
PAPERS = 100
SEEN = 1_000_000
ROUNDS = 30
SOURCE = "daily-papers"

Prepare = Callable[[Database, int], Job]
"""Returns the job to be timed, for an open database and the number of the round."""


def run() -> Iterator[Row]:
    """The whole ingest, and the part of it that depends on known papers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        none = history.made(folder / "none.db", 0, SOURCE)
        many = history.made(folder / "many.db", SEEN, SOURCE)

        what = f"ingest {PAPERS} new papers, {SEEN:,} seen vs none seen"
        yield _compared(_ingest, many, none).row(what, GOAL)
        what = "of that, looking up keys and writing the log"
        yield _compared(_settle, many, none).row(what)


def _compared(prepare: Prepare, many: Path, none: Path) -> Comparison:
    """Compares the same job in the large database and in new copies of the empty one."""
    fresh = none.with_name("fresh.db")
    with (
        closing(_Side(prepare, lambda: many)) as ours,
        closing(_Side(prepare, lambda: history.copied(none, fresh))) as other,
    ):
        return compare(ours, other, ROUNDS)


class _Side:
    """Prepares rounds, each with a newly opened database.

    The database of the round before is closed first: an open one must not be replaced by a copy.

    Args:
        prepare: returns the job of a round.
        path: returns the database file for the next round.
    """

    def __init__(self, prepare: Prepare, path: Callable[[], Path]) -> None:
        self._prepare = prepare
        self._path = path
        self._database: Database | None = None

    def __call__(self, number: int) -> Job:
        self.close()
        self._database = Database(f"sqlite:///{self._path()}")
        return self._prepare(self._database, number)

    def close(self) -> None:
        """Closes the database of the last round."""
        if self._database is not None:
            self._database.close()
        self._database = None


def _ingest(database: Database, number: int) -> Job:
    capture = Capture(_data(number), f"{number}.json", _now(number), DAY)
    ingest = Ingest(database, partial(_now, number))

    def job() -> None:
        (report,) = ingest.captures(SOURCE, [capture])
        if report.counts.new != PAPERS:
            raise RuntimeError(f"{database.file}: {report}")

    return job


def _settle(database: Database, number: int) -> Job:
    (first,) = Ingest(database, partial(_now, number)).captures(
        SOURCE, [Capture(_data(number, 10_000), f"{number}.json", _now(number), DAY)]
    )
    if first.snapshot is None:
        raise RuntimeError(f"{database.file}: {first}")
    lines = changes.captured_papers(parse(_data(number, 20_000), day=DAY).papers)
    occasion = sightings.Occasion(source=1, snapshot=first.snapshot, at=_now(number))
    return partial(_append, database, lines, occasion)


def _append(
    database: Database, lines: Sequence[changes.CapturedPaper], occasion: sightings.Occasion
) -> None:
    with database.write() as tx:
        owners = log.owners(tx, (key for line in lines for key in line.keys))
        log.append(tx, occasion, changes.changes(lines, Identities(owners), {}, (), _always))


def _always(_paper: Paper) -> bool:
    return True


def _data(number: int, first: int = 0) -> bytes:
    return api_json(papers(first + number * PAPERS, PAPERS))


def _now(number: int) -> datetime:
    return history.NOW + timedelta(hours=number)
