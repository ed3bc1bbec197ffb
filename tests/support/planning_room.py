"""A newsletter in this process, planned with a clock set by the test."""

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
"""A Friday, before any subscriber is due."""

DUE = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

HOUR = timedelta(hours=1)

A_DAY = timedelta(days=1)

RULES = Rules("UTC", time(7, 30), frozenset(), catch_up=timedelta(hours=6))

WITHDRAWN = "This paper has been withdrawn by the authors due to an error."


@functools.cache
def renderer() -> Renderer:
    """Returns a shared renderer of the bundled theme, because compiling it is slow."""
    return Renderer(ThemeSettings())


def capture(numbers: Sequence[int], day: date | None = DAY, **said: Any) -> bytes:
    """Returns a capture of the invented papers with these numbers, as the API lists them."""
    rows = []
    for number in numbers:
        one = paper(number)
        inner = {"id": one.arxiv_id, "title": one.title, "summary": one.abstract, **said}
        if day:
            inner["submittedOnDailyAt"] = f"{day}T00:00:00.000Z"
        rows.append({"paper": inner, "title": one.title})
    return json.dumps(rows).encode()


class PlanningRoom:
    """Adds papers and subscribers to one newsletter, plans, and reads the results."""

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
        """Returns the time that the test has set."""
        return self.now

    def papers(
        self, *numbers: int, day: date | None = DAY, source: str = "harbour", **said: Any
    ) -> None:
        """Announces these papers."""
        taken = Capture(capture(numbers, day, **said), f"{numbers}", self.now)
        ingest = Ingest(self.database, self.clock)
        (report,) = ingest.captures(source, [taken], announce_all=True)
        assert report.held is None

    @property
    def lifecycle(self) -> Lifecycle:
        """The use case that changes subscribers, with the current rules."""
        return Lifecycle(self.database, self.rules, self.clock)

    @property
    def subscriber_import(self) -> SubscriberImport:
        """The use case that imports files."""
        return SubscriberImport(self.database, self.rules, self.clock)

    def join(self, name: str, **preferences: Any) -> Subscriber:
        """Adds a subscriber."""
        return self.lifecycle.add(
            SubscriberRow(parse_address(f"{name}@example.org"), **preferences)
        )[0]

    def person(self, name: str) -> Subscriber:
        """Returns a subscriber's current record."""
        return self.lifecycle.find(parse_address(f"{name}@example.org"))

    @property
    def review(self) -> EditionReview:
        """The use case that reviews held editions."""
        return EditionReview(self.database)

    @property
    def due_times(self) -> DueTimes:
        """The use case that corrects due times, with the current rules."""
        return DueTimes(self.database, self.rules)

    @property
    def planning(self) -> Planning:
        """The use case that plans, with the current rules; notes what was rendered."""
        return Planning(self.database, self.builder, self.theme_settings, self.rules)

    def builder(self) -> EditionBuilder:
        """Returns a builder with the current theme."""
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
        """Returns a planner that calls `by` between its reads and its writes."""

        def builder() -> EditionBuilder:
            by()
            return self.builder()

        return Planning(self.database, builder, self.theme_settings, self.rules)

    def plan(self, now: datetime | None = None, **options: bool) -> PlanResult:
        """Plans, as in every run."""
        self.now = now or self.now
        self.due_times.reschedule(self.now)
        return self.planning.plan(self.now, **options)

    def got(self, name: str) -> list[list[int]]:
        """Returns the paper numbers of every edition planned for a subscriber, in order."""
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
        """Returns the number of deliveries by state."""
        with self.database.read() as tx:
            return deliveries.counts(tx)

    def mailed(self) -> tuple[int, int]:
        """Returns the number of subscribers with deliveries, and the number of deliveries."""
        ((persons, mails),) = self.rows(
            "SELECT count(DISTINCT subscriber_id), count(*) FROM deliveries"
        )
        return persons, mails

    def editions(self, state: EditionState | None = None) -> list[editions.EditionRow]:
        """Returns all editions, oldest first."""
        with self.database.read() as tx:
            return editions.listed(tx, state)

    def parts(self, number: int) -> list[Rendered]:
        """Returns the rendered parts of an edition."""
        with self.database.read() as tx:
            return list(editions.content(tx, number).parts)

    def crowd(
        self, many: int, cursor: int = 0, cadence: str = "daily", due_at: datetime = DUE
    ) -> None:
        """Adds `many` identical subscribers."""
        preferences = Preferences(cadence)
        names = [f"{number}@example.org" for number in range(self.crowded, self.crowded + many)]
        self.crowded += many
        with self.database.write() as tx:
            newcomers = [Newcomer(name, name, "example.org", preferences, due_at) for name in names]
            subscribers.add(tx, newcomers, cursor, self.now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query."""
        with self.database.read() as tx:
            return [tuple(row) for row in tx.exec_driver_sql(query).all()]

    def sql(self, statement: str) -> None:
        """Executes a statement directly in the database."""
        with self.database.write() as tx:
            tx.exec_driver_sql(statement)

    def history(self, *sizes: int) -> None:
        """Adds earlier editions with these numbers of papers."""
        with self.database.write() as tx:
            for size in sizes:
                before = [-(self.crowded + n) for n in range(1, size + 1)]
                self.crowded += size
                key = f"old {self.crowded}"
                row = editions.freeze(tx, key, before, "en", "default", [], self.now)
                editions.note_planned(tx, row.id, self.now)


def without_papers(theme: Path) -> None:
    """Replaces the theme's text template by one without papers."""
    (theme / "edition.txt.j2").write_text("Nothing but {{ unsubscribe }}\n")
