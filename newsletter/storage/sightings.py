"""What each source says of each paper: SQL over `sightings` and `source_days`.

A source has one row for each paper, however often it lists it. What is new, updated, relisted or
withdrawn is decided from these rows by `papers.changes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import Change, EntryKind, KnownPaper, Paper, Sighting, SnapshotState
from newsletter.storage.chunks import in_chunks
from newsletter.storage.schema import papers, sightings, snapshots, source_days, texts


@dataclass(frozen=True, slots=True)
class Occasion:
    """The snapshot and source that entries come from, and when they are appended."""

    source: int
    snapshot: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """A change, the number of its paper, and the position of its entry (0 if it has none)."""

    paper: int
    change: Change
    position: int


def known(tx: Connection, ids: Iterable[int], source: int, snapshot: int) -> dict[int, KnownPaper]:
    """Returns the state of these papers as `snapshot` of `source` is processed."""
    previous = tx.execute(
        select(func.max(snapshots.c.id)).where(
            snapshots.c.source_id == source, snapshots.c.state == SnapshotState.ACCEPTED
        )
    ).scalar()
    mine = sightings
    query = (
        select(
            papers,
            texts.c.record,
            mine.c.record.label("said"),
            mine.c.snapshot_id,
            mine.c.listed,
            mine.c.last_day,
            mine.c.withdrawn,
        )
        .join_from(
            papers,
            texts,
            and_(texts.c.paper_id == papers.c.id, texts.c.version == papers.c.version),
        )
        .outerjoin(mine, and_(mine.c.paper_id == papers.c.id, mine.c.source_id == source))
    )
    rows = in_chunks(tx, query, papers.c.id, set(ids))
    return {row.id: _known(row, previous, snapshot) for row in rows}


def _known(row: Row[Any], previous: int | None, snapshot: int) -> KnownPaper:
    sighting = None
    if row.said is not None:
        sighting = Sighting(
            record=row.said,
            listed=row.listed,
            withdrawn=row.withdrawn,
            last_day=row.last_day,
            in_previous=row.snapshot_id == previous,
            later=row.snapshot_id > snapshot,
        )
    return KnownPaper(
        paper=Paper.from_record(row.record),
        version=row.version,
        announced=row.new_at is not None,
        silent=row.silent,
        withdrawn=row.withdrawn_at is not None,
        sighting=sighting,
    )


def listing_days(tx: Connection, source: int, known: Iterable[KnownPaper]) -> Sequence[date]:
    """Returns the days for which the source listed papers, ascending, as far back as needed.

    Days up to the oldest one of their last listings do not affect any decision.
    """
    last_days = (paper.sighting.last_day for paper in known if paper.sighting)
    oldest = min(filter(None, last_days), default=None)
    if oldest is None:
        return []
    return (
        tx.execute(
            select(source_days.c.day)
            .where(source_days.c.source_id == source, source_days.c.day > oldest)
            .order_by(source_days.c.day)
        )
        .scalars()
        .all()
    )


def save(tx: Connection, occasion: Occasion, settled: Sequence[Settled]) -> None:
    """Records what the source says of these papers, and which of them are withdrawn."""
    if not settled:
        return
    tx.execute(
        _SAVE,
        [
            {
                "source_id": occasion.source,
                "paper_id": one.paper,
                "snapshot_id": occasion.snapshot,
                "record": one.change.record,
                "upvotes": one.change.row.upvotes,
                "listed": one.change.listed,
                "first_day": one.change.row.listed_on,
                "last_day": one.change.row.listed_on,
                "withdrawn": one.change.withdrawn,
            }
            for one in settled
        ],
    )
    _save_days(tx, occasion, settled)
    _save_withdrawals(tx, settled)


def _upsert() -> Any:
    upsert = insert(sightings)
    mine, now = sightings.c, upsert.excluded
    is_newer = now.snapshot_id >= mine.snapshot_id

    def newest(column: str) -> Any:
        return case((is_newer, now[column]), else_=mine[column])

    return upsert.on_conflict_do_update(
        index_elements=[mine.source_id, mine.paper_id],
        set_={
            "snapshot_id": newest("snapshot_id"),
            "record": newest("record"),
            "upvotes": func.coalesce(newest("upvotes"), mine.upvotes, now.upvotes),
            "listed": mine.listed | now.listed,
            "first_day": func.coalesce(
                func.min(mine.first_day, now.first_day), mine.first_day, now.first_day
            ),
            "last_day": func.coalesce(
                func.max(mine.last_day, now.last_day), mine.last_day, now.last_day
            ),
            "withdrawn": newest("withdrawn"),
        },
    )


_SAVE = _upsert()


def _save_days(tx: Connection, occasion: Occasion, settled: Sequence[Settled]) -> None:
    days = {one.change.row.listed_on for one in settled if one.change.row.listed_on}
    if days:
        tx.execute(
            insert(source_days).on_conflict_do_nothing(),
            [{"source_id": occasion.source, "day": day} for day in sorted(days)],
        )


# A reinstated paper is no longer listed as withdrawn by any source.
_WITHDRAW = (
    update(papers)
    .where(papers.c.id == bindparam("paper"))
    .values(
        withdrawn_at=case(
            (
                select(sightings.c.paper_id)
                .where(sightings.c.paper_id == papers.c.id, sightings.c.withdrawn)
                .exists(),
                func.coalesce(bindparam("position"), papers.c.withdrawn_at),
            ),
            else_=None,
        )
    )
)


def _save_withdrawals(tx: Connection, settled: Sequence[Settled]) -> None:
    rows = [
        {"paper": one.paper, "position": one.position if one.change.withdrawn else None}
        for one in settled
        if one.change.kind is EntryKind.WITHDRAWN
        or one.change.reinstated
        # Announced late: the source has already withdrawn it.
        or (one.change.withdrawn and one.change.kind is EntryKind.NEW)
    ]
    if rows:
        tx.execute(_WITHDRAW, rows)
