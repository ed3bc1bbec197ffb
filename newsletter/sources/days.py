"""For which days a dated source is asked. Pure: the instant is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

FURTHEST = 31
"""How many days back a list is asked for."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The days whose lists are asked for.

    Attributes:
        overdue: whose list was never got after their end, oldest first.
        always: yesterday and today: a day's list still grows after its first capture.
        given_up: the first and the last of those that are too far back, if there are any
            and nothing came since.
    """

    overdue: tuple[date, ...]
    always: tuple[date, date]
    given_up: tuple[date, date] | None


def wanted(answered: Mapping[date, datetime], now: datetime) -> Wanted:
    """What to ask for, by when the list of each day was got last.

    Args:
        answered: that instant for each day; a day without one was never got.
        now: the current instant, in the zone whose days count.
    """
    today = now.date()
    always = (today - _DAY, today)
    if not answered:
        return Wanted((), always, None)
    over = {day for day, at in answered.items() if at.astimezone(now.tzinfo).date() > day}
    first, newest = min(answered), max(answered)
    if first not in over:
        first -= _DAY  # it was today; yesterday was asked for as well, and failed
    furthest = today - FURTHEST * _DAY
    overdue = [day for day in _days(max(first, furthest), always[0]) if day not in over]
    unknown = newest + _DAY if newest in over else newest
    given_up = (unknown, furthest - _DAY) if unknown < furthest else None
    return Wanted(tuple(overdue), always, given_up)


def _days(first: date, end: date) -> Iterator[date]:
    """All days from the first until before the end."""
    return (first + n * _DAY for n in range((end - first).days))
