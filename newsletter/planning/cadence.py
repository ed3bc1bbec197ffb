"""When a subscriber is due, and what is done then. Pure: no clock.

What has been due is remembered as a date, not as an instant: then neither a new hour nor
a new zone makes a date come twice.
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
"""Days in which every cadence falls on some date, twice."""
PUNCTUAL = timedelta(minutes=15)
"""Lateness that is none: what slow sources and the editions before this one may take."""

_DAY = timedelta(days=1)
_SATURDAY = 5
_DAYS = {"daily": range(1), "weekdays": range(1), "weekly": range(7), "monthly": range(1, 32)}
_LONGEST = {"daily": 1, "weekdays": 3, "weekly": 7, "monthly": 31}


@dataclass(frozen=True, slots=True)
class Cadence:
    """On which dates something is due.

    Attributes:
        kind: `weekdays` are Monday to Friday.
        day: weekly the weekday, 0 for Monday; monthly 1 to 31, where the last day of a
            shorter month stands for those it has not; otherwise 0.

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
        """`daily`, `weekdays`, `weekly:mon` or `monthly:1`, as a cadence.

        Raises:
            ValueError: it is none of these; says what to write instead.
        """
        cadence = _BY_TEXT.get(text.strip().lower())
        if cadence is None:
            raise ValueError(
                'write "daily", "weekdays", a weekday as in "weekly:mon", '
                'or a day of the month as in "monthly:1"'
            )
        return cadence

    def __str__(self) -> str:
        """As it is written: what `parse` reads."""
        if self.kind == "weekly":
            return f"weekly:{WEEKDAYS[self.day][:3].lower()}"
        return f"monthly:{self.day}" if self.kind == "monthly" else self.kind

    def falls_on(self, day: date) -> bool:
        """Whether something is due on this date."""
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
    """The instants at which something is due, one for each date of a cadence.

    Attributes:
        at: the hour on a clock on the wall, without a zone of its own.
        zone: name of the zone of that clock; one that exists (see `values.zone`).
        skip: dates on which nothing is due.
    """

    cadence: Cadence
    at: time
    zone: str
    skip: frozenset[date] = frozenset()

    def due_at(self, day: date) -> datetime:
        """The instant, in UTC, at which it is `at` on this date, whether or not it is due.

        An hour that the clock leaves out comes later by as much as was left out, perhaps on
        the date after; of an hour that the clock repeats it is the first.
        """
        return datetime.combine(day, self.at, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def next_due(self, now: datetime, after: date | None = None) -> datetime:
        """The first due instant later than `now`, in UTC.

        Args:
            now: with a zone.
            after: the last date that is used up; the instant's date is later than this.
                (Its date as due: in the zone it may be the date after, see `due_at`.)
        """
        # An hour left out at the end of yesterday may come today.
        first = self._today(now) - _DAY
        if after is not None:
            first = max(first, after + _DAY)
        return next(due for day in self._dates(first) if (due := self.due_at(day)) > now)

    def last_due(self, now: datetime) -> tuple[date, datetime] | None:
        """The latest date that was due at or before `now`, with its instant in UTC.

        `None` where so many dates are skipped that there is none in the last `LOOK_BACK`
        days, and as many more as are skipped.
        """
        # Where the clock is set back over midnight, tomorrow has been here before.
        latest = self._today(now) + _DAY
        for back in range(LOOK_BACK + len(self.skip) + 2):
            day = latest - back * _DAY
            if self._has(day) and (due := self.due_at(day)) <= now:
                return day, due
        return None

    def longest_gap(self) -> timedelta:
        """No two due instants that follow each other are further apart.

        One day of it is for zones that change their date. A next due instant that is
        further away can only come from a clock that was wrong.
        """
        # A skipped date costs the whole way to the one after it.
        steps = 1 + sum(map(self.cadence.falls_on, self.skip))
        return steps * _LONGEST[self.cadence.kind] * _DAY + _DAY

    def _today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self.zone)).date()

    def _has(self, day: date) -> bool:
        return self.cadence.falls_on(day) and day not in self.skip

    def _dates(self, first: date) -> Iterator[date]:
        """The dates that are due, from `first` on; endless, as `skip` is not."""
        return filter(self._has, (first + n * _DAY for n in count()))


class DueAction(StrEnum):
    """What is done for a subscriber who is due."""

    SEND = "send"  # what is new goes out
    MERGE = "merge"  # late, and the next one is near: the two become one
    WAIT = "wait"  # nothing yet, and a source fails: the date stays open
    PASS = "pass"  # noqa: S105  # nothing new: the date is used up


def due_action(
    *,
    due: datetime,
    following: datetime,
    now: datetime,
    catch_up: timedelta,
    papers: bool,
    failing: bool,
) -> DueAction:
    """What is done at `now` for somebody who was due at `due`.

    Args:
        due: the latest due instant that is not later than `now`.
        following: the first due instant later than `now`.
        catch_up: how long a date without papers stays open, and how far away the following
            one must be for late mail to be sent still. Shorter than the time between two
            due instants, or a machine that wakes up late would put mail off for ever.
        papers: there is something to send.
        failing: a source fails, so there may be papers that are not known yet.
    """
    if following - now < catch_up and now - due > PUNCTUAL:
        return DueAction.MERGE
    if papers:
        return DueAction.SEND
    return DueAction.WAIT if failing and now - due < catch_up else DueAction.PASS
