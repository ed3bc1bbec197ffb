"""Which days of a dated source are fetched. Pure: the instant is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

FURTHEST = 31
"""Maximum age in days of a list to fetch."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The days whose lists are to be fetched.

    Attributes:
        overdue: days whose list was never fetched after they ended, oldest first.
        always: yesterday and today, because a day's list still grows after its first capture.
        given_up: the first and the last day whose lists are too old to fetch, or `None` if there
            are none or a later list has been fetched since.
    """

    overdue: tuple[date, ...]
    always: tuple[date, date]
    given_up: tuple[date, date] | None


def wanted(answered: Mapping[date, datetime], now: datetime) -> Wanted:
    """Returns the days to fetch.

    Args:
        answered: when the list of each day was last fetched; a missing day never was.
        now: the current instant, in the time zone of the days.
    """
    today = now.date()
    always = (today - _DAY, today)
    if not answered:
        return Wanted((), always, None)
    over = {day for day, at in answered.items() if at.astimezone(now.tzinfo).date() > day}
    first, newest = min(answered), max(answered)
    if first not in over:
        first -= _DAY  # `first` was today then; fetching yesterday's list failed
    furthest = today - FURTHEST * _DAY
    overdue = [day for day in _days(max(first, furthest), always[0]) if day not in over]
    unknown = newest + _DAY if newest in over else newest
    given_up = (unknown, furthest - _DAY) if unknown < furthest else None
    return Wanted(tuple(overdue), always, given_up)


def _days(first: date, end: date) -> Iterator[date]:
    """Returns the days from `first` up to, but not including, `end`."""
    return (first + n * _DAY for n in range((end - first).days))
