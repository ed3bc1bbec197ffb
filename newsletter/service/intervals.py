"""When something is done again that is done at intervals."""

from __future__ import annotations

from datetime import datetime, timedelta


def is_time(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Returns whether the interval has elapsed. A `last` in the future is due to a wrong clock."""
    return last is None or not timedelta() <= now - last < every
