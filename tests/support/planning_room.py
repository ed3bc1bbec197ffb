"""A newsletter in this process, planned by a clock that the test sets."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from newsletter.editions.build import Edition, EditionBuilder
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.errors import EditionFaulty
from newsletter.models import Capture, DeliveryState, EditionState, Entry, Rendered
from newsletter.papers.ingest import Ingest
from newsletter.planning.due_times import DueTimes
from newsletter.planning.edition_review import EditionReview
from newsletter.planning.plan import Planning, PlanResult
from newsletter.planning.rules import Rules
from newsletter.storage import deliveries, editions, subscribers
from newsletter.storage.database import Database
from newsletter.storage.subscribers import Newcomer, Preferences, Subscriber
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.lifecycle import Lifecycle
from newsletter.subscribers.list_import import SubscriberImport
from tests.support.builders import DAY, paper

MORNING = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
"""A Friday, before anybody is due."""

DUE = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

HOUR = timedelta(hours=1)

A_DAY = timedelta(days=1)

RULES = Rules("UTC", time(7, 30), frozenset(), catch_up=timedelta(hours=6))

WITHDRAWN = "This paper has been withdrawn by the authors due to an error."


@functools.cache
def renderer() -> Renderer:
    """The bundled theme: compiling it is the slow part."""
    return Renderer(ThemeSettings())


def capture(numbers: Sequence[int], day: date | None = DAY, **said: Any) -> bytes:
    """The invented papers with these numbers, as the API lists them for a day."""
    rows = []
    for number in numbers:
        one = paper(number)
        inner = {"id": one.arxiv_id, "title": one.title, "summary": one.abstract, **said}
        if day:
            inner["submittedOnDailyAt"] = f"{day}T00:00:00.000Z"
        rows.append({"paper": inner, "title": one.title})
    return json.dumps(rows).encode()


class PlanningRoom:
    """A test's hand on one newsletter: papers and people in, plans out."""

    def __init__(
        self, database: Database, rules: Rules = RULES, templates: Path | None = None
    ) -> None:
        self.database = database
        self.now = MORNING
        self.theme_settings = ThemeSettings()
        self.crowded = 0
        self.made: list[tuple[int, ...]] = []
        self.rules = rules
        self.templates = templates

    def clock(self) -> datetime:
        """The time is what the test says."""
        return self.now

    def papers(
        self, *numbers: int, day: date | None = DAY, source: str = "harbour", **said: Any
    ) -> None:
        """These papers are announced."""
        taken = Capture(capture(numbers, day, **said), f"{numbers}", self.now)
        ingest = Ingest(self.database, self.clock)
        (report,) = ingest.captures(source, [taken], announce_all=True)
        assert report.held is None

    @property
    def lifecycle(self) -> Lifecycle:
        """Changes who gets editions, by the rules of now."""
        return Lifecycle(self.database, self.rules, self.clock)

    @property
    def subscriber_import(self) -> SubscriberImport:
        """Adds the subscribers of files."""
        return SubscriberImport(self.database, self.rules, self.clock)

    def join(self, name: str, **preferences: Any) -> Subscriber:
        """Somebody subscribes."""
        return self.lifecycle.add(
            SubscriberRow(parse_address(f"{name}@example.org"), **preferences)
        )[0]

    def person(self, name: str) -> Subscriber:
        """Somebody as they are now."""
        return self.lifecycle.find(parse_address(f"{name}@example.org"))

    @property
    def review(self) -> EditionReview:
        """Decides about held editions."""
        return EditionReview(self.database)

    @property
    def due_times(self) -> DueTimes:
        """Corrects due times by the rules of now."""
        return DueTimes(self.database, self.rules)

    @property
    def planning(self) -> Planning:
        """Plans by the rules of now, and notes what was rendered."""
        return Planning(self.database, self.builder, self.theme_settings, self.rules)

    def builder(self) -> EditionBuilder:
        """Makes editions in the theme of now."""
        made = self.made

        class Noting(EditionBuilder):
            def build_unchecked(
                self, entries: Sequence[Entry]
            ) -> tuple[Edition, EditionFaulty | None]:
                made.append(tuple(entry.position for entry in entries))
                return super().build_unchecked(entries)

        theme = Renderer(self.theme_settings, self.templates) if self.templates else renderer()
        return Noting(theme, self.theme_settings, excerpts=12)

    def interrupted(self, by: Callable[[], object]) -> Planning:
        """A planner to whom something happens between what it reads and what it writes."""

        def builder() -> EditionBuilder:
            by()
            return self.builder()

        return Planning(self.database, builder, self.theme_settings, self.rules)

    def plan(self, now: datetime | None = None, **options: bool) -> PlanResult:
        """Plans, as every run does it."""
        self.now = now or self.now
        self.due_times.reschedule(self.now)
        return self.planning.plan(self.now, **options)

    def got(self, name: str) -> list[list[int]]:
        """The numbers of the papers of every edition that is planned for somebody, in order."""
        with self.database.read() as tx:
            rows = tx.exec_driver_sql(
                "SELECT positions FROM editions JOIN deliveries ON editions.id = edition_id "
                "WHERE part = 1 AND subscriber_id = ? ORDER BY deliveries.id",
                (self.person(name).id,),
            ).scalars()
            numbers = self._numbers()
            return [[numbers[position] for position in json.loads(row)] for row in rows]

    def _numbers(self) -> dict[int, int]:
        with self.database.read() as tx:
            rows = tx.exec_driver_sql(
                "SELECT position, json_extract(record, '$.arxiv_id') FROM entries "
                "JOIN texts ON texts.paper_id = entries.paper_id AND texts.version = 1"
            ).all()
        return {position: int(arxiv_id[5:]) for position, arxiv_id in rows}

    def states(self) -> dict[DeliveryState, int]:
        """How many mails are in each state."""
        with self.database.read() as tx:
            return deliveries.counts(tx)

    def mailed(self) -> tuple[int, int]:
        """How many people have mail, and how many mails there are."""
        ((persons, mails),) = self.rows(
            "SELECT count(DISTINCT subscriber_id), count(*) FROM deliveries"
        )
        return persons, mails

    def editions(self, state: EditionState | None = None) -> list[editions.EditionRow]:
        """All editions, oldest first."""
        with self.database.read() as tx:
            return editions.listed(tx, state)

    def parts(self, number: int) -> list[Rendered]:
        """What was made of an edition."""
        with self.database.read() as tx:
            return list(editions.content(tx, number).parts)

    def crowd(
        self, many: int, cursor: int = 0, cadence: str = "daily", due_at: datetime = DUE
    ) -> None:
        """So many people more, all alike."""
        preferences = Preferences(cadence)
        names = [f"{number}@example.org" for number in range(self.crowded, self.crowded + many)]
        self.crowded += many
        with self.database.write() as tx:
            newcomers = [Newcomer(name, name, "example.org", preferences, due_at) for name in names]
            subscribers.add(tx, newcomers, cursor, self.now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self.database.read() as tx:
            return [tuple(row) for row in tx.exec_driver_sql(query).all()]

    def sql(self, statement: str) -> None:
        """Changes the database behind the program's back."""
        with self.database.write() as tx:
            tx.exec_driver_sql(statement)

    def history(self, *sizes: int) -> None:
        """Earlier editions of so many papers."""
        with self.database.write() as tx:
            for size in sizes:
                before = [-(self.crowded + n) for n in range(1, size + 1)]
                self.crowded += size
                key = f"old {self.crowded}"
                row = editions.freeze(tx, key, before, "en", "default", [], self.now)
                editions.note_planned(tx, row.id, self.now)


def without_papers(theme: Path) -> None:
    """A text that has no papers in it."""
    (theme / "edition.txt.j2").write_text("Nothing but {{ unsubscribe }}\n")
