"""The state of the whole installation: SQL over `installation` and `sendings`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.masks import without_addresses
from newsletter.storage.columns import Utc
from newsletter.storage.schema import deliveries, editions, installation, notices, sendings, sources
from newsletter.storage.subscriber_tables import requests, subscribers

LIMITED = "the day's limit (max_per_day) is reached"
"""Why a run ended early although there is no fault."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation's single row.

    Attributes:
        paused_at: since when the operator has stopped all sending; `None` if not stopped.
        latest_at: the newest time at which anything was recorded; the clock must not be earlier.
        schedule_fingerprint: identifies the settings that due times were computed from.
        alerted: the alerts that the owner was notified of.
        stopped: why the last run ended early; empty if it did not.
        stopped_at: since when runs have ended early.
        week_reported_on: the Monday of the last weekly report.
    """

    paused_at: datetime | None
    latest_at: datetime | None
    schedule_fingerprint: str | None
    alerted: tuple[str, ...]
    stopped: str
    stopped_at: datetime | None
    week_reported_on: date | None


def get(tx: Connection) -> Installation:
    """Returns the state of the installation."""
    row = tx.execute(select(installation)).one()
    captured = tx.execute(select(func.max(sources.c.captured_at))).scalar()
    latest = max(filter(None, (row.latest_at, captured)), default=None)
    return Installation(
        row.paused_at,
        latest,
        row.schedule_fingerprint,
        tuple(row.alerted),
        row.stopped or "",
        row.stopped_at,
        row.week_reported_on,
    )


def pause(tx: Connection, at: datetime) -> None:
    """Stops all sending; the time of an earlier stop is kept."""
    tx.execute(update(installation).values(paused_at=func.coalesce(installation.c.paused_at, at)))


_PAUSED_AT = select(installation.c.paused_at)


def is_paused(tx: Connection) -> bool:
    """Whether the operator stopped all sending. Fast."""
    return tx.execute(_PAUSED_AT).scalar() is not None


_CLOCK_TIMES = (
    sources.c.captured_at,
    editions.c.decided_at,
    notices.c.at,
    requests.c.at,
    subscribers.c.changed_at,
)
"""Times that intervals are measured from: if in the future, the intervals would be too long."""


def resume(tx: Connection, now: datetime) -> None:
    """Starts sending again and accepts the clock as correct: no recorded time is after `now`.

    Deliveries deferred while the clock was ahead become due now.
    """
    tx.execute(
        update(installation).values(paused_at=None, latest_at=now, stopped=None, stopped_at=None)
    )
    for column in _CLOCK_TIMES:
        tx.execute(update(column.table).where(column > now).values({column: now}))
    tx.execute(
        update(deliveries)
        .where(deliveries.c.try_at > now, deliveries.c.changed_at > now)
        .values(try_at=now, first_at=func.min(deliveries.c.first_at, now, type_=Utc()))
    )
    ahead = sendings.c.hour > now
    columns = (sendings.c.count, sendings.c.accepted, sendings.c.refused)
    many, accepted, refused = tx.execute(select(*map(func.sum, columns)).where(ahead)).one()
    if many is not None:
        tx.execute(delete(sendings).where(ahead))
        count_sendings(tx, now, many)
        count_outcomes(tx, now, accepted=accepted, refused=refused)


def note_instant(tx: Connection, now: datetime) -> None:
    """Records `now` as the newest time, unless a later one is on record."""
    tx.execute(
        update(installation)
        .where(func.coalesce(installation.c.latest_at, now) <= now)
        .values(latest_at=now)
    )


def note_schedule_fingerprint(tx: Connection, schedule_fingerprint: str) -> None:
    """Records the fingerprint of the settings that due times are computed from."""
    tx.execute(update(installation).values(schedule_fingerprint=schedule_fingerprint))


def note_stopped(tx: Connection, why: str, now: datetime) -> None:
    """Records why a run ended early, and since when runs do; an empty reason clears both.

    Addresses in it are hidden, as in `breakers.save`.
    """
    since = func.coalesce(installation.c.stopped_at, now, type_=Utc()) if why else None
    stopped = without_addresses(why) or None
    tx.execute(update(installation).values(stopped=stopped, stopped_at=since))


def note_week_reported(tx: Connection, monday: date) -> None:
    """Records that the week before `monday` was reported to the owner."""
    tx.execute(update(installation).values(week_reported_on=monday))


def note_alerted(tx: Connection, names: Sequence[str]) -> None:
    """Records which alerts the owner was notified of."""
    tx.execute(update(installation).values(alerted=list(names)))


_SENDINGS = insert(sendings)
_COUNT_SENDINGS = _SENDINGS.on_conflict_do_update(
    index_elements=[sendings.c.hour],
    set_={"count": sendings.c.count + _SENDINGS.excluded.count},
)


def count_sendings(tx: Connection, at: datetime, many: int) -> None:
    """Counts messages that are about to be sent."""
    tx.execute(_COUNT_SENDINGS, {"hour": _hour(at), "count": many})


def accepting_hours(tx: Connection) -> Iterator[tuple[datetime, int]]:
    """Yields each hour in which a server accepted messages, newest first, and their number."""
    query = (
        select(sendings.c.hour, sendings.c.accepted)
        .where(sendings.c.accepted > 0)
        .order_by(sendings.c.hour.desc())
    )
    for row in tx.execute(query):
        yield row.hour, row.accepted


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The results of the messages sent in a period.

    Attributes:
        attempts: messages that were claimed, notices included.
        accepted: messages that a server took.
        refused: deliveries that were refused permanently and not put back.
    """

    attempts: int
    accepted: int
    refused: int


_OUTCOMES = _SENDINGS.on_conflict_do_update(
    index_elements=[sendings.c.hour],
    set_={
        "accepted": sendings.c.accepted + _SENDINGS.excluded.accepted,
        "refused": sendings.c.refused + _SENDINGS.excluded.refused,
    },
)


def count_outcomes(tx: Connection, at: datetime, *, accepted: int = 0, refused: int = 0) -> None:
    """Counts messages that a server took or refused permanently."""
    if accepted or refused:
        row = {"hour": _hour(at), "count": 0, "accepted": accepted, "refused": refused}
        tx.execute(_OUTCOMES, row)


def outcomes_since(tx: Connection, at: datetime) -> Outcomes:
    """Returns the results of the messages sent since `at`, counted by the hour."""
    hour = at - timedelta(minutes=30)
    row = tx.execute(
        select(
            func.coalesce(func.sum(sendings.c.count), 0).label("attempts"),
            func.coalesce(func.sum(sendings.c.accepted), 0).label("accepted"),
            func.coalesce(func.sum(sendings.c.refused), 0).label("refused"),
        ).where(sendings.c.hour > hour)
    ).one()
    return Outcomes(row.attempts, row.accepted, row.refused)


def sendings_since(tx: Connection, at: datetime) -> int:
    """Returns the number of messages sent since `at`.

    They are counted by the hour: an hour counts in full if its middle is after `at`.
    """
    hour = at - timedelta(minutes=30)
    many = tx.execute(select(func.sum(sendings.c.count)).where(sendings.c.hour > hour)).scalar()
    return int(many or 0)
