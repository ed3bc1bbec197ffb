"""The current time. Only this module reads the clock; time-outs use monotonic time."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Returns the current instant, in UTC."""
    return datetime.now(UTC)
