"""Formats days for display, and finds dates in names. Pure: no clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_NAMED_DAY = re.compile(r"(?<![0-9A-Za-z])(20\d\d)([-_]?)(\d\d)\2(\d\d)(?![0-9])")


def utc(at: datetime) -> str:
    """Formats a UTC time as `2026-11-30 07:30 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def month_number(name: str) -> int:
    """Returns 1 to 12 for a month's English name or its first three letters."""
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


def day_in(name: str) -> date | None:
    """Returns the first date in a file name or URL: 2026-06-08, 2026_06_08 or 20260608."""
    for match in _NAMED_DAY.finditer(name):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue
    return None


def long_day(day: date) -> str:
    """Formats a day as `Monday, 8 June`."""
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]}"


def iso(at: datetime | None) -> str | None:
    """Formats a UTC time as ISO 8601, `2026-06-08T07:30:00Z`, or returns `None` for `None`."""
    return at.isoformat().replace("+00:00", "Z") if at else None


def short_range(days: Sequence[date]) -> str:
    """Formats the range of the days as `8–9 June`, `30 May – 2 June` or `Monday, 8 June`."""
    first, last = min(days), max(days)
    if first == last:
        return long_day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {MONTHS[first.month - 1]}"
    return f"{first.day} {MONTHS[first.month - 1]} – {last.day} {MONTHS[last.month - 1]}"
