"""Log → editions and deliveries: who is due gets what is new to them, once.

    freeze   the edition is made, looked at and kept      one transaction
    plan     deliveries, cursors and due times together   one transaction per chunk of people

A held edition has moved nobody. A crash between two chunks leaves the others due; what is
planned is guarded by the cursor it started from, so a second planner finds nobody left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from newsletter.editions.build import EditionBuilder
from newsletter.editions.render import ThemeSettings
from newsletter.models import EditionState, Entry
from newsletter.planning.cadence import DueAction, due_action
from newsletter.planning.freezing import EditionFreezer
from newsletter.planning.rules import Rules, latest_day, refuse_old_clock
from newsletter.planning.view import View, holding, view
from newsletter.storage import due, editions, installation, log, subscribers
from newsletter.storage.database import Database
from newsletter.storage.due import Group, NextState
from newsletter.storage.editions import EditionRow

CHUNK_PAUSE = 0.002
"""Seconds between two chunks: whoever waits to write, such as to unsubscribe, comes in."""
_LAST = 2**63 - 1


@dataclass(slots=True)
class PlanResult:
    """What a planning did.

    Attributes:
        people: to whom an edition was planned.
        editions: their keys.
        held: editions that wait for the operator, made now or before.
        open: people for whom today's date stays open, because a source fails.
    """

    people: int = 0
    editions: list[str] = field(default_factory=list)
    held: list[EditionRow] = field(default_factory=list)
    open: int = 0


@dataclass(frozen=True, slots=True)
class _Move:
    """A group, where it is afterwards, and whether it gets an edition."""

    group: Group
    next_state: NextState
    sends: bool


class Planning:
    """Plans editions for who is due.

    Args:
        database: where it is.
        editor: makes editions; called when the first is needed.
        look: settings that shape an edition.
        rules: when people are due.
        domain: of the Message-IDs; `None` to follow the sender.
    """

    def __init__(
        self,
        database: Database,
        builder: Callable[[], EditionBuilder],
        theme_settings: ThemeSettings,
        rules: Rules,
        domain: str | None = None,
    ) -> None:
        self._database = database
        self._freezer = EditionFreezer(database, builder, theme_settings, domain)
        self._rules = rules

    def plan(self, now: datetime, *, everybody: bool = False, failing: bool = False) -> PlanResult:
        """Plans for who is due now, or for everybody active, whose due times then stay.

        Args:
            failing: whether a source fails, so that nothing new may only mean not yet.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be made.
        """
        planned = PlanResult()
        with self._database.read() as tx:
            refuse_old_clock(installation.get(tx), now)
            groups = due.everybody(tx) if everybody else due.due(tx, now)
            seen = view(tx, now, failing=failing)
        if groups:
            with self._database.write() as tx:
                installation.note_instant(tx, now)
        by_cursor = sorted(groups, key=lambda group: group.cursor)
        for cursor, alike in groupby(by_cursor, key=lambda group: group.cursor):
            self._serve(cursor, list(alike), seen, planned)
        return planned

    def welcome(self, person: int, cursor: int, now: datetime) -> bool:
        """Plans for somebody who has just come what is new to them; whether there was anything.

        Their next due time stays. What is held goes to them later, like to everybody.

        Raises:
            RenderError: no edition can be made.
        """
        with self._database.read() as tx:
            seen = view(tx, now, failing=False)
            entries = log.new_entries(tx, after=cursor, up_to=seen.head)
        if not entries or holding(seen.held, {entry.position for entry in entries}):
            return False
        edition = self._freezer.frozen(entries, seen)
        if edition.state is EditionState.HELD:
            return False
        with self._database.write() as tx:
            parts = len(editions.content(tx, edition.id).parts)
            whom, next_state = Group(cursor), NextState(seen.head)
            span = (person - 1, person)
            moved = due.plan(tx, whom, span, next_state, now, edition=edition.id, parts=parts)
            if moved:
                editions.note_planned(tx, edition.id, now)
        return bool(moved)

    def _serve(self, cursor: int, groups: list[Group], view: View, planned: PlanResult) -> None:
        """Plans for everybody who has this cursor."""
        with self._database.read() as tx:
            entries = log.new_entries(tx, after=cursor, up_to=view.head)
        if freed := view.freed(entries):
            # Who waited for it gets it as it was made; what came since is for the next due time.
            waited = [one for one in groups if _was_due(one, freed.decided_at)]
            groups = [one for one in groups if one not in waited]
            head = max(freed.positions)
            first = [entry for entry in entries if entry.position <= head]
            self._decide(cursor, waited, first, replace(view, head=head), planned, freed)
        self._decide(cursor, groups, entries, view, planned)

    def _decide(
        self,
        cursor: int,
        groups: Sequence[Group],
        entries: Sequence[Entry],
        view: View,
        planned: PlanResult,
        freed: EditionRow | None = None,
    ) -> None:
        """Plans an edition of these entries, or one that was let go."""
        positions = {entry.position for entry in entries}
        if held := holding((*view.held, *planned.held), positions):
            _note_held(planned, held)
            return
        said_no_at = view.said_no_at(positions)
        moves: list[_Move] = []
        for group in groups:
            what, next_state = self._step(group, view, said_no_at, papers=bool(entries))
            if what is not DueAction.WAIT:
                moves.append(_Move(group, next_state, sends=what is DueAction.SEND))
            elif group.due_at:
                planned.open += group.size
        self._carry_out(cursor, moves, entries, view, planned, freed)

    def _carry_out(
        self,
        cursor: int,
        moves: Sequence[_Move],
        entries: Sequence[Entry],
        view: View,
        planned: PlanResult,
        freed: EditionRow | None,
    ) -> None:
        """Freezes the edition if anybody gets it, then moves everybody on, chunk by chunk."""
        wanted = any(move.sends for move in moves)
        edition = (freed or self._freezer.frozen(entries, view)) if wanted else None
        if edition and edition.state is EditionState.HELD:
            _note_held(planned, edition)
            return
        with self._database.read() as tx:
            parts = len(editions.content(tx, edition.id).parts) if edition else 0
        people = 0
        for span in self._spans(cursor, sum(move.group.size for move in moves)):
            with self._database.write() as tx:
                for move in moves:
                    sent = {"edition": edition.id, "parts": parts} if edition else {}
                    moved = due.plan(
                        tx,
                        move.group,
                        span,
                        move.next_state,
                        view.now,
                        **(sent if move.sends else {}),
                    )
                    people += moved if move.sends else 0
                if edition:
                    editions.note_planned(tx, edition.id, view.now)
            time.sleep(CHUNK_PAUSE)
        if edition and people:
            planned.people += people
            planned.editions.append(edition.key)

    def _step(
        self, group: Group, view: View, said_no_at: datetime | None, *, papers: bool
    ) -> tuple[DueAction, NextState]:
        """What a group gets now, and where it is afterwards."""
        if group.due_at is None:
            return (DueAction.SEND if papers else DueAction.WAIT), NextState(view.head)
        schedule = self._rules.schedule(group.preferences)
        due_on = group.due_at.astimezone(ZoneInfo(schedule.zone)).date()
        last = schedule.last_due(view.now)
        if last is None or (last[0] < due_on and last[1] < group.due_at):
            # Due by other rules than those of now: by these, that date is none, or yet to come.
            return DueAction.MERGE, NextState(group.cursor, schedule.next_due(view.now))
        day, at = last
        if self._is_done(group.last_on, day, view.now):
            # In another zone it was that date already: no date comes twice.
            due = self._rules.next_due(group.preferences, group.last_on, view.now)
            return DueAction.MERGE, NextState(group.cursor, due)
        no = said_no_at is not None and at <= said_no_at
        following = schedule.next_due(view.now, after=day)
        what = due_action(
            due=at,
            following=following,
            now=view.now,
            # Two dates become one, once: else a run before the hour would never send.
            catch_up=timedelta() if group.merged else self._rules.catch_up,
            papers=papers and not no,
            failing=view.failing and not no,
        )
        stays = what is DueAction.MERGE or no
        cursor = group.cursor if stays else view.head
        return what, NextState(cursor, following, day, merged=what is DueAction.MERGE)

    @staticmethod
    def _is_done(last: date | None, day: date, now: datetime) -> bool:
        """Whether a date was served before; one far ahead was only said by a wrong clock."""
        return last is not None and day <= last <= now.date() + timedelta(days=2)

    def _spans(self, cursor: int, size: int) -> Iterator[tuple[int, int]]:
        """Ranges of numbers with at most a chunk of people each; one if they are few."""
        if size <= due.CHUNK:
            yield 0, _LAST
            return
        after = 0
        while True:
            with self._database.read() as tx:
                last = due.chunk(tx, cursor, after)
            if last is None:
                return
            yield after, last
            after = last


def next_entries(database: Database, now: datetime, cursor: int | None = None) -> list[Entry]:
    """What somebody with this cursor gets next.

    By default that of the daily subscriber without topics who is furthest behind; without
    subscribers, a newcomer's.
    """
    with database.read() as tx:
        if cursor is None:
            cursor = subscribers.oldest_cursor(tx, everyone=False)
        if cursor is None:
            cursor = log.newcomer_cursor(tx, latest_day(now))
        return log.new_entries(tx, after=cursor, up_to=log.head(tx))


def _was_due(group: Group, at: datetime | None) -> bool:
    return at is not None and group.due_at is not None and group.due_at <= at


def _note_held(planned: PlanResult, row: EditionRow) -> None:
    if row.id not in [held.id for held in planned.held]:
        planned.held.append(row)
