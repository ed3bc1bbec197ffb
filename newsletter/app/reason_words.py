"""Conditions that keep mail from being sent, in words: what, since when, why, and what to do. Pure.

The idle reasons and the reports to the owner are both made of these clauses, so that the same
condition is described in the same words everywhere. Every time of day names its time zone.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from newsletter.models import Circuit
from newsletter.text.dates import WEEKDAYS, utc


def local(at: datetime, zone: str) -> str:
    """Formats a time as `on Monday 2026-11-30 at 07:30 (Europe/Berlin)`; `07:30 UTC` in UTC."""
    there = at.astimezone(ZoneInfo(zone))
    name = zone if zone == "UTC" else f"({zone})"
    return f"on {WEEKDAYS[there.weekday()]} {there:%Y-%m-%d} at {there:%H:%M} {name}"


def sentence(clause: str) -> str:
    """Returns a clause as a sentence."""
    return f"{clause[:1].upper()}{clause[1:]}."


def snapshot_held(number: int, source: str, reason: str) -> str:
    """Describes a snapshot that is held for review."""
    return f"snapshot {number} of {source} is {_review('snapshots', number, reason)}"


def edition_held(number: int, reason: str) -> str:
    """Describes an edition that is held for review."""
    return f"edition {number} is {_review('editions', number, reason)}"


def _review(what: str, number: int, reason: str) -> str:
    return (
        f"held for review ({reason}); `newsletter {what} release {number}` or "
        f"`newsletter {what} reject {number}` decides"
    )


def source_failing(name: str, since: datetime, failure: str) -> str:
    """Describes a source that fails."""
    return (
        f"{name} has failed since {utc(since)} ({failure}); every run tries again, "
        "`newsletter doctor` looks for the cause"
    )


def circuit_open(circuit: Circuit) -> str:
    """Describes an open circuit of the breaker, and what happens next."""
    what = f"mail to {circuit.domain}" if circuit.domain else "all mail"
    return (
        f"{what} has been held back since {utc(circuit.opened_at)} ({circuit.reason}); one message "
        f"an hour is tried, the next at {utc(circuit.probe_at)}; once the cause is fixed, "
        "`newsletter continue` lets the next run send all of it"
    )
