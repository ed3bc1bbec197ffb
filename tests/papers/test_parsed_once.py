"""Expensive work is done once: parsing a capture, and reading a snapshot's row."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.models import Capture, DatedBy, Snapshot
from newsletter.papers.ingest import Ingest
from newsletter.papers.parsed_spool import ParsedSpool
from newsletter.papers.snapshot_processing import SnapshotProcessor
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.storage import log
from newsletter.storage.database import Database
from tests.support.disks import fill, small_disk

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19)]


def capture(name: str, *numbers: int, day: date | None = None) -> Capture:
    """Returns a capture of the API with papers of these numbers."""
    rows = []
    for number in numbers:
        paper: dict[str, Any] = {"id": f"2611.{number:05}", "title": f"Lantern number {number}"}
        if day:
            paper["submittedOnDailyAt"] = f"{day}T00:00:00.000Z"
        rows.append({"paper": paper, "title": paper["title"]})
    return Capture(json.dumps(rows).encode(), name, NOW)


class CountedParse:
    """The real parser, which also records its input."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def __call__(
        self, data: bytes, *, day: date | None, dated_by: DatedBy | None, format: str | None
    ) -> Snapshot:
        self.given.append(data)
        return formats.parse(data, day=day, dated_by=dated_by, format=format)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yields the list of SQL statements that are executed in the context."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def announced(database: Database) -> list[str]:
    """Returns the titles of all announced papers."""
    with database.read() as tx:
        return [entry.paper.title for entry in log.new_entries(tx)]


def test_a_first_ingest_parses_each_capture_once(database: Database) -> None:
    """They are dated, undated and unreadable, and the latest day is still announced."""
    parse = CountedParse()
    taken = [capture(str(day), number, day=day) for number, day in enumerate(DAYS)]
    taken.insert(1, Capture(b"[{", "broken", NOW))
    reports = list(Ingest(database, lambda: NOW, parse).captures("s", taken, whole_folder=True))
    assert sorted(parse.given) == sorted(one.data for one in taken)
    assert [bool(report.held) for report in reports] == [False, True, False, False, False]
    assert announced(database) == ["Lantern number 3"]


def test_a_later_ingest_parses_each_capture_once(database: Database) -> None:
    """It parses no capture that it had before."""
    list(Ingest(database, lambda: NOW).captures("s", [capture("a", 1)]))
    parse = CountedParse()
    taken = [capture("b", 2), capture("c", 3)]
    for _again in range(2):
        list(Ingest(database, lambda: NOW, parse).captures("s", taken, whole_folder=True))
    assert parse.given == [one.data for one in taken]


def _held_in_a_first_ingest(database: Database) -> int:
    (report,) = Ingest(database, lambda: NOW).captures("s", [Capture(b"[{", "broken", NOW)])
    return report.snapshot or 0


def _held_later(database: Database) -> int:
    ingest = Ingest(database, lambda: NOW)
    for number in range(1, 6):
        list(ingest.captures("s", [capture(str(number), number)], announce_all=True))
    flood = capture("flood", *range(100, 160))
    (report,) = ingest.captures("s", [flood], announce_all=True)
    return report.snapshot or 0


def test_a_release_parses_once_and_reads_the_row_once(database: Database) -> None:
    """All other statements about the snapshot are changes, read its bytes or other rows."""
    number, parse = _held_later(database), CountedParse()
    with statements() as seen:
        report = SnapshotReview(database, lambda: NOW, parse).release(number)
    assert (report.held, report.counts.new, len(report.new)) == (None, 60, 60)
    assert len(parse.given) == 1
    rows = [one for one in seen if re.match(r"SELECT snapshots\.id, .*snapshots\.state", one)]
    assert len(rows) == 1


def test_a_release_from_a_first_ingest_parses_once(database: Database) -> None:
    """The rule of the first ingest and the decision use the same result."""
    number, parse = _held_in_a_first_ingest(database), CountedParse()
    with pytest.raises(SnapshotUnreadable):
        SnapshotReview(database, lambda: NOW, parse).release(number)
    assert len(parse.given) == 1


@pytest.mark.parametrize("in_memory", [1, 2**20])
def test_spooled_snapshots_are_read_back_in_any_order(database: Database, in_memory: int) -> None:
    """They come from memory or disk, with the reason why one cannot be read."""
    taken = [Capture(b"[{", "broken", NOW), *(capture(str(n), n) for n in range(5))]
    list(Ingest(database, lambda: NOW).captures("s", taken, whole_folder=True))
    processor = SnapshotProcessor(database, lambda: NOW)
    with ParsedSpool(in_memory) as spool:
        kept = list(spool.through(map(processor.parse, range(1, 7))))
        for number in (6, 1, 3, 3):
            found, parsed = spool.get(number), kept[number - 1]
            assert found
            assert (found.row, found.content) == (parsed.row, parsed.content)
            assert str(found.error) == str(parsed.error)


@pytest.mark.parametrize("room", ["full", "none"])
def test_without_room_for_the_spool_a_first_ingest_parses_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """A full or missing temporary folder does not prevent an ingest."""
    monkeypatch.setattr("newsletter.papers.parsed_spool.IN_MEMORY", 1)
    taken = [capture(str(n), *range(100 * n, 100 * n + 100)) for n in range(6)]
    parse = CountedParse()
    with small_disk(tmp_path / "small", 64) as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder if room == "full" else folder / "gone"))
        fill(folder)
        reports = list(Ingest(database, lambda: NOW, parse).captures("s", taken, whole_folder=True))
    assert [report.held for report in reports] == [None] * 6
    assert sum(report.counts.new + report.counts.learnt for report in reports) == 600
    assert 6 < len(parse.given) <= 12
