"""Promises 1 and 2 against a model that is a list.

Captures arrive in any subset, order and repetition, with changed titles and ids
gained later, from several sources; the process dies between transactions. Whatever
happens, the announced papers are those the model has, each once, in its order.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from newsletter.models import Capture, SnapshotState
from newsletter.papers.ingest import Ingest
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from tests.support.databases import new_database
from tests.support.soak import SOAK

NOW = datetime(2026, 11, 21, tzinfo=UTC)

# Few works and few titles, so that they collide often: titles are shared by
# works, differ by case and TeX only, or change.
TITLES = (
    "Lanterns",
    "lanterns",
    "Harbour Lanterns",
    "Qwen2",
    "Qwen2.5",
    r"Caf\'e Maps",
    "Café Maps",
)
SPELLINGS = {"lanterns": "Lanterns", r"Caf\'e Maps": "Café Maps"}
IDS = tuple(f"2611.{number:05}" for number in range(6))


@dataclass(frozen=True)
class Record:
    """A row of a capture: an id or none, and a title."""

    id: str | None
    title: str

    def row(self) -> dict[str, object]:
        """Returns the row as the API writes it."""
        paper: dict[str, object] = {"title": self.title, "summary": "Of light."}
        if self.id:
            paper["id"] = self.id
        return {"title": self.title, "paper": paper}


@dataclass
class Work:
    """A paper of the model."""

    title: str
    id: str | None
    titles: set[str] = field(default_factory=set)


class Model:
    """A list of papers: promise 2 in its simplest form."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    def see(self, record: Record) -> None:
        """Adds a record: the work with its id, else the one with its title, else a new one."""
        title = SPELLINGS.get(record.title, record.title)
        work = next((w for w in self.works if record.id and w.id == record.id), None)
        if work is None:
            holder = next((w for w in self.works if title in w.titles), None)
            if holder and (record.id is None or holder.id is None):
                work = holder
                work.id = work.id or record.id
        if work is None:
            work = Work(record.title, record.id)
            self.works.append(work)
        if not any(title in w.titles for w in self.works):
            work.titles.add(title)


records = st.builds(Record, st.sampled_from([None, *IDS]), st.sampled_from(TITLES))
rows = st.lists(records, min_size=1, max_size=8)
names = st.sampled_from(["a", "b"])


class Papers(RuleBasedStateMachine):
    """Gives the same captures to the program and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "test.db"
        self.url = f"sqlite:///{path}"
        self.database = new_database(path)
        self.model = Model()
        self.given: list[list[Record]] = []
        self.stored: dict[str, list[list[Record]]] = {"a": [], "b": []}
        self.serial = 0

    def teardown(self) -> None:
        """Removes everything."""
        self.database.close()
        self.folder.cleanup()

    def _capture(self, capture: Sequence[Record]) -> Capture:
        # Different bytes each time, so that a repeated list is recognised by its papers.
        self.serial += 1
        data = [record.row() for record in capture] + [{"serial": self.serial}]
        return Capture(json.dumps(data).encode(), f"{self.serial}.json", NOW)

    def _ingest(self, source: str, captures: list[list[Record]], upto: int | None = None) -> None:
        """Ingests the captures; the process dies after `upto` reports if that is set."""
        left = self.stored[source]
        reports = Ingest(self.database, lambda: NOW).captures(
            source, (self._capture(capture) for capture in captures), announce_all=True
        )
        settled = 0
        for report in reports:
            assert report.held is None
            settled += 1
            if settled == upto:
                break
        del reports
        seen = [*left, *captures][:settled]
        for capture in seen:
            for record in capture:
                self.model.see(record)
        self.given += seen
        self.stored[source] = left[settled:]

    @rule(source=names, capture=rows)
    def arrives(self, source: str, capture: list[Record]) -> None:
        """A capture arrives."""
        self._ingest(source, [capture])

    @precondition(lambda self: self.given)
    @rule(source=names, data=st.data())
    def arrives_again(self, source: str, data: st.DataObject) -> None:
        """An earlier capture arrives again, in another order."""
        capture = data.draw(st.sampled_from(self.given))
        self._ingest(source, [data.draw(st.permutations(capture))])

    @rule(source=names, captures=st.lists(rows, min_size=2, max_size=4), upto=st.integers(1, 3))
    def dies_between_captures(self, source: str, captures: list[list[Record]], upto: int) -> None:
        """The process dies after some of several captures were settled; another one starts."""
        self._ingest(source, captures, upto)
        self._restart()

    @rule(source=names, capture=rows)
    def dies_after_storing(self, source: str, capture: list[Record]) -> None:
        """The process dies when the bytes are stored, and nothing else was done."""
        with self.database.write() as tx:
            row = sources.ensure(tx, source)
            snapshots.store(tx, row.id, self._capture(capture), opening=False)
        self.stored[source].append(capture)
        self._restart()

    def _restart(self) -> None:
        self.database.close()
        self.database = Database(self.url)

    @invariant()
    def announces_what_the_model_has(self) -> None:
        """The log has the same papers, each once, in the order in which they were first seen."""
        with self.database.read() as tx:
            announced = [entry.paper.title for entry in log.new_entries(tx)]
        assert announced == [work.title for work in self.model.works]

    @invariant()
    def positions_have_no_gap(self) -> None:
        """Entries are numbered from 1 to the head."""
        with self.database.read() as tx:
            positions = tx.exec_driver_sql("SELECT position FROM entries ORDER BY 1").scalars()
            assert list(positions) == list(range(1, log.head(tx) + 1))

    @invariant()
    def only_interrupted_captures_wait(self) -> None:
        """Every stored capture is settled, or will be by the next ingest of its source."""
        with self.database.read() as tx:
            waiting = snapshots.listed(tx, SnapshotState.CAPTURED)
        assert len(waiting) == sum(map(len, self.stored.values()))


TestPapers = Papers.TestCase
TestPapers.settings = settings(
    max_examples=1_500 if SOAK else 20, stateful_step_count=30, deadline=None
)


def test_the_model_can_be_broken(tmp_path: Path) -> None:
    """The machine can fail: it notices a database that lost a key."""
    machine = Papers()
    machine._ingest("a", [[Record(IDS[0], "Lanterns")]])
    with machine.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM paper_keys")
    machine._ingest("a", [[Record(IDS[0], "Lanterns")]])
    with machine.database.read() as tx:
        announced = len(log.new_entries(tx))
    machine.teardown()
    assert announced == 2 > len(machine.model.works)
