"""A source under another name: its history goes on, whatever was captured meanwhile."""

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


class Desk:
    """A test's hand on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database, lambda: NOW)
        self.review = SnapshotReview(database, lambda: NOW)
        self.serial = 0

    def give(
        self, source: str, *days: tuple[int, Collection[int]], **options: str
    ) -> list[CaptureReport]:
        """A source lists papers of days, one capture a day."""
        captures = []
        for day, numbers in days:
            self.serial += 1
            captures.append(daily([Row(number) for number in numbers], day, self.serial))
        return list(self.ingest.captures(source, captures, **options))  # type: ignore[arg-type]

    def rename(self, old: str, new: str, *configured: str) -> Renamed:
        """The operator's command."""
        return SourceRename(self.database, configured).rename(old, new)

    def announced(self) -> list[int]:
        """The papers that were announced, in log order."""
        with self.database.read() as tx:
            return numbers_of([entry.paper.title for entry in log.new_entries(tx)])

    def names(self) -> list[str]:
        """All sources."""
        with self.database.read() as tx:
            return list(sources.names(tx))


@pytest.fixture
def desk(database: Database) -> Desk:
    """Source `a` was opened on the first day."""
    desk = Desk(database)
    desk.give("a", (0, [1]), (1, [2]))
    assert desk.announced() == [2]
    return desk


def test_a_new_name_that_was_never_captured(desk: Desk) -> None:
    """The next capture is not a first one, and what was learnt stays learnt."""
    assert desk.rename("a", "b", "b") == Renamed("a", "b", True, False, Moved())
    assert desk.names() == ["b"]
    desk.give("b", (2, [1, 3]), (3, [4]))
    assert desk.announced() == [2, 3, 4]


def test_a_new_name_that_was_captured_already(desk: Desk) -> None:
    """Its captures are read again, as captures of a source with a history."""
    desk.give("b", (2, [1, 3]), (3, [4]))
    desk.give("b", (4, [5]))
    assert desk.announced() == [2, 4, 5]
    assert desk.rename("a", "b").moved == Moved(captures=3, again=3)
    assert desk.announced() == [2, 4, 5]
    reports = list(desk.ingest.leftovers())
    assert desk.announced() == [2, 4, 5, 3]
    assert [(one.source, one.counts.new, len(one.new)) for one in reports] == [
        ("b", 1, 1),
        ("b", 0, 0),
        ("b", 0, 0),
    ]
    assert desk.names() == ["b"]


def test_what_failed_under_the_new_name_is_all_there_is_of_it(desk: Desk) -> None:
    """A name without a capture is no history; its failure is that of the source now."""
    with desk.database.write() as tx:
        row = sources.ensure(tx, "b", watched=True)
        sources.failed(tx, row.id, NOW, "no answer")
    assert desk.rename("a", "b").moved == Moved()
    with desk.database.read() as tx:
        (status,) = sources.all_status(tx)
    assert (status.name, status.failure, status.snapshots) == ("b", "no answer", 2)
    assert status.watched


def test_held_and_rejected_captures_stay_what_they_are(desk: Desk) -> None:
    """A held one is released like any other of a source with a history."""
    held, other = (
        desk.give("b", (day, [number]), format="bibtex")[0].snapshot or 0
        for day, number in ((0, 6), (1, 7))
    )
    desk.give("b", (3, [4]))
    desk.review.reject(other)
    assert desk.rename("a", "b").moved == Moved(captures=3, again=1)
    with desk.database.read() as tx:
        states = {row.id: row.state for row in snapshots.listed(tx)}
    assert (states[held], states[other]) == (SnapshotState.HELD, SnapshotState.REJECTED)
    report = desk.review.release(held, format="api-json")
    assert report.counts.new == 1, "its day is before the one that the source opened with"


def test_what_was_silenced_stays_silent(desk: Desk) -> None:
    """The operator's decision is about the papers."""
    (held,) = desk.give("b", (2, [8]), format="bibtex")
    desk.review.release(held.snapshot or 0, silent=True, format="api-json")
    desk.rename("a", "b")
    list(desk.ingest.leftovers())
    assert desk.announced() == [2]


def test_pruned_bytes_cannot_be_read_again(desk: Desk) -> None:
    """What they announced stays announced; what they only taught is not known any more."""
    desk.give("b", (2, [3]), (3, [4]))
    with desk.database.write() as tx:
        tx.exec_driver_sql(
            "DELETE FROM blobs WHERE sha256 IN (SELECT sha256 FROM snapshots WHERE id = 3)"
        )
    assert desk.rename("a", "b").moved == Moved(captures=2, again=1, pruned=1)
    assert [one.held for one in desk.ingest.leftovers()] == [None]
    desk.give("b", (4, [3, 4]))
    assert desk.announced() == [2, 4, 3]


def test_addresses_are_those_of_both_names(desk: Desk) -> None:
    """So that days that neither has fetched are still owed, and pages are asked for politely."""
    with desk.database.write() as tx:
        for name, urls in (("a", "xy"), ("b", "yz")):
            row = sources.ensure(tx, name)
            for url in urls:
                capture = replace(daily([], 1, 1), origin=url, etag=f"{name}{url}")
                sources.remember_validators(tx, row.id, capture)
        sources.answered(tx, sources.ensure(tx, "a").id, ["x", "y"], NOW)
    desk.rename("a", "b")
    with desk.database.read() as tx:
        found = {url: etag for url, (etag, _) in sources.validators_of(tx, "b").items()}
        assert found == {"x": "ax", "y": "by", "z": "bz"}
        assert sources.answers_of(tx, "b") == {"x": NOW, "y": NOW}


def test_what_is_refused(desk: Desk) -> None:
    """What, why and what to do; and nothing has changed."""
    desk.give("never", (0, [9]), format="bibtex")
    for old, new, configured, said in (
        ("no", "b", (), "there is no source no; known sources: a, never"),
        ("a", "b", ("a",), "the source a is still in the configuration, where it would begin anew"),
        ("a", "a", (), "the source is called a already"),
        ("a", " ", (), "a source cannot be renamed to"),
        ("a", "manual", (), "a source cannot be renamed to “manual”"),
        ("never", "a", (), "the first capture of never was never complete"),
    ):
        with pytest.raises(UsageError, match=said):
            desk.rename(old, new, *configured)
    assert desk.names() == ["a", "never"]


def test_it_waits_for_an_ingest_of_either_name(desk: Desk) -> None:
    """Both locks are held while the names change."""
    for name in ("a", "b"):
        old, new = (desk.names()[0], "b" if desk.names()[0] == "a" else "a")
        waiting = threading.Thread(target=desk.rename, args=(old, new))
        with desk.database.alone(name):
            waiting.start()
            waiting.join(0.3)
            assert desk.names() == [old]
        waiting.join()
        assert desk.names() == [new]


def test_a_release_that_waited_for_a_rename(desk: Desk) -> None:
    """It is a release of the source that the snapshot belongs to then."""
    held = desk.give("b", (3, [8]), format="bibtex")[0].snapshot or 0
    desk.give("b", (3, [4]))
    found: list[CaptureReport] = []
    releasing = threading.Thread(
        target=lambda: found.append(desk.review.release(held, format="api-json"))
    )
    with desk.database.alone("b"):
        releasing.start()
        releasing.join(0.3)
        with desk.database.write() as tx:  # as a rename to another name does, under this lock
            tx.exec_driver_sql("UPDATE sources SET name = 'c' WHERE name = 'b'")
    releasing.join()
    assert [(one.source, one.held) for one in found] == [("c", None)]
    assert desk.names() == ["a", "c"]


def test_leftovers_of_a_source_that_was_renamed_meanwhile_make_no_new_source(desk: Desk) -> None:
    """They are settled under the new name, by the next ingest."""
    with desk.database.write() as tx:
        snapshots.store(tx, 1, daily([Row(3)], 2, 77), opening=False)
    found = desk.ingest.leftovers()
    assert list(desk.ingest.captures("gone", (), existing=True)) == []
    desk.rename("a", "b")
    assert desk.names() == ["b"]
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


def test_a_kill_at_any_statement_changes_nothing_or_all(desk: Desk, tmp_path: Path) -> None:
    """And the same command does the rest."""
    desk.give("b", (2, [3]), (3, [4]))
    desk.database.close()
    copy, ended = tmp_path / "copy.db", []
    for statements in range(40):
        copy.write_bytes((tmp_path / "test.db").read_bytes())
        done = subprocess.run(
            [sys.executable, "-c", DIES, str(copy), str(statements)], check=False
        ).returncode
        ended.append(done)
        with Database(f"sqlite:///{copy}") as database:
            other = Desk(database)
            assert other.names() == (["a", "b"] if done else ["b"])
            if done:
                other.rename("a", "b")
            list(other.ingest.leftovers())
            assert other.announced() == [2, 4, 3]
        if not done:
            break
    assert ended.count(9) >= 8
    assert ended[-1] == 0
