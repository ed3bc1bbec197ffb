"""The paper log: SQL over `log_head`, `papers`, `paper_keys`, `texts` and `entries`.

Reading and appending happen in one write transaction of the caller, so the data that decisions
were based on is still valid when they are carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import (
    Change,
    Entry,
    EntryKind,
    Paper,
)
from newsletter.storage import sightings
from newsletter.storage.chunks import in_chunks
from newsletter.storage.schema import (
    entries,
    log_head,
    paper_keys,
    papers,
    passed,
    snapshots,
    sources,
    texts,
)
from newsletter.storage.sightings import Occasion, Settled

_DAYS_COUNT = timedelta(days=3)
"""How long new subscribers start at the latest day if later papers have none."""


def owners(tx: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Returns all keys of the papers that have any of these keys, with the papers' ids."""
    holders = in_chunks(tx, select(paper_keys.c.paper_id), paper_keys.c.key, set(keys))
    ids = {row.paper_id for row in holders}
    return {
        row.key: row.paper_id
        for row in in_chunks(tx, select(paper_keys), paper_keys.c.paper_id, ids)
    }


def head(tx: Connection) -> int:
    """Returns the position of the newest entry, or 0 for an empty log."""
    return int(tx.execute(select(log_head.c.position)).scalar_one())


def append(tx: Connection, occasion: Occasion, changes: Sequence[Change]) -> None:
    """Appends the entries that `papers.changes.changes` decided on, and updates their papers.

    Positions come from the single row of `log_head`, updated in this transaction: its lock
    orders the writers, so no entry ever appears below a position that was read.
    """
    many = sum(change.kind is not None for change in changes)
    position = _advance(tx, many) if many else 0
    settled = []
    for change in changes:
        position += change.kind is not None
        paper = change.paper if change.paper > 0 else position
        settled.append(Settled(paper, change, position if change.kind else 0))
    _save_papers(tx, settled)
    claims = [{"key": key, "paper_id": one.paper} for one in settled for key in one.change.claims]
    _insert(tx, paper_keys, claims)
    _insert(tx, entries, [_line(occasion, one) for one in settled if one.change.kind])
    sightings.save(tx, occasion, settled)


def _advance(tx: Connection, by: int) -> int:
    """Reserves positions for `by` new entries. Returns the position before the first."""
    moved = tx.execute(
        update(log_head).values(position=log_head.c.position + by).returning(log_head.c.position)
    )
    return int(moved.scalar_one()) - by


def _line(occasion: Occasion, one: Settled) -> dict[str, Any]:
    return {
        "position": one.position,
        "kind": one.change.kind,
        "paper_id": one.paper,
        "version": one.change.version,
        "source_id": occasion.source,
        "snapshot_id": occasion.snapshot,
        "day": one.change.row.listed_on,
        "day_label": one.change.row.day_label,
        "at": occasion.at,
    }


def _save_papers(tx: Connection, settled: Sequence[Settled]) -> None:
    _insert(
        tx,
        _SAVE_PAPERS,
        [
            {
                "id": one.paper,
                "version": one.change.version,
                "upvotes": None if one.change.stale else one.change.row.upvotes,
                "new_at": one.position if one.change.kind is EntryKind.NEW else None,
                "silent": one.change.silent,
            }
            for one in settled
        ],
    )
    _insert(
        tx,
        texts,
        [
            {
                "paper_id": one.paper,
                "version": one.change.version,
                "record": one.change.text.record(),
            }
            for one in settled
            if one.change.text
        ],
    )


_PAPERS = insert(papers)
_SAVE_PAPERS = _PAPERS.on_conflict_do_update(
    index_elements=[papers.c.id],
    set_={
        "version": _PAPERS.excluded.version,
        "upvotes": func.coalesce(_PAPERS.excluded.upvotes, papers.c.upvotes),
        "new_at": func.coalesce(papers.c.new_at, _PAPERS.excluded.new_at),
        "silent": papers.c.silent | _PAPERS.excluded.silent,
    },
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
            not_withdrawn(),
            entries.c.position.not_in(select(passed.c.position)),
        )
        .order_by(entries.c.position)
    )
    if up_to is not None:
        query = query.where(entries.c.position <= up_to)
    if snapshot is not None:
        query = query.where(entries.c.snapshot_id == snapshot)
    return [_entry(row) for row in tx.execute(query)]


def not_withdrawn() -> ColumnElement[bool]:
    """A condition on `entries` and `papers`: no source withdrew the paper after this entry."""
    return func.coalesce(papers.c.withdrawn_at, 0) < entries.c.position


def entries_at(tx: Connection, positions: Sequence[int]) -> list[Entry]:
    """Returns the entries at these positions, in the order given, even if withdrawn since.

    Each has its text as logged and its newest votes. Positions without an entry are skipped.
    """
    rows = in_chunks(tx, _entries(), entries.c.position, set(positions))
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
        latest = entries.c.snapshot_id == _last_snapshot().scalar_subquery()
    first = tx.execute(select(func.min(entries.c.position)).where(new, latest)).scalar()
    return int(first) - 1 if first else 0


def _last_snapshot() -> Select[tuple[int]]:
    """Returns the query for the last snapshot with new papers.

    `coalesce` keeps the index of kinds from being used, which would read all new entries: from the
    newest snapshot back, the first one is found at once.
    """
    is_new = func.coalesce(entries.c.kind, "") == EntryKind.NEW
    newest_first = entries.c.snapshot_id.desc()
    return select(entries.c.snapshot_id).where(is_new).order_by(newest_first).limit(1)


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
    return int(tx.execute(_waiting(func.count(), after)).scalar_one())


def last_waiting(tx: Connection, after: int) -> int:
    """Returns the position of the last announced paper after a cursor; 0 if there is none."""
    return int(tx.execute(_waiting(func.max(entries.c.position), after)).scalar() or 0)


def _waiting(what: ColumnElement[int], after: int) -> Select[Any]:
    return (
        select(what)
        .join_from(entries, papers, papers.c.id == entries.c.paper_id)
        .where(
            entries.c.kind == EntryKind.NEW,
            entries.c.position > after,
            not_withdrawn(),
            entries.c.position.not_in(select(passed.c.position)),
        )
    )


def _insert(tx: Connection, into: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        statement = into if not hasattr(into, "insert") else insert(into)
        tx.execute(statement, rows)
