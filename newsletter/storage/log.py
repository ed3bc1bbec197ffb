"""The paper log: SQL over `log_head`, `papers`, `paper_keys`, `texts`, `entries`, `listings`.

Reading and appending happen in the caller's one write transaction, so what was
decided from is what is still true when it is carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import Entry, EntryKind, Paper, SnapshotState
from newsletter.papers.changes import Change, Known, Said
from newsletter.storage.schema import (
    entries,
    listings,
    log_head,
    paper_keys,
    papers,
    passed,
    snapshots,
    source_days,
    sources,
    texts,
)

_DAYS_COUNT = timedelta(days=3)
"""How long the latest day is that of newcomers, though only papers without a day came since."""
_CHUNK = 500
"""Values in one `IN (…)`: far below every database's limit."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Which snapshot of which source adds to the log, and when."""

    source: int
    snapshot: int
    at: datetime


def owners(tx: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Who holds these keys, with all other keys of those papers."""
    holders = _in_chunks(tx, select(paper_keys.c.paper_id), paper_keys.c.key, set(keys))
    ids = {row.paper_id for row in holders}
    return {
        row.key: row.paper_id
        for row in _in_chunks(tx, select(paper_keys), paper_keys.c.paper_id, ids)
    }


def known(tx: Connection, ids: Iterable[int], source: int, snapshot: int) -> dict[int, Known]:
    """What is known of these papers when `snapshot` of `source` is read."""
    previous = tx.execute(
        select(func.max(snapshots.c.id)).where(
            snapshots.c.source_id == source, snapshots.c.state == SnapshotState.ACCEPTED
        )
    ).scalar()
    query = (
        select(papers, texts.c.record, listings)
        .join_from(
            papers,
            texts,
            and_(texts.c.paper_id == papers.c.id, texts.c.version == papers.c.version),
        )
        .outerjoin(
            listings, and_(listings.c.paper_id == papers.c.id, listings.c.source_id == source)
        )
    )
    rows = _in_chunks(tx, query, papers.c.id, set(ids))
    return {row.id: _known(row, previous, snapshot) for row in rows}


def _known(row: Row[Any], previous: int | None, snapshot: int) -> Known:
    said = None
    if row.title_said is not None:
        said = Said(row.title_said, row.abstract_said)
    return Known(
        paper=Paper.from_record(row.record),
        version=row.version,
        withdrawn=row.withdrawn,
        said=said,
        last_day=row.last_day,
        in_previous=row.snapshot_id == previous,
        later=(row.snapshot_id or 0) > snapshot,
    )


def listing_days(tx: Connection, source: int, known: Iterable[Known]) -> Sequence[date]:
    """The days for which the source listed anything, ascending, as far as these papers need them.

    What came before the oldest day any of them was listed for decides nothing.
    """
    oldest = min((paper.last_day for paper in known if paper.last_day), default=None)
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


def head(tx: Connection) -> int:
    """The position of the newest entry; 0 for an empty log."""
    return int(tx.execute(select(log_head.c.position)).scalar_one())


def append(tx: Connection, occasion: Occasion, changes: Sequence[Change]) -> None:
    """Carries out what `diff.changes` decided.

    Positions come from the one row of `log_head`, updated in this transaction: its
    lock orders the writers, so nothing ever appears below a position once read.
    """
    entering = [change for change in changes if change.kind]
    position = _advance(tx, len(entering)) if entering else 0
    numbers: dict[int, int] = {}
    lines = []
    for change in entering:
        position += 1
        if change.paper < 0:
            numbers[change.paper] = position
        lines.append(_line(occasion, change, numbers.get(change.paper, change.paper), position))
    settled = [(numbers.get(change.paper, change.paper), change) for change in changes]
    fresh = [(paper, change) for paper, change in settled if not change.stale]
    _save_papers(tx, fresh)
    claims = [{"key": key, "paper_id": paper} for paper, change in settled for key in change.claims]
    _insert(tx, paper_keys, claims)
    _insert(tx, entries, lines)
    _save_listings(tx, occasion, fresh)


def _advance(tx: Connection, by: int) -> int:
    """The position before the first of `by` new entries."""
    moved = tx.execute(
        update(log_head).values(position=log_head.c.position + by).returning(log_head.c.position)
    )
    return int(moved.scalar_one()) - by


def _line(occasion: Occasion, change: Change, paper: int, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "kind": change.kind,
        "paper_id": paper,
        "version": change.version,
        "source_id": occasion.source,
        "snapshot_id": occasion.snapshot,
        "day": change.row.listed_on,
        "day_label": change.row.day_label,
        "at": occasion.at,
    }


def _save_papers(tx: Connection, settled: Sequence[tuple[int, Change]]) -> None:
    rows = [
        {
            "id": paper,
            "version": change.version,
            "upvotes": change.row.upvotes,
            "withdrawn": change.kind is EntryKind.WITHDRAWN,
        }
        for paper, change in settled
    ]
    upsert = insert(papers)
    _insert(
        tx,
        upsert.on_conflict_do_update(
            index_elements=[papers.c.id],
            set_={
                "version": upsert.excluded.version,
                "upvotes": func.coalesce(upsert.excluded.upvotes, papers.c.upvotes),
                "withdrawn": papers.c.withdrawn | upsert.excluded.withdrawn,
            },
        ),
        rows,
    )
    _insert(
        tx,
        texts,
        [
            {"paper_id": paper, "version": change.version, "record": change.text.record()}
            for paper, change in settled
            if change.text
        ],
    )


def _save_listings(
    tx: Connection, occasion: Occasion, settled: Sequence[tuple[int, Change]]
) -> None:
    upsert = insert(listings)
    newer = upsert.excluded
    _insert(
        tx,
        upsert.on_conflict_do_update(
            index_elements=[listings.c.source_id, listings.c.paper_id],
            set_={
                "snapshot_id": newer.snapshot_id,
                "last_day": case(
                    (newer.last_day > listings.c.last_day, newer.last_day),
                    else_=func.coalesce(listings.c.last_day, newer.last_day),
                ),
                "title_said": func.coalesce(
                    func.nullif(newer.title_said, ""), listings.c.title_said
                ),
                "abstract_said": func.coalesce(
                    func.nullif(newer.abstract_said, ""), listings.c.abstract_said
                ),
            },
        ),
        [
            {
                "source_id": occasion.source,
                "paper_id": paper,
                "snapshot_id": occasion.snapshot,
                "last_day": change.row.listed_on,
                "title_said": change.said.title,
                "abstract_said": change.said.abstract,
            }
            for paper, change in settled
        ],
    )
    days = {change.row.listed_on for _, change in settled if change.row.listed_on}
    _insert(
        tx,
        insert(source_days).on_conflict_do_nothing(),
        [{"source_id": occasion.source, "day": day} for day in sorted(days)],
    )


def new_entries(
    tx: Connection, *, after: int = 0, up_to: int | None = None, snapshot: int | None = None
) -> list[Entry]:
    """The announced papers with `after < position <= up_to`, in log order.

    Each with its text as it was then and its newest votes; papers withdrawn since are
    left out, and so are those that the operator passed over. With `snapshot`, only those
    that came with it.
    """
    query = (
        _entries()
        .where(
            entries.c.kind == EntryKind.NEW,
            entries.c.position > after,
            papers.c.withdrawn.is_(False),
            entries.c.position.not_in(select(passed.c.position)),
        )
        .order_by(entries.c.position)
    )
    if up_to is not None:
        query = query.where(entries.c.position <= up_to)
    if snapshot is not None:
        query = query.where(entries.c.snapshot_id == snapshot)
    return [_entry(row) for row in tx.execute(query)]


def entries_at(tx: Connection, positions: Sequence[int]) -> list[Entry]:
    """The entries at these positions, in the order given, whatever became of them since.

    Each with its text as it was then and its newest votes; where there is none, none.
    """
    rows = _in_chunks(tx, _entries(), entries.c.position, set(positions))
    found = {row.position: _entry(row) for row in rows}
    return [found[position] for position in positions if position in found]


def _entries() -> Select[Any]:
    return (
        select(
            entries.c.position,
            entries.c.kind,
            entries.c.day,
            entries.c.day_label,
            texts.c.record,
            papers.c.upvotes,
            sources.c.name,
            snapshots.c.format,
        )
        .join_from(
            entries,
            texts,
            and_(texts.c.paper_id == entries.c.paper_id, texts.c.version == entries.c.version),
        )
        .join(papers, papers.c.id == entries.c.paper_id)
        .join(sources, sources.c.id == entries.c.source_id)
        .join(snapshots, snapshots.c.id == entries.c.snapshot_id)
    )


def _entry(row: Any) -> Entry:
    paper = Paper.from_record(
        row.record, upvotes=row.upvotes, listed_on=row.day, day_label=row.day_label
    )
    return Entry(row.position, EntryKind(row.kind), paper, row.name, row.format)


def came_at(tx: Connection, position: int) -> datetime:
    """When an entry was appended."""
    found: datetime = tx.execute(
        select(entries.c.at).where(entries.c.position == position)
    ).scalar_one()
    return found


def newcomer_cursor(tx: Connection, latest_day: date) -> int:
    """The cursor of somebody who joins now: just before the latest day's new papers.

    Without days, before those of the last snapshot that had any; 0 on an empty log.
    Days after `latest_day` are mistakes of their page and do not count; and days count no more
    when for a while only papers without came.
    """
    new = entries.c.kind == EntryKind.NEW
    days = select(func.max(entries.c.day)).where(new, entries.c.day <= latest_day)
    day = tx.execute(days).scalar()
    if day is not None and _days_count(tx, day):
        latest = entries.c.day == day
    else:
        last = select(func.max(entries.c.snapshot_id)).where(new).scalar_subquery()
        latest = entries.c.snapshot_id == last
    first = tx.execute(select(func.min(entries.c.position)).where(new, latest)).scalar()
    return int(first) - 1 if first else 0


def _days_count(tx: Connection, day: date) -> bool:
    """Whether it is not too long that papers of the latest day came, and only others since."""
    dated, undated = _last_at(tx, entries.c.day == day), _last_at(tx, entries.c.day.is_(None))
    return dated is None or undated is None or undated - dated <= _DAYS_COUNT


def _last_at(tx: Connection, which: ColumnElement[bool]) -> datetime | None:
    """When the newest of these new entries was appended."""
    last = select(func.max(entries.c.position)).where(entries.c.kind == EntryKind.NEW, which)
    return tx.execute(
        select(entries.c.at).where(entries.c.position == last.scalar_subquery())
    ).scalar()


def waiting(tx: Connection, after: int) -> int:
    """How many announced papers lie above a cursor."""
    return int(
        tx.execute(
            select(func.count())
            .join_from(entries, papers, papers.c.id == entries.c.paper_id)
            .where(
                entries.c.kind == EntryKind.NEW,
                entries.c.position > after,
                papers.c.withdrawn.is_(False),
                entries.c.position.not_in(select(passed.c.position)),
            )
        ).scalar_one()
    )


def _insert(tx: Connection, into: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        statement = into if not hasattr(into, "insert") else insert(into)
        tx.execute(statement, rows)


def _in_chunks(
    tx: Connection, query: Select[Any], column: Any, values: Iterable[Any]
) -> Iterable[Row[Any]]:
    wanted = sorted(values)
    filtered = query.where(column.in_(bindparam("wanted", expanding=True)))
    for start in range(0, len(wanted), _CHUNK):
        yield from tx.execute(filtered, {"wanted": wanted[start : start + _CHUNK]})
