"""Runs planning for the whole installation: before a run, or whenever a subscriber is due.

Needs the names of the configured sources to tell "nothing new" from "a source fails".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from newsletter.editions.build import Edition, EditionBuilder
from newsletter.editions.render import ThemeSettings
from newsletter.planning.due_times import DueTimes
from newsletter.planning.plan import Planning, PlanResult, next_entries
from newsletter.storage import editions, sources, subscribers
from newsletter.storage.database import Database


class Planner:
    """Runs planning.

    Args:
        planning: plans editions and deliveries.
        due_times: corrects due times first.
        make_builder: returns the edition builder; called when the first edition is needed.
        theme_settings: the settings of the theme.
        database: the newsletter's database.
        sources: the names of the configured sources.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self,
        planning: Planning,
        due_times: DueTimes,
        make_builder: Callable[[], EditionBuilder],
        theme_settings: ThemeSettings,
        database: Database,
        sources: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._planning = planning
        self._due_times = due_times
        self._make_builder = make_builder
        self._theme_settings = theme_settings
        self._database = database
        self._sources = frozenset(sources)
        self._clock = clock

    def plan(self, *, due_now: bool) -> PlanResult:
        """Corrects due times, then plans for every subscriber who is due, or for all active ones.

        Safe to interrupt at any point.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be rendered.
        """
        at = self._clock()
        self._due_times.reschedule(at)
        return self._planning.plan(at, all_active=due_now, failing=self._is_source_failing())

    def plan_due(self, at: datetime) -> PlanResult:
        """Plans for the subscribers who are due; fast when there are none.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be rendered.
        """
        first = self.next_due()
        if first is None or first > at:
            return PlanResult()
        return self._planning.plan(at, failing=self._is_source_failing())

    def next_due(self) -> datetime | None:
        """Returns the next time at which a subscriber is due, or `None`."""
        with self._database.read() as tx:
            return subscribers.first_due(tx)

    def next_edition(self, cursor: int | None = None) -> Edition | None:
        """Returns the next edition for a subscriber with this cursor, or `None` if nothing is new.

        Args:
            cursor: by default that of the daily subscriber without topics who is furthest
                behind, or else that of a newcomer.

        Raises:
            RenderError: the edition cannot be rendered.
        """
        entries = next_entries(self._database, self._clock(), cursor)
        return self._make_builder().build(entries) if entries else None

    def keep(self, edition: Edition) -> None:
        """Stores an edition as frozen without planning it for any subscriber."""
        positions = [entry.position for entry in edition.entries]
        with self._database.write() as tx:
            editions.freeze(
                tx,
                edition.key,
                positions,
                self._theme_settings.language,
                self._theme_settings.theme,
                edition.parts,
                self._clock(),
            )

    def _is_source_failing(self) -> bool:
        with self._database.read() as tx:
            return any(
                one.failing_since and one.name in self._sources for one in sources.all_status(tx)
            )
