"""Decides when an action that repeats at intervals is due again."""

from __future__ import annotations

from datetime import datetime, timedelta


def is_time(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Returns whether the interval has elapsed, or `last` is in the future (a wrong clock)."""
    return last is None or not timedelta() <= now - last < every
