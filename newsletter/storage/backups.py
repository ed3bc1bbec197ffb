"""Copies of a database while it is used, and what of a newer one has to survive a restore.

A restore must not send anything twice, nor write to anybody who left. The database that it
replaces knows what was sent since the backup: its log, its deliveries, its suppressions
and who left are taken over. Where it cannot be read, nobody knows, and nothing goes out
that may have gone out before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from newsletter import tokens
from newsletter.errors import DatabaseDamaged, StorageError

_PAGES = 2_000
"""Pages copied at a time; others may write in between."""

# What was captured, announced and sent, and what it is made of: as the newer one has it.
_NEWER = (
    "log_head", "blobs", "sources", "validators", "snapshots", "papers", "paper_keys", "texts",
    "entries", "listings", "source_days", "editions", "passed", "notices", "deliveries",
    "sendings", "standing",
)  # fmt: skip

_MERGE = (
    *(f"DELETE FROM main.{table}" for table in reversed(_NEWER)),  # noqa: S608  # our names
    *(f"INSERT INTO main.{table} SELECT * FROM newer.{table}" for table in _NEWER),  # noqa: S608
    # Numbers are never given twice: links in old mail must not lead to somebody else.
    "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce("
    "(SELECT seq FROM newer.sqlite_sequence AS n WHERE n.name = main.sqlite_sequence.name), 0))",
    "INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM newer.sqlite_sequence "
    "WHERE name NOT IN (SELECT name FROM main.sqlite_sequence)",
    # Who is still there has come as far as they have come.
    "UPDATE main.subscribers SET cursor = max(main.subscribers.cursor, n.cursor), "
    "next_due_at = n.next_due_at, last_due_on = n.last_due_on, refusals = n.refusals, "
    "refused_edition = n.refused_edition "
    "FROM newer.subscribers AS n WHERE n.id = main.subscribers.id",
    # Who was removed since comes back, but not to what they had until then.
    "UPDATE main.subscribers SET cursor = max(cursor, coalesce((SELECT max(p.value) "
    "FROM main.deliveries AS d JOIN main.editions AS e ON e.id = d.edition_id, "
    "json_each(e.positions) AS p WHERE d.subscriber_id = main.subscribers.id), 0)) "
    "WHERE id NOT IN (SELECT id FROM newer.subscribers)",
)
_LEAVERS = (
    "INSERT OR IGNORE INTO main.suppressions SELECT * FROM newer.suppressions",
    "UPDATE main.subscribers SET state = n.state, changed_at = n.changed_at "
    "FROM newer.subscribers AS n WHERE n.normal = main.subscribers.normal "
    "AND n.state IN ('paused', 'unsubscribed', 'suppressed')",
    # Whoever was forgotten since stays so.
    "DELETE FROM main.subscribers WHERE normal NOT IN (SELECT normal FROM newer.subscribers) "
    "AND mark(main.subscribers.normal) IN (SELECT hash FROM main.suppressions)",
    "UPDATE main.subscribers SET state = 'suppressed' WHERE state != 'suppressed' "
    "AND mark(main.subscribers.normal) IN (SELECT hash FROM main.suppressions)",
    "UPDATE main.subscribers SET next_due_at = NULL WHERE state != 'active'",
)  # fmt: skip
_NOBODY_KNOWS = (
    "UPDATE deliveries SET state = 'unknown', try_at = NULL, claimed_by = NULL, first_at = NULL, "
    "reply = 'the database was restored from a backup; it may have been sent since' "
    "WHERE state IN ('queued', 'deferred', 'sending')",
    "UPDATE sources SET restored = 1",
    "UPDATE standing SET restored = 1",
    "UPDATE validators SET etag = NULL, last_modified = NULL",
)


def copy(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use, private, whole or not at all.

    Raises:
        StorageError: it cannot be made.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _in_words(target):
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        try:
            with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(part)) as there:
                here.backup(there, pages=_PAGES)
                there.execute("PRAGMA journal_mode=DELETE")
                if there.execute("PRAGMA quick_check").fetchone() != ("ok",):
                    raise DatabaseDamaged(
                        "the database is damaged", where=str(source), hint="restore a backup"
                    )
            _settle(part)
            part.replace(target)
            _settle(target.parent)
        finally:
            part.unlink(missing_ok=True)


def grew_from(newer: Path, older: Path) -> bool:
    """Whether one database is a later state of the other: same keys, same log so far."""
    try:
        with closing(sqlite3.connect(f"file:{newer}?mode=ro", uri=True)) as two:
            two.execute("ATTACH ? AS older", (str(older),))
            if two.execute("PRAGMA main.quick_check").fetchone() != ("ok",):
                return False
            log = "SELECT position, paper_id, at FROM {}.entries"
            more = two.execute(f"{log.format('older')} EXCEPT {log.format('main')} LIMIT 1")
            return more.fetchone() is None and _same_keys(newer, older)
    except sqlite3.Error:
        return False


def _same_keys(newer: Path, older: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{newer}?mode=ro", uri=True)) as two:
            two.execute("ATTACH ? AS older", (str(older),))
            query = "SELECT value FROM {}.secrets WHERE name = 'own'"
            keys = [two.execute(query.format(name)).fetchone() for name in ("main", "older")]
    except sqlite3.Error:
        return False
    return keys[0] is not None and keys[0] == keys[1]


def take_over(restored: Path, newer: Path) -> None:
    """Brings into a restored database what must not be lost of a newer one.

    Raises:
        StorageError: it cannot be done; nothing is changed.
    """
    _change(restored, _MERGE + _LEAVERS, newer)


def doubt_what_waits(restored: Path, newer: Path) -> None:
    """Marks everything in a restored database that may have been sent since as `unknown`.

    Args:
        newer: what is left of the database that is replaced: who left, if it can be read.

    Raises:
        StorageError: it cannot be done; nothing is changed.
    """
    _change(restored, _NOBODY_KNOWS)
    if newer.is_file() and _same_keys(newer, restored):
        with suppress(StorageError):  # so much of it can be read, and no more
            _change(restored, _LEAVERS, newer)


def fold(path: Path) -> None:
    """Leaves all of a database in its one file. Nobody else may have it open.

    Raises:
        StorageError: it cannot be done.
    """
    with _in_words(path), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")


def _change(path: Path, statements: tuple[str, ...], newer: Path | None = None) -> None:
    with _in_words(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
        if newer:
            database.execute("ATTACH ? AS newer", (str(newer),))
            own = database.execute("SELECT value FROM secrets WHERE name = 'own'").fetchone()[0]
            database.create_function("mark", 1, partial(tokens.mark, own), deterministic=True)
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        for statement in statements:
            database.execute(statement)
        database.execute("COMMIT")


def _settle(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        what = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise StorageError(
            f"cannot be written ({what})", where=str(path), hint="check its folder and make room"
        ) from exc
