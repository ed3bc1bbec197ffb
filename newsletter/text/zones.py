"""Names of time zones, as subscribers read them. Pure."""

from __future__ import annotations


def in_words(zone: str) -> str:
    """Returns what follows a time of day: `Europe/Berlin time`, `America/New York time`, `UTC`."""
    return "UTC" if zone in ("UTC", "Etc/UTC") else f"{zone.replace('_', ' ')} time"
