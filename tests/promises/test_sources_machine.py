"""Several sources against a small model: which papers are announced, each of them once.

Sources are opened, list papers, report revisions and withdrawals, and list again; the operator
releases, loudly or silently, rejects and renames; all of it in any order.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from newsletter.models import Capture, SnapshotState
from newsletter.papers.ingest import Ingest
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.papers.source_rename import SourceRename
from newsletter.storage import snapshots
from newsletter.storage.database import Database
from tests.support import announcements
from tests.support.announcements import Builder, Row, numbers_of
from tests.support.databases import new_database
from tests.support.soak import SOAK

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""In memory if possible, because no machine dies here."""

numbers = st.integers(0, 5)
"""Few papers, so that every source has all of them."""
mentions = st.builds(Row, numbers, st.sampled_from(["new", "new", "new", "replace", "withdrawn"]))
lists = st.lists(mentions, min_size=1, max_size=4, unique_by=lambda row: row.number)


@dataclass
class Listing:
    """A capture of the model: its rows, and the day it is for."""

    rows: Sequence[Row]
    day: int
    opening: bool = False


@dataclass
class ModelSource:
    """A source of the model."""

    listed: set[int] = field(default_factory=set)
    opened: bool = False
    opening_day: int | None = None
    read: dict[int, Listing] = field(default_factory=dict)
    again: dict[int, Listing] = field(default_factory=dict)
    held: dict[int, Listing] = field(default_factory=dict)


@dataclass
class Model:
    """A paper is announced when a source lists it for the first time, unless it was before.

    Except papers on the older days of a source's first capture, and silently released ones.
    """

    announced: list[int] = field(default_factory=list)
    silenced: set[int] = field(default_factory=set)

    def see(self, source: ModelSource, listing: Listing, *, aloud: bool) -> None:
        """A source lists papers, announced if `aloud`, otherwise backfilled."""
        for row in listing.rows:
            if row.kind == "new" and row.number not in source.listed:
                source.listed.add(row.number)
                if aloud and row.number not in {*self.announced, *self.silenced}:
                    self.announced.append(row.number)

    def release_silently(self, listing: Listing) -> None:
        """The operator decides that none of these papers is ever announced."""
        self.silenced |= {row.number for row in listing.rows} - set(self.announced)


class Sources(RuleBasedStateMachine):
    """Gives the same captures to the program and the model."""

    build: Builder

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.database = new_database(Path(self.folder.name) / "test.db")
        self.ingest = Ingest(self.database, lambda: NOW)
        self.review = SnapshotReview(self.database, lambda: NOW)
        self.model = Model()
        self.known: dict[str, ModelSource] = {}
        self.serials = itertools.count(1)
        self.today = 0

    def teardown(self) -> None:
        """Removes everything."""
        self.database.close()
        self.folder.cleanup()

    @initialize(build=st.sampled_from([announcements.arxiv, announcements.daily]))
    def begins(self, build: Builder) -> None:
        """Chooses the format of all sources."""
        self.build = build

    def _fitting(self, rows: Sequence[Row]) -> list[Row]:
        """Returns the rows that the format can express: Daily Papers reports no revisions."""
        if self.build is announcements.arxiv:
            return list(rows)
        return [Row(row.number, "new" if row.kind == "replace" else row.kind) for row in rows]

    def _captures(
        self,
        source: str,
        several: Sequence[Sequence[Row]],
        *,
        format: str | None = None,
        **options: bool,
    ) -> dict[int, Listing]:
        """Ingests captures of one day each. Returns them by snapshot."""
        found: list[Capture] = []
        days: dict[str, Listing] = {}
        for rows in several:
            self.today += 1
            fitting = self._fitting(rows)
            found.append(self.build(fitting, self.today, next(self.serials)))
            days[found[-1].origin] = Listing(fitting, self.today)
        reports = self.ingest.captures(source, found, format=format, **options)
        given = {report.snapshot or 0: days.get(report.origin) for report in reports}
        return {number: listing for number, listing in given.items() if listing}

    def _read_again(self, known: ModelSource) -> None:
        """Applies the captures of the other name to the model as those of an opened source."""
        for _, listing in sorted(known.again.items()):
            self.model.see(known, listing, aloud=True)
        known.read |= known.again
        known.again = {}

    @rule(source=st.sampled_from(NAMES), several=st.lists(lists, min_size=1, max_size=3))
    def is_captured(self, source: str, several: list[list[Row]]) -> None:
        """A source is captured for the first time, or again."""
        known = self.known.setdefault(source, ModelSource())
        self._read_again(known)
        given = self._captures(source, several)
        latest = max(listing.day for listing in given.values())
        if not known.opened:
            known.opening_day = latest
        for number, listing in given.items():
            listing.opening = not known.opened
            self.model.see(known, listing, aloud=known.opened or listing.day == latest)
            known.read[number] = listing
        known.opened = True

    @rule(source=st.sampled_from(NAMES), rows=lists)
    def replays(self, source: str, rows: list[Row]) -> None:
        """All papers of the capture are announced, even if it is the source's first."""
        known = self.known.setdefault(source, ModelSource())
        self._read_again(known)
        for number, listing in self._captures(source, [rows], announce_all=True).items():
            self.model.see(known, listing, aloud=True)
            known.read[number] = listing

    @rule(source=st.sampled_from(NAMES), rows=lists)
    def looks_wrong(self, source: str, rows: list[Row]) -> None:
        """A capture cannot be read as the format asked for: it is held, and lists nothing."""
        known = self.known.setdefault(source, ModelSource())
        self._read_again(known)
        for number, listing in self._captures(source, [rows], format="bibtex").items():
            listing.opening = not known.opened
            known.held[number] = listing

    def _held(self) -> Iterator[tuple[ModelSource, int]]:
        for known in self.known.values():
            yield from ((known, number) for number in known.held)

    @precondition(lambda self: any(self._held()))
    @rule(data=st.data(), silent=st.booleans())
    def releases(self, data: st.DataObject, *, silent: bool) -> None:
        """The operator releases a held capture, perhaps long after it was captured."""
        known, number = data.draw(st.sampled_from(list(self._held())))
        listing = known.held.pop(number)
        name = "arxiv-feed" if self.build is announcements.arxiv else "api-json"
        report = self.review.release(number, silent=silent, format=name)
        assert report.held is None
        if silent:
            self.model.release_silently(listing)
        due = not listing.opening or known.opening_day is None or listing.day >= known.opening_day
        self.model.see(known, listing, aloud=due and not silent)
        known.read[number] = listing
        known.opened = True

    @precondition(lambda self: any(self._held()))
    @rule(data=st.data())
    def rejects(self, data: st.DataObject) -> None:
        """The operator rejects a held capture, as if it never came."""
        known, number = data.draw(st.sampled_from(list(self._held())))
        del known.held[number]
        self.review.reject(number)

    @precondition(lambda self: any(known.opened for known in self.known.values()))
    @rule(data=st.data(), new=st.sampled_from(NAMES))
    def is_renamed(self, data: st.DataObject, new: str) -> None:
        """A source gets another name, which may have been captured already."""
        opened = [name for name, known in self.known.items() if known.opened and name != new]
        if not opened:
            return
        old = data.draw(st.sampled_from(sorted(opened)))
        SourceRename(self.database, ()).rename(old, new)
        known, other = self.known.pop(old), self.known.get(new, ModelSource())
        known.again |= other.again | other.read
        for number, listing in other.held.items():
            known.held[number] = Listing(listing.rows, listing.day)
        self.known[new] = known

    @invariant()
    def announces_what_the_model_does(self) -> None:
        """The same papers, each once."""
        assert announced(self.database) == self.model.announced

    @invariant()
    def only_captures_of_the_model_wait(self) -> None:
        """Captures that look wrong are held; those of a former name are to be read again."""
        with self.database.read() as tx:
            held = {row.id for row in snapshots.listed(tx, SnapshotState.HELD)}
            again = {row.id for row in snapshots.listed(tx, SnapshotState.CAPTURED)}
        assert held == {number for _, number in self._held()}
        assert again == {number for known in self.known.values() for number in known.again}


def announced(database: Database) -> list[int]:
    """Returns the numbers of all announced papers, withdrawn or not, in log order."""
    with database.read() as tx:
        titles = tx.exec_driver_sql(
            "SELECT json_extract(record, '$.title') FROM entries "
            "JOIN texts USING (paper_id, version) WHERE kind = 'new' ORDER BY position"
        ).scalars()
        return numbers_of(list(titles))


TestSources = Sources.TestCase
TestSources.settings = settings(
    max_examples=1_000 if SOAK else 28, stateful_step_count=25, deadline=None
)


# --- order of sources

FORMATS: Mapping[str, Builder] = {
    "arxiv": announcements.arxiv,
    "daily": announcements.daily,
    "text": announcements.text,
}
steps = st.lists(st.lists(lists, min_size=1, max_size=2), min_size=1, max_size=3)
"""The captures of a source by ingest; the first ingest opens it."""
OLD, LATER = Row(1), Row(2)


def _read(order: Sequence[str], given: Mapping[str, Sequence[Sequence[Sequence[Row]]]]) -> set[int]:
    """Returns the papers announced if the sources are read in this order, each in its own."""
    with (
        tempfile.TemporaryDirectory(dir=FOLDER) as folder,
        new_database(Path(folder) / "test.db") as database,
    ):
        ingest = Ingest(database, lambda: NOW)
        left = {name: iter(enumerate(ingests)) for name, ingests in given.items()}
        for name in order:
            number, several = next(left[name])
            captures = [
                FORMATS[name](_said(name, rows), 2 * number + n, 2 * number + n)
                for n, rows in enumerate(several)
            ]
            for report in ingest.captures(name, captures):
                assert report.held is None
        found = announced(database)
    assert len(found) == len(set(found))
    return set(found)


def _said(name: str, rows: Sequence[Row]) -> list[Row]:
    """Returns the rows that the source can express: only arXiv reports revisions."""
    if name == "arxiv":
        return list(rows)
    return [Row(row.number) for row in rows]


@settings(max_examples=500 if SOAK else 15, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(FORMATS, steps)), st.data())
def test_the_order_in_which_sources_are_read_changes_nothing(
    given: dict[str, list[list[list[Row]]]], data: st.DataObject
) -> None:
    """The same papers are announced, whichever source is read first."""
    turns = [name for name, ingests in given.items() for _ in ingests]
    other = data.draw(st.permutations(turns))
    assert _read(turns, given) == _read(other, given)


@pytest.mark.parametrize(
    "order", sorted(set(itertools.permutations(["arxiv"] * 2 + ["daily"] * 2)))
)
def test_a_paper_backfilled_by_one_source_is_announced_by_another(order: tuple[str, ...]) -> None:
    """An old paper that arXiv revised, and that was backfilled, is later listed by Daily Papers."""
    given = {
        "arxiv": [[[OLD], [Row(3)]], [[Row(4, "replace"), Row(5, "withdrawn")]]],
        "daily": [[[LATER]], [[OLD, Row(4), Row(5)]]],
    }
    assert _read(order, given) == {1, 2, 3, 4, 5}


def test_the_model_can_be_broken() -> None:
    """The machine can fail: it notices a database that lost what a source has listed."""
    machine = Sources()
    machine.begins(announcements.daily)
    machine.is_captured("a", [[OLD], [LATER]])
    machine.announces_what_the_model_does()
    with machine.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM sightings")
    machine.is_captured("a", [[OLD]])
    with pytest.raises(AssertionError):
        machine.announces_what_the_model_does()
    machine.teardown()
