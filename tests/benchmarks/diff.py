"""Taking in 100 new papers when a million have been seen, against none seen.

Both sides get the same bytes and find all papers new; only what was there before
differs. What a round adds to the large database stays there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from newsletter import diff
from newsletter.formats import parse
from newsletter.identity import Identities
from newsletter.ingest import Ingest
from newsletter.models import Capture, Paper
from newsletter.storage import log
from newsletter.storage.database import Database
from tests.benchmarks import history
from tests.benchmarks.invented import DAY, api_json, papers
from tests.benchmarks.measure import Job, Row, turns

GOAL = 2.0
PAPERS = 100
SEEN = 1_000_000
ROUNDS = 30
SOURCE = "daily-papers"


def run() -> Iterator[Row]:
    """The whole ingest, and the part of it that meets what was seen."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        none = history.made(folder / "none.db", 0, SOURCE)
        many = history.made(folder / "many.db", SEEN, SOURCE)

        def fresh(number: int) -> Job:
            return _ingest(history.copied(none, folder / "fresh.db"), number)

        what = f"ingest {PAPERS} new papers, {SEEN:,} seen vs none seen"
        yield turns(partial(_ingest, many), fresh, ROUNDS).row(what, GOAL)

        def fresh_settled(number: int) -> Job:
            return _settle(history.copied(none, folder / "fresh.db"), number)

        what = "of that, looking up keys and writing the log"
        yield turns(partial(_settle, many), fresh_settled, ROUNDS).row(what)


def _ingest(path: Path, number: int) -> Job:
    capture = Capture(_data(number), f"{number}.json", _now(number), DAY)
    ingest = Ingest(Database(f"sqlite:///{path}"), partial(_now, number))

    def job() -> None:
        (report,) = ingest.captures(SOURCE, [capture])
        if report.counts.new != PAPERS:
            raise RuntimeError(f"{path.name}: {report}")

    return job


def _settle(path: Path, number: int) -> Job:
    database = Database(f"sqlite:///{path}")
    (first,) = Ingest(database, partial(_now, number)).captures(
        SOURCE, [Capture(_data(number, 10_000), f"{number}.json", _now(number), DAY)]
    )
    if first.snapshot is None:
        raise RuntimeError(f"{path.name}: {first}")
    lines = diff.captured_papers(parse(_data(number, 20_000), day=DAY).papers)
    occasion = log.Occasion(source=1, snapshot=first.snapshot, at=_now(number))
    return partial(_append, database, lines, occasion)


def _append(
    database: Database, lines: Sequence[diff.CapturedPaper], occasion: log.Occasion
) -> None:
    with database.write() as tx:
        owners = log.owners(tx, (key for line in lines for key in line.keys))
        log.append(tx, occasion, diff.changes(lines, Identities(owners), {}, (), _always))


def _always(_paper: Paper) -> bool:
    return True


def _data(number: int, first: int = 0) -> bytes:
    return api_json(papers(first + number * PAPERS, PAPERS))


def _now(number: int) -> datetime:
    return history.NOW + timedelta(hours=number)
