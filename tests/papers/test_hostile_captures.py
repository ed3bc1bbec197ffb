"""One capture never stops the others: attempts, limits and the time of a round."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter.models import Capture, SnapshotState
from newsletter.papers.ingest import Ingest
from newsletter.papers.parser_process import Limits
from newsletter.papers.parsers import Parsers
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.sources.files import MAX_BYTES
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from tests.support import hostile_reader

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
LIMIT = Limits(seconds=1.0, memory=2**29, output=2**22)
TOO_LONG = "reading it took longer than 1 s"


def good(number: int = 1) -> bytes:
    """Returns a capture with one paper."""
    row = {"paper": {"id": f"2611.{number:05}", "title": f"Lantern number {number}"}}
    return json.dumps([row]).encode()


def ingest_round(
    database: Database, captured: Sequence[bytes], seconds: float = 60.0, format: str | None = None
) -> list[CaptureReport]:
    """Ingests one round of a source; captures that spin reach the time limit."""
    given = [Capture(data, f"{number}.json", NOW) for number, data in enumerate(captured)]
    with Parsers(LIMIT, hostile_reader.FUNCTION) as parsers:
        ingest = Ingest(database, lambda: NOW, parsers.parse, seconds=seconds)
        return list(ingest.captures("s", given, whole_folder=True, format=format))


def announced(database: Database) -> list[str]:
    """Returns the titles of all announced papers."""
    with database.read() as tx:
        return [entry.paper.title for entry in log.new_entries(tx)]


def attempts(database: Database) -> list[int]:
    """Returns the counted attempts of all snapshots."""
    with database.read() as tx:
        return [row.attempts for row in snapshots.listed(tx)]


@pytest.mark.parametrize("opened", [False, True])
def test_a_good_capture_among_hostile_ones(database: Database, *, opened: bool) -> None:
    """Of twenty, three reach a limit and the last one is good: the first round announces it."""
    if opened:
        ingest_round(database, [good(1)])
    noise = [f"a diary, page {page}".encode() for page in range(17)]
    stops = [hostile_reader.SPINS, hostile_reader.EATS, hostile_reader.ENDLESS]
    reports = ingest_round(database, [*stops, *noise, good(2)])
    assert [report.held is None for report in reports] == [False] * 20 + [True]
    assert announced(database)[-1] == "Lantern number 2"
    assert TOO_LONG in (reports[0].held or "")


@pytest.mark.parametrize("piece", [b"<a href=x>", b"<h1>", b"<b>x"])
def test_the_largest_page_is_held_within_the_limits(database: Database, piece: bytes) -> None:
    """If there is no end to reading it, its time or memory has one, and the next is announced."""
    start = b"<!doctype html><title>Daily Papers - Hugging Face</title><a href=/papers/2611.00009>A"
    page = start + piece * ((MAX_BYTES - len(start)) // len(piece))
    large, small = ingest_round(database, [page, good(2)])
    assert (large.held or "").startswith("reading it ")
    assert small.held is None
    assert announced(database) == ["Lantern number 2"]


@pytest.mark.parametrize("opened", [False, True])
def test_a_round_has_a_time_limit(database: Database, *, opened: bool) -> None:
    """The rest is stored, reported as waiting, and parsed in later rounds."""
    if opened:
        ingest_round(database, [good(1)])
    hostile = [hostile_reader.SPINS + b"%d" % number for number in range(3)]
    held = []
    for _ in range(4):
        assert "Lantern number 2" not in announced(database)
        reports = ingest_round(database, [*hostile, good(2)], seconds=0.4)  # one reaches the limit
        held.append(len({one.snapshot for one in reports if TOO_LONG in (one.held or "")}))
        waits = [one for one in reports if one.postponed]
        assert all("reads it" in (one.held or "") for one in waits)
    assert held == [1, 2, 3, 3]
    assert announced(database)[-1] == "Lantern number 2"


def test_a_capture_that_reached_a_limit_is_not_parsed_again(database: Database) -> None:
    """When it comes again it stays held at no cost; another format or a release parses it again."""
    (first,) = ingest_round(database, [hostile_reader.SPINS])
    (again,) = ingest_round(database, [hostile_reader.SPINS])
    assert again.unchanged
    assert again.held == first.held
    assert TOO_LONG in (first.held or "")
    (other,) = ingest_round(database, [hostile_reader.SPINS], format="bibtex")
    assert not other.unchanged
    assert other.snapshot is not None
    with Parsers(LIMIT) as parsers:  # for which no capture spins
        ingest = Ingest(database, lambda: NOW, parsers.parse)
        capture = Capture(hostile_reader.SPINS, "0.json", NOW)
        (unread,) = ingest.captures("s", [capture], format="json-feed")
    assert unread.held
    assert TOO_LONG not in unread.held
    assert attempts(database) == [0]


def test_a_release_parses_again(database: Database) -> None:
    """The operator's decision takes precedence over the number of attempts."""
    with database.write() as tx:
        source = sources.ensure(tx, "s").id
        number = snapshots.store(tx, source, Capture(good(), "0.json", NOW), opening=False)
        snapshots.hold(tx, snapshots.get(tx, number), "too long", [], None, again=False)
    with Parsers() as parsers:
        report = SnapshotReview(database, lambda: NOW, parsers.parse).release(number)
    assert len(report.new) == 1
    assert attempts(database) == [0]


def test_a_process_that_dies_is_tried_twice(database: Database) -> None:
    """Then the capture is held, and the others are parsed."""
    bad, after = ingest_round(database, [hostile_reader.DIES, good()])
    assert "two attempts to read it never ended" in (bad.held or "")
    assert after.held is None


KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from newsletter.papers.ingest import Ingest
from newsletter.storage.database import Database

def parse(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

with Database(sys.argv[1]) as database:
    list(Ingest(database, lambda: datetime.now(UTC), parse).leftovers())
"""


def test_attempts_are_counted_before_they_begin(database: Database, tmp_path: Path) -> None:
    """One death costs one attempt, whatever it is; after two the capture is held."""
    with database.write() as tx:
        source = sources.ensure(tx, "s").id
        for number in (1, 2):
            capture = Capture(good(number), f"{number}.json", NOW)
            snapshots.store(tx, source, capture, opening=False)
    for deaths in (1, 2):
        child = [sys.executable, "-c", KILLED, f"sqlite:///{database.file}"]
        assert subprocess.run(child, check=False).returncode == -signal.SIGKILL
        assert attempts(database) == [deaths, 0]
    held, taken = Ingest(database, lambda: NOW).leftovers()
    assert "two attempts to read it never ended" in (held.held or "")
    assert taken.held is None
    with database.read() as tx:
        states = [row.state for row in snapshots.listed(tx)]
    assert states == [SnapshotState.HELD, SnapshotState.ACCEPTED]


def test_a_death_after_the_parse_costs_nothing(database: Database) -> None:
    """An attempt that ended is not counted, although its result was lost."""
    reports = Ingest(database, lambda: NOW).captures("s", [Capture(b"a diary", "0", NOW)])
    next(reports)
    assert attempts(database) == [0]


def test_no_process_is_started_if_nothing_is_new(database: Database) -> None:
    """A parser that cannot be started then makes no difference."""
    ingest_round(database, [good()])
    with Parsers(function="newsletter.formats:none") as parsers:
        ingest = Ingest(database, lambda: NOW, parsers.parse)
        (report,) = ingest.captures("s", [Capture(good(), "0.json", NOW)])
    assert report.unchanged
