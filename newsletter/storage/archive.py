"""The public archive of announced papers and editions: SQL to list and search it.

It contains the papers with a `new` entry that was not passed over, unless they were withdrawn.
The full-text index (`paper_search`) is maintained by triggers in the database; see the migration
that creates it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, text

from newsletter.models import EditionState, Entry, EntryKind
from newsletter.storage import log
from newsletter.storage.schema import editions as frozen
from newsletter.storage.schema import entries, log_head, papers, passed, snapshots
from newsletter.text.clean import clean

_TOKENIZER = "unicode61 remove_diacritics 2"
"""How text is split into words: the same as in `paper_search`."""

_LONGEST = 200
"""Characters of a visitor's query that are used."""

_END = 2**63 - 1
"""Greater than every position and every id."""

# With one table in the outer query it is read newest first, and only as far as needed.
_SEARCH = text(
    "SELECT rowid FROM paper_search WHERE paper_search MATCH :terms AND rowid < :before "
    "AND rowid NOT IN (SELECT position FROM passed) "
    "AND NOT EXISTS (SELECT 1 FROM entries AS e JOIN papers AS p ON p.id = e.paper_id "
    "WHERE e.position = paper_search.rowid AND p.withdrawn_at >= e.position) "
    "ORDER BY rowid DESC LIMIT :limit"
)

# Exactly as in its index, so that the index is used: few editions are listed, and all are long.
_LISTED = text("state = 'frozen' AND public = 1 AND planned_at IS NOT NULL")


@dataclass(frozen=True, slots=True)
class DayCount:
    """A day, and the number of papers announced for it."""

    day: date
    papers: int


@dataclass(frozen=True, slots=True)
class Announced:
    """An announced paper, and when it entered the log."""

    entry: Entry
    at: datetime


@dataclass(frozen=True, slots=True)
class PublicEdition:
    """A sent edition as the archive lists it.

    Attributes:
        papers: the number of papers in it.
    """

    id: int
    key: str
    subject: str
    papers: int
    frozen_at: datetime


def stamp(tx: Connection) -> tuple[int, ...]:
    """Returns a value that changes whenever the archive's content may have changed. Fast."""
    row = tx.execute(
        select(
            select(func.max(snapshots.c.id)).scalar_subquery(),
            select(log_head.c.position).scalar_subquery(),
            select(func.max(frozen.c.id)).where(_LISTED).scalar_subquery(),
            select(func.count()).select_from(passed).scalar_subquery(),
        )
    ).one()
    return tuple(int(one or 0) for one in row)


def search(tx: Connection, words: str, limit: int, before: int | None = None) -> list[Entry]:
    """Returns announced papers whose title, abstract and authors contain all of these words.

    Newest first. Any text is accepted: punctuation only separates words, case and accents are
    ignored, and the last word also matches as a prefix. Without any word, nothing is found.
    A paper is found by its newest text and returned with its text as announced.

    Args:
        words: the query as typed by a visitor; text beyond 200 characters is ignored.
        before: only papers before this position, for the next page.
    """
    terms = _terms(words)
    if not terms:
        return []
    *whole, last = (f'"{term}"' for term in terms)
    values = {
        "terms": " ".join((*dict.fromkeys(whole), f"{last}*")),
        "before": _END if before is None else before,
        "limit": limit,
    }
    return log.entries_at(tx, tx.execute(_SEARCH, values).scalars().all())


def _terms(words: str) -> list[str]:
    """Splits the query into words as the index does, in order.

    SQLite itself splits them, in a table in memory: its Unicode rules differ from Python's.
    """
    said = clean(words)[:_LONGEST]
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(f"CREATE VIRTUAL TABLE said USING fts5(words, tokenize='{_TOKENIZER}')")
        scratch.execute("CREATE VIRTUAL TABLE term USING fts5vocab(said, instance)")
        scratch.execute("INSERT INTO said VALUES (?)", (said,))
        return [term for (term,) in scratch.execute("SELECT term FROM term ORDER BY offset")]


def latest(tx: Connection, limit: int) -> list[Announced]:
    """Returns the newest announced papers, newest first."""
    rows = tx.execute(
        _shown(entries.c.position, entries.c.at).order_by(entries.c.position.desc()).limit(limit)
    )
    at = {row.position: row.at for row in rows}
    return [Announced(entry, at[entry.position]) for entry in log.entries_at(tx, list(at))]


def days(tx: Connection, limit: int, before: date | None = None) -> list[DayCount]:
    """Returns the days for which papers were announced, newest first.

    Args:
        before: only days before this one, for the next page.
    """
    query = _shown(entries.c.day, func.count().label("papers")).where(
        entries.c.day < (before or date.max)
    )
    rows = tx.execute(query.group_by(entries.c.day).order_by(entries.c.day.desc()).limit(limit))
    return [DayCount(row.day, row.papers) for row in rows]


def day_entries(tx: Connection, day: date) -> list[Entry]:
    """Returns the papers announced for a day, in log order."""
    query = _shown(entries.c.position).where(entries.c.day == day)
    return log.entries_at(tx, tx.execute(query.order_by(entries.c.position)).scalars().all())


def neighbours(tx: Connection, day: date) -> tuple[date | None, date | None]:
    """Returns the last day before and the first day after this one that have papers."""
    others = _shown(entries.c.day).limit(1)
    previous = others.where(entries.c.day < day).order_by(entries.c.day.desc())
    following = others.where(entries.c.day > day).order_by(entries.c.day)
    return tx.execute(previous).scalar(), tx.execute(following).scalar()


def _shown(*columns: Any) -> Select[Any]:
    """Selects from the entries that the archive shows."""
    return (
        select(*columns)
        .join_from(entries, papers, papers.c.id == entries.c.paper_id)
        .where(
            entries.c.kind == EntryKind.NEW,
            log.not_withdrawn(),
            entries.c.position.not_in(select(passed.c.position)),
        )
    )


def editions(tx: Connection, limit: int, before: int | None = None) -> list[PublicEdition]:
    """Returns the editions that the archive lists, newest first.

    Args:
        before: only editions with a smaller id, for the next page.
    """
    query = select(*_FACTS).where(_LISTED, frozen.c.id < (_END if before is None else before))
    rows = tx.execute(query.order_by(frozen.c.id.desc()).limit(limit))
    return [_edition(row) for row in rows]


def latest_edition(tx: Connection) -> PublicEdition | None:
    """Returns the newest edition that the archive lists, or `None`."""
    return next(iter(editions(tx, 1)), None)


def edition(tx: Connection, key: str) -> PublicEdition | None:
    """Returns the edition with this key, listed or not, or `None` if it was never planned."""
    row = tx.execute(_sent(*_FACTS).where(frozen.c.key == key)).one_or_none()
    return _edition(row) if row else None


def edition_entries(tx: Connection, key: str) -> list[Entry]:
    """Returns all papers of a planned edition, in reading order, with their text as logged."""
    positions = tx.execute(_sent(frozen.c.positions).where(frozen.c.key == key)).scalar()
    return log.entries_at(tx, positions or [])


_FACTS: tuple[Any, ...] = (
    frozen.c.id,
    frozen.c.key,
    frozen.c.subject,
    frozen.c.papers,
    frozen.c.frozen_at,
)


def _sent(*columns: Any) -> Select[Any]:
    """Selects from the editions that were planned for any subscriber."""
    return select(*columns).where(
        frozen.c.state == EditionState.FROZEN, frozen.c.planned_at.is_not(None)
    )


def _edition(row: Row[Any]) -> PublicEdition:
    return PublicEdition(row.id, row.key, row.subject, row.papers, row.frozen_at)
