"""Sources and their status: SQL over `sources` and `validators`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

from sqlalchemy import Connection, Row, case, func, literal, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.masks import masked
from newsletter.models import Capture, SnapshotState
from newsletter.storage.columns import Utc
from newsletter.storage.schema import installation, snapshots, sources, validators


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as stored."""

    id: int
    opened: bool
    """Whether its first ingest is complete."""
    opening_day: date | None
    """The day that its first ingest announces; the other papers are backfilled."""
    opening_snapshot: int | None
    """The snapshot it announces if days are not known. Set once all bytes are stored."""


MANUAL = "manual"
"""The source of files and URLs that were named on the command line."""
REPLAY = "replay"
"""The source of everything that is replayed."""
OF_SEVERAL_FEEDS = (MANUAL, REPLAY)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of a source, for `status`."""

    name: str
    captured_at: datetime | None
    failing_since: datetime | None
    failure: str | None
    failed_at: datetime | None
    snapshots: int
    held: int
    papers: int
    """In its newest accepted snapshot."""
    new: int
    """In its newest accepted snapshot."""
    learnt: int
    """In its newest accepted snapshot: known from then on, but not announced."""
    opening: bool
    """Whether that snapshot is part of its first ingest."""
    watched: bool
    """Whether the configuration ever had it."""
    first_snapshot: int | None
    last_snapshot: int | None
    origin: str
    """The path or URL of its last snapshot."""
    notes: tuple[str, ...]
    """Of its newest accepted snapshot."""

    @classmethod
    def never_asked(cls, name: str) -> Self:
        """Returns the status of a source that was never captured."""
        return cls(
            name,
            captured_at=None,
            failing_since=None,
            failure=None,
            failed_at=None,
            snapshots=0,
            held=0,
            papers=0,
            new=0,
            learnt=0,
            opening=False,
            watched=False,
            first_snapshot=None,
            last_snapshot=None,
            origin="",
            notes=(),
        )


def ensure(tx: Connection, name: str, *, watched: bool = False) -> SourceRow:
    """Returns the source with this name, creating it if it does not exist.

    Args:
        tx: the transaction.
        name: its name.
        watched: the configuration has it; recorded permanently.
    """
    since_backup = select(installation.c.restored).scalar_subquery()
    added = insert(sources).values(name=name, restored=since_backup, watched=watched)
    tx.execute(
        added.on_conflict_do_update(
            index_elements=[sources.c.name],
            set_={"watched": True},
            where=added.excluded.watched & ~sources.c.watched,
        )
    )
    return _row(tx.execute(select(sources).where(sources.c.name == name)).one())


def find(tx: Connection, name: str) -> SourceRow | None:
    """Returns the source with this name, or `None` if it does not exist."""
    row = tx.execute(select(sources).where(sources.c.name == name)).one_or_none()
    return _row(row) if row else None


def _row(row: Row[Any]) -> SourceRow:
    return SourceRow(row.id, row.opened_at is not None, row.opening_day, row.opening_snapshot)


def names(tx: Connection) -> Sequence[str]:
    """Returns the names of all sources, in the order they were added."""
    return tx.execute(select(sources.c.name).order_by(sources.c.id)).scalars().all()


def note_captured(tx: Connection, source: int, at: datetime, *, well: bool) -> None:
    """Records that the source answered. Clears its failure if `well`: if no part of it failed."""
    values: dict[str, Any] = {"captured_at": at}
    if well:
        values |= {"failing_since": None, "failure": None}
    tx.execute(update(sources).where(sources.c.id == source).values(**values))


def remember_validators(tx: Connection, source: int, capture: Capture) -> None:
    """Stores the ETag and Last-Modified of this version of the page, replacing older ones."""
    upsert = insert(validators)
    tx.execute(
        upsert.on_conflict_do_update(
            index_elements=[validators.c.source_id, validators.c.url],
            set_={
                "etag": upsert.excluded.etag,
                "last_modified": upsert.excluded.last_modified,
            },
        ),
        {
            "source_id": source,
            "url": capture.origin,
            "etag": capture.etag,
            "last_modified": capture.last_modified,
        },
    )


def validators_of(tx: Connection, name: str) -> dict[str, tuple[str | None, str | None]]:
    """Returns the ETag and Last-Modified of every URL of a source."""
    rows = tx.execute(select(validators).join(sources).where(sources.c.name == name))
    return {row.url: (row.etag, row.last_modified) for row in rows}


def note_answers(tx: Connection, source: int, urls: Iterable[str], at: datetime) -> None:
    """Records that these URLs answered, whether with a page, the same page or none."""
    upsert = insert(validators)
    tx.execute(
        upsert.on_conflict_do_update(
            index_elements=[validators.c.source_id, validators.c.url],
            set_={"answered_at": upsert.excluded.answered_at},
        ),
        [{"source_id": source, "url": url, "answered_at": at} for url in urls],
    )


def answers_of(tx: Connection, name: str) -> dict[str, datetime]:
    """Returns when each URL of a source last answered."""
    rows = tx.execute(
        select(validators.c.url, validators.c.answered_at)
        .join(sources)
        .where(sources.c.name == name, validators.c.answered_at.is_not(None))
    )
    return {row.url: row.answered_at for row in rows}


def note_failure(tx: Connection, source: int, at: datetime, failure: str) -> None:
    """Records that the source could not be read; keeps the time of its first failure."""
    tx.execute(
        update(sources)
        .where(sources.c.id == source)
        .values(
            failing_since=func.coalesce(sources.c.failing_since, literal(at, Utc())),
            failure=failure,
            failed_at=at,
        )
    )


def captured_at(tx: Connection, name: str) -> datetime | None:
    """Returns when a source last answered, or `None` if it never did or does not exist."""
    return tx.execute(select(sources.c.captured_at).where(sources.c.name == name)).scalar()


def is_restored(tx: Connection, source: int) -> bool:
    """Whether the source may have announced papers since a backup that are missing from the log."""
    return bool(tx.execute(select(sources.c.restored).where(sources.c.id == source)).scalar())


def mark_restored(tx: Connection, *, source: int | None = None, restored: bool) -> None:
    """Sets or clears the `restored` flag of one source, or of all."""
    chosen = update(sources).values(restored=restored)
    tx.execute(chosen if source is None else chosen.where(sources.c.id == source))


def begin_opening(tx: Connection, source: int, day: date | None, snapshot: int | None) -> None:
    """Fixes what the source's first ingest announces, once all of its bytes are stored.

    If the process ends after that and is run again, it decides by the same rule.
    """
    tx.execute(
        update(sources)
        .where(sources.c.id == source)
        .values(opening_day=day, opening_snapshot=snapshot)
    )


def note_opened(tx: Connection, source: int, at: datetime) -> None:
    """Records that the source's first ingest is complete."""
    tx.execute(
        update(sources)
        .where(sources.c.id == source, sources.c.opened_at.is_(None))
        .values(opened_at=at)
    )


def all_status(tx: Connection) -> list[SourceStatus]:
    """Returns the status of every source, in the order they were added."""
    accepted = snapshots.alias()
    newest = (
        select(func.max(accepted.c.id))
        .where(accepted.c.source_id == sources.c.id, accepted.c.state == SnapshotState.ACCEPTED)
        .scalar_subquery()
    )
    counts = (
        select(
            snapshots.c.source_id,
            func.count().label("snapshots"),
            func.sum(case((snapshots.c.state == SnapshotState.HELD, 1), else_=0)).label("held"),
            func.min(snapshots.c.id).label("first"),
            func.max(snapshots.c.id).label("last"),
        )
        .group_by(snapshots.c.source_id)
        .subquery()
    )
    last = snapshots.alias()
    rows = tx.execute(
        select(
            sources,
            func.coalesce(counts.c.snapshots, 0).label("snapshots"),
            func.coalesce(counts.c.held, 0).label("held"),
            counts.c.first,
            counts.c.last,
            func.coalesce(last.c.origin, "").label("origin"),
            func.coalesce(snapshots.c.papers, 0).label("papers"),
            func.coalesce(snapshots.c.new, 0).label("new"),
            func.coalesce(snapshots.c.learnt, 0).label("learnt"),
            func.coalesce(snapshots.c.opening, False).label("opening"),
            snapshots.c.notes,
        )
        .select_from(
            sources.outerjoin(counts, counts.c.source_id == sources.c.id)
            .outerjoin(snapshots, snapshots.c.id == newest)
            .outerjoin(last, last.c.id == counts.c.last)
        )
        .order_by(sources.c.id)
    )
    return [_status(row) for row in rows]


def _status(row: Row[Any]) -> SourceStatus:
    return SourceStatus(
        row.name,
        captured_at=row.captured_at,
        failing_since=row.failing_since,
        failure=masked(row.failure) if row.failure else None,
        failed_at=row.failed_at,
        snapshots=row.snapshots,
        held=row.held,
        papers=row.papers,
        new=row.new,
        learnt=row.learnt,
        opening=bool(row.opening),
        watched=row.watched,
        first_snapshot=row.first,
        last_snapshot=row.last,
        origin=row.origin,
        notes=tuple(map(masked, row.notes or ())),
    )
