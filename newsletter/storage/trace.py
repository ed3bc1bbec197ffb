"""The records about one paper: SQL for the `why` command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, select, text

from newsletter.models import EntryKind, SubscriberState
from newsletter.storage.schema import (
    deliveries,
    editions,
    entries,
    passed,
    snapshots,
    sources,
    texts,
)
from newsletter.storage.subscriber_tables import subscribers


@dataclass(frozen=True, slots=True)
class Mention:
    """A log entry about a paper."""

    position: int
    kind: EntryKind
    at: datetime
    day: date | None
    source: str
    snapshot: int
    origin: str
    title: str
    passed: bool
    """Whether the operator passed it over."""


@dataclass(frozen=True, slots=True)
class EditionTrace:
    """An edition that contains a paper, with its deliveries counted by state."""

    edition: int
    key: str
    state: str
    reason: str | None
    at: datetime
    counts: dict[str, int]


def mentions(tx: Connection, paper: int) -> list[Mention]:
    """Returns all log entries about a paper, oldest first."""
    rows = tx.execute(
        select(
            entries,
            sources.c.name,
            snapshots.c.origin,
            texts.c.record,
            passed.c.position.label("passed"),
        )
        .join_from(entries, sources, sources.c.id == entries.c.source_id)
        .join(snapshots, snapshots.c.id == entries.c.snapshot_id)
        .join(
            texts,
            (texts.c.paper_id == entries.c.paper_id) & (texts.c.version == entries.c.version),
        )
        .outerjoin(passed, passed.c.position == entries.c.position)
        .where(entries.c.paper_id == paper)
        .order_by(entries.c.position)
    )
    return [
        Mention(
            row.position,
            EntryKind(row.kind),
            row.at,
            row.day,
            row.name,
            row.snapshot_id,
            row.origin,
            row.record["title"],
            row.passed is not None,
        )
        for row in rows
    ]


def editions_with(tx: Connection, position: int) -> list[EditionTrace]:
    """Returns the editions that contain an entry, oldest first."""
    listed = text("EXISTS (SELECT 1 FROM json_each(editions.positions) WHERE value = :position)")
    found = tx.execute(
        select(editions).where(listed.bindparams(position=position)).order_by(editions.c.id)
    ).all()
    counts: dict[int, dict[str, int]] = {row.id: {} for row in found}
    for row in tx.execute(
        select(deliveries.c.edition_id, deliveries.c.state, func.count().label("many"))
        .where(deliveries.c.edition_id.in_(counts))
        .group_by(deliveries.c.edition_id, deliveries.c.state)
    ):
        counts[row.edition_id][row.state] = row.many
    return [
        EditionTrace(row.id, row.key, row.state, row.reason, row.frozen_at, counts[row.id])
        for row in found
    ]


def still_to_come(tx: Connection, position: int) -> int:
    """Counts active subscribers whose cursor has not reached an entry yet."""
    return int(
        tx.execute(
            select(func.count()).where(
                subscribers.c.state == SubscriberState.ACTIVE, subscribers.c.cursor < position
            )
        ).scalar_one()
    )


def announced_since(tx: Connection, at: datetime) -> int:
    """Counts the papers announced since then."""
    query = select(func.count()).where(entries.c.kind == EntryKind.NEW, entries.c.at >= at)
    return int(tx.execute(query).scalar_one())
