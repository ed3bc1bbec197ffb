"""When subscribers are due, and the check that the clock is plausible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from newsletter.errors import ClockBehind
from newsletter.planning.cadence import Cadence, Schedule
from newsletter.storage.installation import Installation
from newsletter.storage.subscribers import Preferences
from newsletter.text.dates import utc

SLACK = timedelta(minutes=1)
"""How far the clock may go back without an error: time servers correct it by seconds."""
_APART = timedelta(days=2)
"""Upper bound for the difference between local dates in any two time zones."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The newsletter's schedule, which applies unless a subscriber's preferences say otherwise.

    Attributes:
        catch_up: an overdue edition is merged with the next one if that is due sooner than this.
        tz_version: version of the time zone database, from which due times are computed.
    """

    time_zone: str
    send_at: time
    skip_dates: frozenset[date]
    catch_up: timedelta
    tz_version: str = ""

    def schedule(self, preferences: Preferences) -> Schedule:
        """Returns the schedule of a subscriber with these preferences."""
        at = time.fromisoformat(preferences.send_at) if preferences.send_at else self.send_at
        cadence = Cadence.parse(preferences.cadence)
        return Schedule(cadence, at, preferences.time_zone or self.time_zone, self.skip_dates)

    def next_due(self, preferences: Preferences, last: date | None, now: datetime) -> datetime:
        """Returns the next due time of a subscriber for whom `last` is the last date served."""
        schedule = self.schedule(preferences)
        today = now.astimezone(ZoneInfo(schedule.zone)).date()
        # A date that is in the future in every time zone was recorded by a wrong clock.
        return schedule.next_due(now, after=last if last and last <= today + _APART else None)

    @property
    def schedule_fingerprint(self) -> str:
        """All inputs to due times besides preferences; changes when one of them does."""
        days = " ".join(day.isoformat() for day in sorted(self.skip_dates))
        return f"{self.time_zone} {self.send_at:%H:%M} [{days}] {self.tz_version}"


def latest_day(now: datetime) -> date:
    """Returns the latest plausible day of a list: tomorrow, which has begun in some time zones."""
    return now.date() + timedelta(days=1)


def refuse_old_clock(row: Installation, now: datetime) -> None:
    """Raises an error if the clock is earlier than the newest record.

    Raises:
        ClockBehind: it is, by more than `SLACK`.
    """
    if row.latest_at and now < row.latest_at - SLACK:
        raise ClockBehind(
            f"the clock says {utc(now)}, but something was recorded at {utc(row.latest_at)}",
            hint="set the clock; if it is right now, run `newsletter continue`",
        )
