"""What was announced to everybody, for who looks for it: SQL for the public archive.

A paper is in it that has a `new` entry which nobody passed over, unless it was withdrawn.
The index of words (`paper_search`) is made and kept by the database itself: see the
migration that makes it.
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
"""What a word is: as `paper_search` has it."""

_LONGEST = 200
"""Characters of a visitor's words that are looked at."""

_END = 2**63 - 1
"""After every position, and after every number."""

# One table in the outer query: so it is read newest first, and only as far as is needed.
_SEARCH = text(
    "SELECT rowid FROM paper_search WHERE paper_search MATCH :terms AND rowid < :before "
    "AND rowid NOT IN (SELECT position FROM passed) "
    "AND NOT (SELECT withdrawn FROM papers WHERE id = paper_search.rowid) "
    "ORDER BY rowid DESC LIMIT :limit"
)

# Word for word as its index has it: one in a thousand editions may be listed, and all are long.
_LISTED = text("state = 'frozen' AND public = 1 AND planned_at IS NOT NULL")


@dataclass(frozen=True, slots=True)
class DayCount:
    """A day, and how many papers were announced for it."""

    day: date
    papers: int


@dataclass(frozen=True, slots=True)
class Announced:
    """An announced paper, and when it entered the log."""

    entry: Entry
    at: datetime


@dataclass(frozen=True, slots=True)
class PublicEdition:
    """An edition that was sent, as the archive names it.

    Attributes:
        papers: how many it has.
    """

    id: int
    key: str
    subject: str
    papers: int
    frozen_at: datetime


def stamp(tx: Connection) -> tuple[int, ...]:
    """Another one whenever anything that the archive shows may be another. Quick."""
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
    """The announced papers whose title, abstract and authors have all of these words.

    Newest first. Any text will do: signs only part words, capitals and accents do not
    count, and the last word may be the beginning of one. Without a word, nothing is found.
    A paper is found by its newest text, and given with its text as it was announced.

    Args:
        words: as a visitor types them; what is beyond 200 characters does not count.
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
    """The words as the index would have them, in their order.

    SQLite itself splits them, in a table of its own in memory: its alphabet is not Python's.
    """
    said = clean(words)[:_LONGEST]
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(f"CREATE VIRTUAL TABLE said USING fts5(words, tokenize='{_TOKENIZER}')")
        scratch.execute("CREATE VIRTUAL TABLE term USING fts5vocab(said, instance)")
        scratch.execute("INSERT INTO said VALUES (?)", (said,))
        return [term for (term,) in scratch.execute("SELECT term FROM term ORDER BY offset")]


def latest(tx: Connection, limit: int) -> list[Announced]:
    """The newest announced papers, newest first."""
    rows = tx.execute(
        _shown(entries.c.position, entries.c.at).order_by(entries.c.position.desc()).limit(limit)
    )
    at = {row.position: row.at for row in rows}
    return [Announced(entry, at[entry.position]) for entry in log.entries_at(tx, list(at))]


def days(tx: Connection, limit: int, before: date | None = None) -> list[DayCount]:
    """The days for which papers were announced, newest first.

    Args:
        before: only days before this one, for the next page.
    """
    query = _shown(entries.c.day, func.count().label("papers")).where(
        entries.c.day < (before or date.max)
    )
    rows = tx.execute(query.group_by(entries.c.day).order_by(entries.c.day.desc()).limit(limit))
    return [DayCount(row.day, row.papers) for row in rows]


def day_entries(tx: Connection, day: date) -> list[Entry]:
    """The papers announced for a day, in log order."""
    query = _shown(entries.c.position).where(entries.c.day == day)
    return log.entries_at(tx, tx.execute(query.order_by(entries.c.position)).scalars().all())


def neighbours(tx: Connection, day: date) -> tuple[date | None, date | None]:
    """The last day before and the first day after this one that have papers."""
    others = _shown(entries.c.day).limit(1)
    previous = others.where(entries.c.day < day).order_by(entries.c.day.desc())
    following = others.where(entries.c.day > day).order_by(entries.c.day)
    return tx.execute(previous).scalar(), tx.execute(following).scalar()


def _shown(*columns: Any) -> Select[Any]:
    """Of the entries that the archive shows."""
    return (
        select(*columns)
        .join_from(entries, papers, papers.c.id == entries.c.paper_id)
        .where(
            entries.c.kind == EntryKind.NEW,
            papers.c.withdrawn.is_(False),
            entries.c.position.not_in(select(passed.c.position)),
        )
    )


def editions(tx: Connection, limit: int, before: int | None = None) -> list[PublicEdition]:
    """The editions that the archive lists, newest first.

    Args:
        before: only editions with a smaller number, for the next page.
    """
    query = select(*_FACTS).where(_LISTED, frozen.c.id < (_END if before is None else before))
    rows = tx.execute(query.order_by(frozen.c.id.desc()).limit(limit))
    return [_edition(row) for row in rows]


def latest_edition(tx: Connection) -> PublicEdition | None:
    """The newest edition that the archive lists."""
    return next(iter(editions(tx, 1)), None)


def edition(tx: Connection, key: str) -> PublicEdition | None:
    """The edition of that key, listed or not, if somebody was to get it."""
    row = tx.execute(_sent(*_FACTS).where(frozen.c.key == key)).one_or_none()
    return _edition(row) if row else None


def edition_entries(tx: Connection, key: str) -> list[Entry]:
    """All papers of an edition that somebody was to get, in reading order, as they were then."""
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
    """Of the editions that somebody was to get."""
    return select(*columns).where(
        frozen.c.state == EditionState.FROZEN, frozen.c.planned_at.is_not(None)
    )


def _edition(row: Row[Any]) -> PublicEdition:
    return PublicEdition(row.id, row.key, row.subject, row.papers, row.frozen_at)
