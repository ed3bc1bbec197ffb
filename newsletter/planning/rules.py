"""When people are due, and when the clock cannot be right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from newsletter.errors import ClockBehind
from newsletter.planning.cadence import Cadence, Schedule
from newsletter.storage.installation import Installation
from newsletter.storage.subscribers import Preferences

SLACK = timedelta(minutes=1)
"""How far the clock may go back without a word: time servers correct it by seconds."""
_APART = timedelta(days=2)
"""Between the dates of two zones at one instant, at most."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When people are due, as far as they do not say otherwise.

    Attributes:
        catch_up: an overdue edition and one due sooner than this become one.
        tz_version: of the time zone database; due times follow it.
    """

    time_zone: str
    send_at: time
    skip_dates: frozenset[date]
    catch_up: timedelta
    tz_version: str = ""

    def schedule(self, preferences: Preferences) -> Schedule:
        """When somebody with these wishes is due."""
        at = time.fromisoformat(preferences.send_at) if preferences.send_at else self.send_at
        cadence = Cadence.parse(preferences.cadence)
        return Schedule(cadence, at, preferences.time_zone or self.time_zone, self.skip_dates)

    def next_due(self, preferences: Preferences, last: date | None, now: datetime) -> datetime:
        """When somebody is due next, whose last date is done with."""
        schedule = self.schedule(preferences)
        today = now.astimezone(ZoneInfo(schedule.zone)).date()
        # A date that is not even in another zone was done with by a wrong clock.
        return schedule.next_due(now, after=last if last and last <= today + _APART else None)

    @property
    def schedule_fingerprint(self) -> str:
        """What the due times are computed from, besides what people wish."""
        days = " ".join(day.isoformat() for day in sorted(self.skip_dates))
        return f"{self.time_zone} {self.send_at:%H:%M} [{days}] {self.tz_version}"


def latest_day(now: datetime) -> date:
    """The last day that a list can be of: it may be tomorrow already elsewhere."""
    return now.date() + timedelta(days=1)


def refuse_old_clock(row: Installation, now: datetime) -> None:
    """Says so when the clock cannot be right.

    Raises:
        ClockBehind: it is earlier than the newest record.
    """
    if row.latest_at and now < row.latest_at - SLACK:
        raise ClockBehind(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, but something was recorded at "
            f"{row.latest_at:%Y-%m-%d %H:%M} UTC",
            hint="set the clock; if it is right now, run `newsletter continue`",
        )
