"""The dates on which a pause may end. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta

LONGEST_PAUSE = timedelta(days=366)


def pause_problem(until: date | None, now: datetime) -> str:
    """Returns what is wrong with the date on which a pause is to end; empty if nothing is."""
    if until and not now.date() < until <= (now + LONGEST_PAUSE).date():
        return "write a date from tomorrow on, at most a year from now"
    return ""
