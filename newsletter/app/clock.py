"""The current time: the only place that asks for it, but for what measures how long it waits."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Returns the current instant, in UTC."""
    return datetime.now(UTC)
