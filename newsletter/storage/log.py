"""The paper log: SQL over `log_head`, `papers`, `paper_keys`, `texts`, `entries`, `listings`.

Reading and appending happen in one write transaction of the caller, so the data that decisions
were based on is still valid when they are carried out.
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

from newsletter.models import (
    Change,
    Entry,
    EntryKind,
    Fingerprints,
    KnownPaper,
    Paper,
    SnapshotState,
)
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
"""How long new subscribers start at the latest day if later papers have none."""
_CHUNK = 500
"""Values in one `IN (…)`, far below any database's limit."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """The snapshot and source that entries come from, and when they are appended."""

    source: int
    snapshot: int
    at: datetime


def owners(tx: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Returns all keys of the papers that have any of these keys, with the papers' ids."""
    holders = _in_chunks(tx, select(paper_keys.c.paper_id), paper_keys.c.key, set(keys))
    ids = {row.paper_id for row in holders}
    return {
        row.key: row.paper_id
        for row in _in_chunks(tx, select(paper_keys), paper_keys.c.paper_id, ids)
    }


def known(tx: Connection, ids: Iterable[int], source: int, snapshot: int) -> dict[int, KnownPaper]:
    """Returns what is known about these papers as `snapshot` of `source` is processed."""
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


def _known(row: Row[Any], previous: int | None, snapshot: int) -> KnownPaper:
    said = None
    if row.title_said is not None:
        said = Fingerprints(row.title_said, row.abstract_said)
    return KnownPaper(
        paper=Paper.from_record(row.record),
        version=row.version,
        withdrawn=row.withdrawn,
        said=said,
        last_day=row.last_day,
        in_previous=row.snapshot_id == previous,
        later=(row.snapshot_id or 0) > snapshot,
    )


def listing_days(tx: Connection, source: int, known: Iterable[KnownPaper]) -> Sequence[date]:
    """Returns the days for which the source listed papers, ascending, as far as these need them.

    Days up to the oldest one of their last listings do not affect any decision.
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
    """Returns the position of the newest entry, or 0 for an empty log."""
    return int(tx.execute(select(log_head.c.position)).scalar_one())


def append(tx: Connection, occasion: Occasion, changes: Sequence[Change]) -> None:
    """Appends the entries that `papers.changes.changes` decided on, and updates their papers.

    Positions come from the single row of `log_head`, updated in this transaction: its lock
    orders the writers, so no entry ever appears below a position that was read.
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
    """Reserves positions for `by` new entries. Returns the position before the first."""
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
    """Returns the announced papers with `after < position <= up_to`, in log order.

    Each has its text as logged and its newest votes. Papers withdrawn since or passed over by
    the operator are left out.

    Args:
        snapshot: only papers that came with this snapshot.
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
    """Returns the entries at these positions, in the order given, even if withdrawn since.

    Each has its text as logged and its newest votes. Positions without an entry are skipped.
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
    """Returns when an entry was appended."""
    found: datetime = tx.execute(
        select(entries.c.at).where(entries.c.position == position)
    ).scalar_one()
    return found


def newcomer_cursor(tx: Connection, latest_day: date) -> int:
    """Returns the cursor of a new subscriber: just before the new papers of the latest day.

    If days are not known, it is just before those of the last snapshot with new papers; for an
    empty log it is 0. Days after `latest_day` are errors of their page and are ignored, and all
    days are ignored if for some time only papers without a day have arrived.
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
    """Whether papers of the latest day arrived recently, compared with papers without a day."""
    dated, undated = _last_at(tx, entries.c.day == day), _last_at(tx, entries.c.day.is_(None))
    return dated is None or undated is None or undated - dated <= _DAYS_COUNT


def _last_at(tx: Connection, which: ColumnElement[bool]) -> datetime | None:
    """Returns when the newest of these `new` entries was appended, or `None`."""
    last = select(func.max(entries.c.position)).where(entries.c.kind == EntryKind.NEW, which)
    return tx.execute(
        select(entries.c.at).where(entries.c.position == last.scalar_subquery())
    ).scalar()


def waiting(tx: Connection, after: int) -> int:
    """Returns the number of announced papers after a cursor."""
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
