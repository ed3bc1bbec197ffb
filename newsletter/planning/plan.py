"""Log → editions and deliveries: plans the papers new to each due subscriber, once.

    freeze   build, validate and store the edition        one transaction
    plan     deliveries, cursors and due times together   one transaction per chunk

A held edition advances no cursor. A crash between two chunks leaves the remaining
subscribers due. Every write checks the cursor it started from, so a second planner
finds no subscribers left.
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
from newsletter.planning.view import View, held_edition_with, view
from newsletter.storage import due, editions, installation, log, subscribers
from newsletter.storage.database import Database
from newsletter.storage.due import Group, NextState
from newsletter.storage.editions import EditionRow
from newsletter.storage.moves import Move, advance

CHUNK_PAUSE = 0.002
"""Seconds between two chunks, for other writers, such as an unsubscribe."""
_LAST = 2**63 - 1


@dataclass(slots=True)
class PlanResult:
    """The result of planning.

    Attributes:
        subscribers: number of subscribers for whom an edition was planned.
        editions: keys of the planned editions.
        held: editions held for review, now or earlier.
        open: number of subscribers whose due date stays open because a source fails.
    """

    subscribers: int = 0
    editions: list[str] = field(default_factory=list)
    held: list[EditionRow] = field(default_factory=list)
    open: int = 0


class Planning:
    """Plans editions for subscribers who are due.

    Args:
        database: the newsletter's database.
        make_builder: returns the edition builder; called when the first edition is needed.
        theme_settings: the settings of the theme.
        rules: when subscribers are due.
        domain: domain of the Message-IDs, or `None` for that of the sender.
    """

    def __init__(
        self,
        database: Database,
        make_builder: Callable[[], EditionBuilder],
        theme_settings: ThemeSettings,
        rules: Rules,
        domain: str | None = None,
    ) -> None:
        self._database = database
        self._freezer = EditionFreezer(database, make_builder, theme_settings, domain)
        self._rules = rules

    def plan(self, now: datetime, *, all_active: bool = False, failing: bool = False) -> PlanResult:
        """Plans for the subscribers who are due now, or for all active ones.

        Args:
            now: the current time, timezone-aware.
            all_active: treat every active subscriber as due; due times do not change.
            failing: whether a source fails, so that more new papers may follow.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be rendered.
        """
        planned = PlanResult()
        with self._database.read() as tx:
            refuse_old_clock(installation.get(tx), now)
            groups = due.all_active(tx) if all_active else due.due(tx, now)
            seen = view(tx, now, failing=failing)
        if groups:
            with self._database.write() as tx:
                installation.note_instant(tx, now)
        by_cursor = sorted(groups, key=lambda group: group.cursor)
        for cursor, alike in groupby(by_cursor, key=lambda group: group.cursor):
            self._serve(cursor, list(alike), seen, planned)
        return planned

    def welcome(self, subscriber_id: int, cursor: int, now: datetime) -> bool:
        """Plans the first edition of a newly confirmed subscriber.

        Their next due time does not change. A held edition is planned after its release, as
        for every subscriber.

        Returns whether an edition was planned.

        Raises:
            RenderError: no edition can be rendered.
        """
        with self._database.read() as tx:
            seen = view(tx, now, failing=False)
            entries = log.new_entries(tx, after=cursor, up_to=seen.head)
        if not entries or held_edition_with(seen.held, {entry.position for entry in entries}):
            return False
        edition = self._freezer.frozen(entries, seen)
        if edition.state is EditionState.HELD:
            return False
        with self._database.write() as tx:
            parts = len(editions.content(tx, edition.id).parts)
            group, next_state = Group(cursor), NextState(seen.head)
            span = (subscriber_id - 1, subscriber_id)
            moved = due.plan(tx, group, span, next_state, now, edition=edition.id, parts=parts)
            if moved:
                editions.note_planned(tx, edition.id, now)
        return bool(moved)

    def _serve(self, cursor: int, groups: list[Group], view: View, planned: PlanResult) -> None:
        """Plans for all due subscribers with this cursor."""
        with self._database.read() as tx:
            entries = log.new_entries(tx, after=cursor, up_to=view.head)
        if released := view.released_edition(entries):
            # Subscribers who waited for this edition get it as it was built; newer papers are for
            # their next due time.
            waited = [one for one in groups if _was_due(one, released.decided_at)]
            groups = [one for one in groups if one not in waited]
            head = max(released.positions)
            first = [entry for entry in entries if entry.position <= head]
            self._decide(cursor, waited, first, replace(view, head=head), planned, released)
        self._decide(cursor, groups, entries, view, planned)

    def _decide(
        self,
        cursor: int,
        groups: Sequence[Group],
        entries: Sequence[Entry],
        view: View,
        planned: PlanResult,
        released: EditionRow | None = None,
    ) -> None:
        """Plans an edition of these entries, or the edition `released` by the operator."""
        positions = {entry.position for entry in entries}
        if held := held_edition_with((*view.held, *planned.held), positions):
            _note_held(planned, held)
            return
        rejected_at = view.rejected_at(positions)
        moves: list[Move] = []
        for group in groups:
            action, next_state = self._step(group, view, rejected_at, papers=bool(entries))
            if action is not DueAction.WAIT:
                moves.append(Move(group, next_state, sends=action is DueAction.SEND))
            elif group.due_at:
                planned.open += group.size
        if moves:
            self._carry_out(cursor, moves, entries, view, planned, released)

    def _carry_out(
        self,
        cursor: int,
        moves: Sequence[Move],
        entries: Sequence[Entry],
        view: View,
        planned: PlanResult,
        released: EditionRow | None,
    ) -> None:
        """Freezes the edition if a group is sent it, then updates all groups chunk by chunk."""
        wanted = any(move.sends for move in moves)
        edition = (released or self._freezer.frozen(entries, view)) if wanted else None
        if edition and edition.state is EditionState.HELD:
            _note_held(planned, edition)
            return
        with self._database.read() as tx:
            parts = len(editions.content(tx, edition.id).parts) if edition else 0
        sent = {"edition": edition.id, "parts": parts} if edition else {}
        planned_subscribers = 0
        for span in self._spans(cursor, sum(move.group.size for move in moves)):
            with self._database.write() as tx:
                planned_subscribers += advance(tx, moves, span, view.now, **sent)
                if edition:
                    editions.note_planned(tx, edition.id, view.now)
            time.sleep(CHUNK_PAUSE)
        if edition and planned_subscribers:
            planned.subscribers += planned_subscribers
            planned.editions.append(edition.key)

    def _step(
        self, group: Group, view: View, rejected_at: datetime | None, *, papers: bool
    ) -> tuple[DueAction, NextState]:
        """Returns the action for a group and its next state."""
        if group.due_at is None:
            return (DueAction.SEND if papers else DueAction.WAIT), NextState(view.head)
        schedule = self._rules.schedule(group.preferences)
        due_on = group.due_at.astimezone(ZoneInfo(schedule.zone)).date()
        last = schedule.last_due(view.now)
        if last is None or (last[0] < due_on and last[1] < group.due_at):
            # Due under earlier rules; under the current ones that date is not due, or not yet.
            return DueAction.MERGE, NextState(group.cursor, schedule.next_due(view.now))
        day, at = last
        if self._is_done(group.last_on, day, view.now):
            # This date was served in another time zone already, and is not served twice.
            due = self._rules.next_due(group.preferences, group.last_on, view.now)
            return DueAction.MERGE, NextState(group.cursor, due)
        is_rejected = rejected_at is not None and at <= rejected_at
        following = schedule.next_due(view.now, after=day)
        action = due_action(
            due=at,
            following=following,
            now=view.now,
            # A group is merged only once in a row: otherwise a machine that always runs shortly
            # before the due time would never send.
            catch_up=timedelta() if group.merged else self._rules.catch_up,
            papers=papers and not is_rejected,
            failing=view.failing and not is_rejected,
        )
        stays = action is DueAction.MERGE or is_rejected
        cursor = group.cursor if stays else view.head
        return action, NextState(cursor, following, day, merged=action is DueAction.MERGE)

    @staticmethod
    def _is_done(last: date | None, day: date, now: datetime) -> bool:
        """Returns whether a date was served before; a `last` far ahead is from a wrong clock."""
        return last is not None and day <= last <= now.date() + timedelta(days=2)

    def _spans(self, cursor: int, size: int) -> Iterator[tuple[int, int]]:
        """Yields ranges of subscriber ids with at most a chunk of subscribers each.

        Yields a single range if all fit into one chunk.
        """
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
    """Returns the entries that a subscriber with this cursor gets next.

    The default cursor is that of the daily subscriber without topics who is furthest behind
    or, without such subscribers, that of a newcomer.
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
