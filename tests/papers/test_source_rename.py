"""A renamed source continues its history, whatever was captured under the new name meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter.errors import UsageError
from newsletter.models import SnapshotState
from newsletter.papers.ingest import Ingest
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.papers.source_rename import Renamed, SourceRename
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.source_renames import Moved
from tests.support.announcements import Row, daily, numbers_of

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


class SourceRoom:
    """Captures and renames the sources of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database, lambda: NOW)
        self.review = SnapshotReview(database, lambda: NOW)
        self.serial = 0

    def give(
        self, source: str, *days: tuple[int, Collection[int]], **options: str
    ) -> list[CaptureReport]:
        """Ingests a capture for each of these days, with papers of these numbers."""
        captures = []
        for day, numbers in days:
            self.serial += 1
            captures.append(daily([Row(number) for number in numbers], day, self.serial))
        return list(self.ingest.captures(source, captures, **options))  # type: ignore[arg-type]

    def rename(self, old: str, new: str, *configured: str) -> Renamed:
        """Renames a source, as the operator's command does."""
        return SourceRename(self.database, configured).rename(old, new)

    def announced(self) -> list[int]:
        """Returns the numbers of the announced papers, in log order."""
        with self.database.read() as tx:
            return numbers_of([entry.paper.title for entry in log.new_entries(tx)])

    def names(self) -> list[str]:
        """Returns the names of all sources."""
        with self.database.read() as tx:
            return list(sources.names(tx))


@pytest.fixture
def room(database: Database) -> SourceRoom:
    """A database whose source `a` was opened on the first day."""
    room = SourceRoom(database)
    room.give("a", (0, [1]), (1, [2]))
    assert room.announced() == [2]
    return room


def test_a_new_name_that_was_never_captured(room: SourceRoom) -> None:
    """The next capture is not a first one, and backfilled papers stay unannounced."""
    assert room.rename("a", "b", "b") == Renamed("a", "b", True, False, Moved())
    assert room.names() == ["b"]
    room.give("b", (2, [1, 3]), (3, [4]))
    assert room.announced() == [2, 3, 4]


def test_a_new_name_that_was_captured_already(room: SourceRoom) -> None:
    """Its captures are read again as captures of a source with a history."""
    room.give("b", (2, [1, 3]), (3, [4]))
    room.give("b", (4, [5]))
    assert room.announced() == [2, 4, 5]
    assert room.rename("a", "b").moved == Moved(captures=3, again=3)
    assert room.announced() == [2, 4, 5]
    reports = list(room.ingest.leftovers())
    assert room.announced() == [2, 4, 5, 3]
    assert [(one.source, one.counts.new, len(one.new)) for one in reports] == [
        ("b", 1, 1),
        ("b", 0, 0),
        ("b", 0, 0),
    ]
    assert room.names() == ["b"]


def test_a_new_name_that_only_failed(room: SourceRoom) -> None:
    """A name without a capture has no history; its failure now belongs to the renamed source."""
    with room.database.write() as tx:
        row = sources.ensure(tx, "b", watched=True)
        sources.note_failure(tx, row.id, NOW, "no answer")
    assert room.rename("a", "b").moved == Moved()
    with room.database.read() as tx:
        (status,) = sources.all_status(tx)
    assert (status.name, status.failure, status.snapshots) == ("b", "no answer", 2)
    assert status.watched


def test_held_and_rejected_captures_keep_their_state(room: SourceRoom) -> None:
    """A held one can be released like any other of a source with a history."""
    held, other = (
        room.give("b", (day, [number]), format="bibtex")[0].snapshot or 0
        for day, number in ((0, 6), (1, 7))
    )
    room.give("b", (3, [4]))
    room.review.reject(other)
    assert room.rename("a", "b").moved == Moved(captures=3, again=1)
    with room.database.read() as tx:
        states = {row.id: row.state for row in snapshots.listed(tx)}
    assert (states[held], states[other]) == (SnapshotState.HELD, SnapshotState.REJECTED)
    report = room.review.release(held, format="api-json")
    assert report.counts.new == 1, "its day is before the one that the source opened with"


def test_silently_released_papers_stay_silent(room: SourceRoom) -> None:
    """The operator's decision applies to the papers."""
    (held,) = room.give("b", (2, [8]), format="bibtex")
    room.review.release(held.snapshot or 0, silent=True, format="api-json")
    room.rename("a", "b")
    list(room.ingest.leftovers())
    assert room.announced() == [2]


def test_pruned_bytes_cannot_be_read_again(room: SourceRoom) -> None:
    """What they announced stays announced; what was only backfilled is forgotten."""
    room.give("b", (2, [3]), (3, [4]))
    with room.database.write() as tx:
        tx.exec_driver_sql(
            "DELETE FROM blobs WHERE sha256 IN (SELECT sha256 FROM snapshots WHERE id = 3)"
        )
    assert room.rename("a", "b").moved == Moved(captures=2, again=1, pruned=1)
    assert [one.held for one in room.ingest.leftovers()] == [None]
    room.give("b", (4, [3, 4]))
    assert room.announced() == [2, 4, 3]


def test_the_urls_of_both_names_are_kept(room: SourceRoom) -> None:
    """They are needed to fetch missed days, and to request pages conditionally."""
    with room.database.write() as tx:
        for name, urls in (("a", "xy"), ("b", "yz")):
            row = sources.ensure(tx, name)
            for url in urls:
                capture = replace(daily([], 1, 1), origin=url, etag=f"{name}{url}")
                sources.remember_validators(tx, row.id, capture)
        sources.note_answers(tx, sources.ensure(tx, "a").id, ["x", "y"], NOW)
    room.rename("a", "b")
    with room.database.read() as tx:
        found = {url: etag for url, (etag, _) in sources.validators_of(tx, "b").items()}
        assert found == {"x": "ax", "y": "by", "z": "bz"}
        assert sources.answers_of(tx, "b") == {"x": NOW, "y": NOW}


def test_impossible_renames_are_refused(room: SourceRoom) -> None:
    """The error says what, why and what to do, and nothing is changed."""
    room.give("never", (0, [9]), format="bibtex")
    for old, new, configured, said in (
        ("no", "b", (), "there is no source no; known sources: a, never"),
        ("a", "b", ("a",), "the source a is still in the configuration and would start over there"),
        ("a", "a", (), "the source is called a already"),
        ("a", " ", (), "a source cannot be renamed to"),
        ("a", "manual", (), "a source cannot be renamed to “manual”"),
        ("never", "a", (), "the first capture of never was never complete"),
    ):
        with pytest.raises(UsageError, match=said):
            room.rename(old, new, *configured)
    assert room.names() == ["a", "never"]


def test_a_rename_waits_for_an_ingest_of_either_name(room: SourceRoom) -> None:
    """Both locks are held during the rename."""
    for name in ("a", "b"):
        old, new = (room.names()[0], "b" if room.names()[0] == "a" else "a")
        waiting = threading.Thread(target=room.rename, args=(old, new))
        with room.database.alone(name):
            waiting.start()
            waiting.join(0.3)
            assert room.names() == [old]
        waiting.join()
        assert room.names() == [new]


def test_a_release_that_waited_for_a_rename(room: SourceRoom) -> None:
    """It releases the snapshot for the source that it belongs to by then."""
    held = room.give("b", (3, [8]), format="bibtex")[0].snapshot or 0
    room.give("b", (3, [4]))
    found: list[CaptureReport] = []
    releasing = threading.Thread(
        target=lambda: found.append(room.review.release(held, format="api-json"))
    )
    with room.database.alone("b"):
        releasing.start()
        releasing.join(0.3)
        with room.database.write() as tx:  # as a rename to another name does, under this lock
            tx.exec_driver_sql("UPDATE sources SET name = 'c' WHERE name = 'b'")
    releasing.join()
    assert [(one.source, one.held) for one in found] == [("c", None)]
    assert room.names() == ["a", "c"]


def test_leftovers_of_a_renamed_source_create_no_new_source(room: SourceRoom) -> None:
    """The next ingest settles them under the new name."""
    with room.database.write() as tx:
        snapshots.store(tx, 1, daily([Row(3)], 2, 77), opening=False)
    found = room.ingest.leftovers()
    assert list(room.ingest.captures("gone", (), existing=True)) == []
    room.rename("a", "b")
    assert room.names() == ["b"]
    assert [(one.source, one.counts.new) for one in found] == [("b", 1)]


DIES = """
import os, sys
from sqlalchemy import Engine, event
from newsletter.papers.source_rename import SourceRename
from newsletter.storage.database import Database

database, left = Database(f"sqlite:///{sys.argv[1]}"), int(sys.argv[2])

@event.listens_for(Engine, "before_cursor_execute")
def _(connection, cursor, statement, *others):
    global left
    left -= 1
    if left < 0:
        os._exit(9)

SourceRename(database, ()).rename("a", "b")
"""


def test_a_kill_at_any_statement_changes_everything_or_nothing(
    room: SourceRoom, tmp_path: Path
) -> None:
    """Running the same command again completes the rename."""
    room.give("b", (2, [3]), (3, [4]))
    room.database.close()
    copy, ended = tmp_path / "copy.db", []
    for statements in range(40):
        copy.write_bytes((tmp_path / "test.db").read_bytes())
        done = subprocess.run(
            [sys.executable, "-c", DIES, str(copy), str(statements)], check=False
        ).returncode
        ended.append(done)
        with Database(f"sqlite:///{copy}") as database:
            other = SourceRoom(database)
            assert other.names() == (["a", "b"] if done else ["b"])
            if done:
                other.rename("a", "b")
            list(other.ingest.leftovers())
            assert other.announced() == [2, 4, 3]
        if not done:
            break
    assert ended.count(9) >= 8
    assert ended[-1] == 0
