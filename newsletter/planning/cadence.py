"""When a subscriber is due, and the action then. Pure: no clock.

Past due dates are stored as dates, not as instants, so that neither a new time of day nor
a new time zone makes a subscriber due twice on one date.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import count
from typing import Literal
from zoneinfo import ZoneInfo

from newsletter.text.dates import WEEKDAYS

Kind = Literal["daily", "weekdays", "weekly", "monthly"]

LOOK_BACK = 62
"""A span of days in which every cadence is due at least twice."""
PUNCTUAL = timedelta(minutes=15)
"""Delay that still counts as on time, as slow sources or earlier editions may need it."""

_DAY = timedelta(days=1)
_SATURDAY = 5
_DAYS = {"daily": range(1), "weekdays": range(1), "weekly": range(7), "monthly": range(1, 32)}
_LONGEST = {"daily": 1, "weekdays": 3, "weekly": 7, "monthly": 31}


@dataclass(frozen=True, slots=True)
class Cadence:
    """The dates on which a subscriber is due.

    Attributes:
        kind: `weekdays` are Monday to Friday.
        day: for `weekly` the weekday, 0 for Monday; for `monthly` 1 to 31, where a shorter
            month uses its last day for those it lacks; otherwise 0.

    Raises:
        ValueError: this kind has no such day.
    """

    kind: Kind
    day: int = 0

    def __post_init__(self) -> None:
        if self.day not in _DAYS[self.kind]:
            raise ValueError(f"{self.kind} has no day {self.day}")

    @classmethod
    def parse(cls, text: str) -> Cadence:
        """Parses `daily`, `weekdays`, `weekly:mon` or `monthly:1`.

        Raises:
            ValueError: the text is none of these; the message says what to write instead.
        """
        cadence = _BY_TEXT.get(text.strip().lower())
        if cadence is None:
            raise ValueError(
                'write "daily", "weekdays", a weekday as in "weekly:mon", '
                'or a day of the month as in "monthly:1"'
            )
        return cadence

    def __str__(self) -> str:
        """Returns the text that `parse` reads."""
        if self.kind == "weekly":
            return f"weekly:{WEEKDAYS[self.day][:3].lower()}"
        return f"monthly:{self.day}" if self.kind == "monthly" else self.kind

    def falls_on(self, day: date) -> bool:
        """Returns whether this date is due."""
        if self.kind == "weekdays":
            return day.weekday() < _SATURDAY
        if self.kind == "weekly":
            return day.weekday() == self.day
        if self.kind == "monthly":
            return day.day == min(self.day, monthrange(day.year, day.month)[1])
        return True


_KINDS: tuple[Kind, ...] = ("daily", "weekdays", "weekly", "monthly")
_BY_TEXT = {
    str(cadence): cadence for kind in _KINDS for cadence in (Cadence(kind, d) for d in _DAYS[kind])
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The instants at which a subscriber is due, one for each date of a cadence.

    Attributes:
        at: local time of day, without a time zone.
        zone: name of its time zone, which must exist (see `values.zone`).
        skip: dates on which nothing is due.
    """

    cadence: Cadence
    at: time
    zone: str
    skip: frozenset[date] = frozenset()

    def due_at(self, day: date) -> datetime:
        """Returns the UTC instant of the time `at` on this date, whether or not it is due.

        A time that a clock change skips is moved later by the length of the gap, possibly
        to the next date; of a time that a clock change repeats, the first is used.
        """
        return datetime.combine(day, self.at, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def next_due(self, now: datetime, after: date | None = None) -> datetime:
        """Returns the first due instant later than `now`, in UTC.

        Args:
            now: the current time, timezone-aware.
            after: the last date that was served; the due date returned is later. (The local
                date of the instant may be one day after its due date, see `due_at`.)
        """
        # A time skipped by a clock change at the end of yesterday may fall on today.
        first = self._today(now) - _DAY
        if after is not None:
            first = max(first, after + _DAY)
        return next(due for day in self._dates(first) if (due := self.due_at(day)) > now)

    def last_due(self, now: datetime) -> tuple[date, datetime] | None:
        """Returns the latest date that was due at or before `now`, with its instant in UTC.

        Returns `None` if there is none in the last `LOOK_BACK` days plus the number of
        skipped dates.
        """
        # Where the clock is set back across midnight, tomorrow's date has occurred already.
        latest = self._today(now) + _DAY
        for back in range(LOOK_BACK + len(self.skip) + 2):
            day = latest - back * _DAY
            if self._has(day) and (due := self.due_at(day)) <= now:
                return day, due
        return None

    def longest_gap(self) -> timedelta:
        """Returns the longest possible time between two consecutive due instants.

        It includes one day for time zones that change their date. A next due instant that is
        further away can only come from a wrong clock.
        """
        # A skipped date adds the whole interval to the date after it.
        steps = 1 + sum(map(self.cadence.falls_on, self.skip))
        return steps * _LONGEST[self.cadence.kind] * _DAY + _DAY

    def _today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self.zone)).date()

    def _has(self, day: date) -> bool:
        return self.cadence.falls_on(day) and day not in self.skip

    def _dates(self, first: date) -> Iterator[date]:
        """Yields the due dates from `first` on; never ends, because `skip` is finite."""
        return filter(self._has, (first + n * _DAY for n in count()))


class DueAction(StrEnum):
    """The action for a subscriber who is due."""

    SEND = "send"  # an edition is planned
    MERGE = "merge"  # late, and the next due time is near: the two editions become one
    WAIT = "wait"  # nothing new yet, and a source fails: the date stays open
    PASS = "pass"  # noqa: S105  # nothing new: the date counts as served


def due_action(
    *,
    due: datetime,
    following: datetime,
    now: datetime,
    catch_up: timedelta,
    papers: bool,
    failing: bool,
) -> DueAction:
    """Returns the action at `now` for a subscriber who was due at `due`.

    Args:
        due: the latest due instant that is not later than `now`.
        following: the first due instant later than `now`.
        catch_up: how long a date without papers stays open, and how far away `following`
            must be for late mail to be sent at all. Must be shorter than the time between two
            due instants, or a machine that wakes up late would postpone mail for ever.
        papers: whether there is something to send.
        failing: whether a source fails, so that there may be new papers that are not known yet.
    """
    if following - now < catch_up and now - due > PUNCTUAL:
        return DueAction.MERGE
    if papers:
        return DueAction.SEND
    return DueAction.WAIT if failing and now - due < catch_up else DueAction.PASS
