"""Renames a source, and merges captures already stored under its new name: SQL over `sources`
and the tables that refer to it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, func, literal, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import SnapshotState
from newsletter.storage.schema import (
    blobs,
    entries,
    sightings,
    snapshots,
    source_days,
    sources,
    validators,
)


@dataclass(frozen=True, slots=True)
class Moved:
    """The captures that a source took over from another one.

    Attributes:
        captures: number of its snapshots.
        again: the number of them that have to be read (again).
        pruned: the number that cannot be read again, because their bytes were pruned.
    """

    captures: int = 0
    again: int = 0
    pruned: int = 0


def rename(tx: Connection, source: int, name: str) -> None:
    """Renames a source. No other source may have this name."""
    tx.execute(update(sources).where(sources.c.id == source).values(name=name))


def take_over(tx: Connection, source: int, other: int) -> Moved:
    """Makes the captures of `other` captures of `source`, and deletes `other`.

    Snapshots that were read as captures of `other` become `captured` again, because as captures
    of a source with a history they may announce more. What `other` said of papers is forgotten;
    what was announced stays announced.
    """
    tx.execute(delete(sightings).where(sightings.c.source_id == other))
    tx.execute(delete(source_days).where(source_days.c.source_id == other))
    tx.execute(update(entries).where(entries.c.source_id == other).values(source_id=source))
    moved = _move_snapshots(tx, source, other)
    _move_validators(tx, source, other)
    _move_state(tx, source, other)
    tx.execute(delete(sources).where(sources.c.id == other))
    return moved


def _move_snapshots(tx: Connection, source: int, other: int) -> Moved:
    accepted = snapshots.c.state == SnapshotState.ACCEPTED
    there = snapshots.c.sha256.in_(select(blobs.c.sha256))
    states = (
        tx.execute(
            update(snapshots)
            .where(snapshots.c.source_id == other)
            .values(
                source_id=source,
                opening=False,
                state=case((accepted & there, SnapshotState.CAPTURED), else_=snapshots.c.state),
            )
            .returning(snapshots.c.state)
        )
        .scalars()
        .all()
    )
    return Moved(
        len(states), states.count(SnapshotState.CAPTURED), states.count(SnapshotState.ACCEPTED)
    )


def _move_validators(tx: Connection, source: int, other: int) -> None:
    theirs = select(
        literal(source),
        validators.c.url,
        validators.c.etag,
        validators.c.last_modified,
        validators.c.answered_at,
    ).where(validators.c.source_id == other)
    upsert = insert(validators).from_select([column.name for column in validators.c], theirs)
    mine, now = validators.c, upsert.excluded
    tx.execute(
        upsert.on_conflict_do_update(
            index_elements=[mine.source_id, mine.url],
            set_={
                "etag": now.etag,
                "last_modified": now.last_modified,
                "answered_at": func.coalesce(
                    func.max(mine.answered_at, now.answered_at), mine.answered_at, now.answered_at
                ),
            },
        )
    )
    tx.execute(delete(validators).where(mine.source_id == other))


def _move_state(tx: Connection, source: int, other: int) -> None:
    """Takes over when `other` was last captured, and whether it fails."""
    row = tx.execute(select(sources).where(sources.c.id == other)).one()
    tx.execute(
        update(sources)
        .where(sources.c.id == source)
        .values(
            captured_at=row.captured_at or sources.c.captured_at,
            failing_since=row.failing_since,
            failure=row.failure,
            failed_at=row.failed_at or sources.c.failed_at,
            restored=sources.c.restored | row.restored,
            watched=sources.c.watched | row.watched,
        )
    )
