"""The sources: whether each can be read, and was captured lately."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import SCHEDULER_HINT, Finding, failure, ok, warning
from newsletter.app.source_places import unusable_place
from newsletter.config.schema import SourceSection
from newsletter.storage import sources
from newsletter.storage.sources import SourceStatus
from newsletter.text.dates import utc

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def check(context: Context) -> Iterator[Finding]:
    """Checks every configured source. Fetches nothing."""
    sections = context.config.sources
    if not sections:
        yield warning("no source is configured", "add a [[sources]] section")
    known = None
    if context.database:
        with context.database.read() as tx:
            known = {status.name: status for status in sources.all_status(tx)}
    for section in sections:
        status = known.get(section.name) if known is not None else None
        is_reported = section.url and status and status.failing_since
        place = None if is_reported else unusable_place(section)
        if place:
            yield warning(f"{place.source}: {place.what}", place.hint)
        elif section.path and not os.access(section.path, os.R_OK):
            yield failure(
                f"{section.name}: {section.path} cannot be read", "check its owner and mode"
            )
        elif known is not None:
            yield _captures(section, status, context.clock())


def _captures(section: SourceSection, status: SourceStatus | None, at: datetime) -> Finding:
    """Reports when a source was last captured, or since when it has been failing."""
    if status and status.failing_since:
        report = failure if at - status.failing_since > _DAY else warning
        since = f"{section.name} fails since {utc(status.failing_since)}"
        hint = "try `newsletter ingest`"
        return report(f"{since}: {status.failure}", hint)
    if status is None or status.captured_at is None:
        return warning(f"{section.name}: nothing was captured yet", "run `newsletter ingest`")
    age = at - status.captured_at
    what = f"{section.name}: last captured {_ago(age)}"
    if section.url and age > max(2 * section.every, _DAY):
        return warning(what, SCHEDULER_HINT)
    return ok(what)


def _ago(age: timedelta) -> str:
    if age < _HOUR:
        return f"{max(0, age // timedelta(minutes=1))} min ago"
    return f"{age // _HOUR} h ago" if age < 2 * _DAY else f"{age.days} days ago"
