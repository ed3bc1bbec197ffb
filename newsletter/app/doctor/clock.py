"""The clock and the time zone of this machine, and when the next edition is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from newsletter.app import factories
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import SCHEDULER_HINT, Finding, failure, ok, warning
from newsletter.errors import ClockBehind
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import installation, subscribers
from newsletter.storage.database import Database
from newsletter.text.dates import utc

_FIRST_YEAR = 2025
"""A clock that shows an earlier year has not been set."""

_OVERDUE = timedelta(hours=1)


def check(context: Context) -> Iterator[Finding]:
    """Checks the clock, then the schedule against it."""
    at, name = context.clock(), context.config.newsletter.time_zone
    try:
        zone = ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        yield failure(
            f"the time zone {name} cannot be loaded",
            "install tzdata (the package of the system, or the one of Python)",
        )
        return
    if at.year < _FIRST_YEAR:
        yield failure(f"the clock says {utc(at)}", "set it; let NTP keep it")
        return
    tz_version = factories.rules(context.config).tz_version.removeprefix("# version ")
    yield ok(f"it is {utc(at)}, {at.astimezone(zone):%H:%M} in {name} (time zones {tz_version})")
    if context.database:
        yield from _schedule(context.database, at, zone)


def _schedule(database: Database, at: datetime, zone: ZoneInfo) -> Iterator[Finding]:
    with database.read() as tx:
        row, due = installation.get(tx), subscribers.first_due(tx)
    if row.paused_at:
        yield warning(
            f"all sending is stopped since {utc(row.paused_at)}",
            "`newsletter continue` starts it",
        )
    try:
        refuse_old_clock(row, at)
    except ClockBehind as behind:
        yield failure(behind.what, behind.hint)
        return
    if due is None:
        return
    when = f"{due.astimezone(zone):%A %Y-%m-%d %H:%M} in {zone.key}"
    if due < at - _OVERDUE and not row.paused_at:
        yield warning(
            f"a subscriber was due on {when}", f"{SCHEDULER_HINT}; `newsletter status` says why"
        )
    else:
        yield ok(f"the next is due on {when}")
