"""Copies of a database while it is used, and what of a newer one has to survive a restore.

A restore must not send anything twice, nor write to anybody who left. The database that it
replaces knows what was sent since the backup, and what people did: its log, its deliveries,
its people, requests and suppressions are taken over. Where it cannot be read, nobody knows,
and nothing goes out that may have gone out before.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from newsletter.errors import DatabaseDamaged, StorageError
from newsletter.storage.keys import own_of
from newsletter.storage.outbox import LEFT, PAUSED
from newsletter.storage.subscribers import PAUSED_WHEN_REMOVED

SuppressionHash = Callable[[bytes, str], bytes]
"""What a suppression is known by: of the database's own key, and an address or a number."""

_PAGES = 2_000
"""Pages copied at a time; others may write in between."""
_BESIDE = ("-wal", "-journal", "-shm")
"""What SQLite keeps beside a database; it would take it for the one that comes in its place."""

# What was captured, announced and sent, what it is made of, and what was asked for: as the
# newer one has it.
_NEWER = (
    "log_head", "blobs", "sources", "validators", "snapshots", "papers", "paper_keys", "texts",
    "entries", "listings", "source_days", "editions", "passed", "notices", "deliveries",
    "sendings", "standing", "requests",
)  # fmt: skip

_MERGE = (
    *(f"DELETE FROM main.{table}" for table in reversed(_NEWER)),  # noqa: S608  # our names
    *(f"INSERT INTO main.{table} SELECT * FROM newer.{table}" for table in _NEWER),  # noqa: S608
    "INSERT INTO main.subscribers SELECT * FROM newer.subscribers",
    # Numbers are never given twice: links in old mail must not lead to somebody else.
    "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce("
    "(SELECT seq FROM newer.sqlite_sequence AS n WHERE n.name = main.sqlite_sequence.name), 0))",
    "INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM newer.sqlite_sequence "
    "WHERE name NOT IN (SELECT name FROM main.sqlite_sequence)",
)
_KNOWN = (
    # A suppression may have been lifted since.
    "DELETE FROM main.suppressions WHERE hash IN (SELECT mark(normal) FROM newer.subscribers)",
    # Whoever the newer one knows is as it says, under the number and the address it says.
    "DELETE FROM main.subscribers WHERE id IN (SELECT id FROM newer.subscribers) "
    "OR normal IN (SELECT normal FROM newer.subscribers)",
)
_MARKS = ("INSERT OR REPLACE INTO main.suppressions SELECT * FROM newer.suppressions",)
_GONE = (
    # Whoever was forgotten since stays so, and who had left before they were removed.
    "DELETE FROM main.subscribers WHERE normal NOT IN (SELECT normal FROM newer.subscribers) "
    "AND (mark(normal) IN (SELECT hash FROM main.suppressions) OR mark(id) IN "
    "(SELECT hash FROM main.suppressions WHERE reason != :paused_then))",
    "UPDATE main.subscribers SET state = 'paused' WHERE state = 'active' AND mark(id) IN "
    "(SELECT hash FROM main.suppressions WHERE reason = :paused_then) "
    "AND id NOT IN (SELECT id FROM newer.subscribers)",
)
_MOVED = (
    # An address that somebody gave up is not theirs any more; the one since is not known.
    "DELETE FROM main.subscribers WHERE id IN (SELECT subscriber_id FROM newer.requests "
    "WHERE kind = 'change' AND confirmed_at IS NOT NULL "
    "AND id NOT IN (SELECT id FROM main.requests WHERE confirmed_at IS NOT NULL))",
)
_CAUGHT_UP = (
    # Who was removed since comes back, but not to what they had until then,
    "UPDATE main.subscribers SET cursor = max(cursor, coalesce((SELECT max(p.value) "
    "FROM newer.deliveries AS d JOIN newer.editions AS e ON e.id = d.edition_id, "
    "json_each(e.positions) AS p WHERE d.subscriber_id = main.subscribers.id), 0))",
    # nor to what they may have had so long ago that its record is pruned.
    "UPDATE main.subscribers SET cursor = max(cursor, coalesce((SELECT max(p.value) "
    "FROM newer.editions AS e, json_each(e.positions) AS p WHERE e.planned_at < coalesce("
    "(SELECT min(changed_at) FROM newer.deliveries WHERE state = 'sent'), '9999')), 0)) "
    "WHERE (SELECT count(*) FROM newer.deliveries) < "
    "(SELECT seq FROM newer.sqlite_sequence WHERE name = 'deliveries')",
)
_NOT_DUE = ("UPDATE main.subscribers SET next_due_at = NULL WHERE state != 'active'",)
_LEAVERS = (
    *_MARKS,
    "UPDATE main.subscribers SET state = n.state, changed_at = n.changed_at, "
    "paused_until = n.paused_until FROM newer.subscribers AS n "
    "WHERE (n.id = main.subscribers.id OR n.normal = main.subscribers.normal) "
    "AND n.state IN ('paused', 'unsubscribed', 'suppressed')",
    *_GONE,
    "UPDATE main.subscribers SET state = 'suppressed' WHERE state != 'suppressed' "
    "AND mark(main.subscribers.normal) IN (SELECT hash FROM main.suppressions)",
    *_NOT_DUE,
)
_AWAKE = (
    "CREATE TABLE asleep AS SELECT id FROM subscribers WHERE state = 'paused'",
    "UPDATE subscribers SET state = 'active' WHERE state = 'paused'",
)
_ASLEEP = (
    "UPDATE subscribers SET state = 'paused' WHERE id IN (SELECT id FROM asleep)",
    "DROP TABLE asleep",
)
_NOBODY_KNOWS = (
    "UPDATE deliveries SET state = 'unknown', try_at = NULL, claimed_by = NULL, first_at = NULL, "
    "reply = 'the database was restored from a backup; it may have been sent since' "
    "WHERE state IN ('queued', 'deferred', 'sending') "
    # What was cancelled goes after all when they are back: they may have been.
    "OR (state = 'cancelled' AND reply = :paused) OR (state = 'cancelled' "
    "AND reply = :left AND changed_at >= :undone AND changed_at >= (SELECT p.changed_at "
    "FROM subscribers AS p WHERE p.id = subscriber_id AND p.state = 'unsubscribed'))",
    # Who comes, or comes back, begins before the latest papers: they may have had those.
    "UPDATE subscribers SET cursor = max(cursor, (SELECT position FROM log_head)) "
    "WHERE state NOT IN ('active', 'paused')",
    "UPDATE editions SET reason = coalesce(reason || '; ', '') || :doubt "
    "WHERE state = 'held' AND instr(coalesce(reason, ''), :doubt) = 0",
    # Links in mails since the backup must not lead to somebody else.
    "INSERT INTO sqlite_sequence (name, seq) SELECT n.name, 0 FROM "
    "(SELECT 'subscribers' AS name UNION SELECT 'requests') AS n "
    "WHERE n.name NOT IN (SELECT name FROM sqlite_sequence)",
    "UPDATE sqlite_sequence SET seq = seq + :jump WHERE name IN ('subscribers', 'requests')",
    "UPDATE sources SET restored = 1",
    "UPDATE standing SET restored = 1",
    "UPDATE validators SET etag = NULL, last_modified = NULL",
)
_VALUES = {
    "paused_then": PAUSED_WHEN_REMOVED,
    "paused": PAUSED,
    "left": LEFT,
    # Of a held edition, so that the operator decides knowingly.
    "doubt": "the database is a backup: it may have gone out since",
    # More numbers than are given between a backup and its restore.
    "jump": 1_000_000,
}
"""What stands in these statements."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of people whom only the backup has, in numbers.

    Attributes:
        back: are there again.
        away: are not: they had left, were forgotten, or had another address by then.
    """

    back: int
    away: int


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
            ours, theirs = own_of(two), own_of(two, "older")
    except sqlite3.Error:
        return False
    return ours is not None and ours == theirs


def take_over(restored: Path, newer: Path, suppression_hash: SuppressionHash) -> Taken:
    """Brings into a restored database what must not be lost of a newer one.

    Raises:
        StorageError: it cannot be done; nothing is changed.
    """
    with _changing(restored, newer, suppression_hash) as database:
        _run(database, _KNOWN + _MARKS)
        missing = _people(database)
        _run(database, _GONE + _MOVED)
        back = _people(database)
        _run(database, _CAUGHT_UP + _NOT_DUE + _MERGE)
    return Taken(back, missing - back)


@contextmanager
def all_awake(restored: Path) -> Iterator[None]:
    """Who is paused in a restored database is active meanwhile: they may have been since.

    Raises:
        StorageError: it cannot be done.
    """
    with _changing(restored) as database:
        _run(database, _AWAKE)
    yield
    with _changing(restored) as database:
        _run(database, _ASLEEP)


def doubt_what_waits(
    restored: Path, newer: Path, undone: datetime, suppression_hash: SuppressionHash
) -> None:
    """Marks everything in a restored database that may have been sent since as `unknown`.

    Args:
        newer: what is left of the database that is replaced: who left, if it can be read.
        undone: who left since then may have come back to what was cancelled.

    Raises:
        StorageError: it cannot be done; nothing is changed.
    """
    since = undone.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    with _changing(restored) as database:
        _run(database, _NOBODY_KNOWS, undone=since)
    if newer.is_file() and _same_keys(newer, restored):
        # So much of it can be read, and no more.
        with (
            suppress(StorageError),
            _changing(restored, newer, suppression_hash) as database,
        ):
            _run(database, _LEAVERS)


def exchange(fresh: Path, target: Path, kept: Path) -> None:
    """Puts a database in the place of another, if there is one, which is kept.

    At every instant `target` is one of the two. Nobody may have them open.

    Raises:
        StorageError: it cannot be done; the other one stays.
    """
    with _in_words(target):
        _settle(fresh)
        if target.exists():
            _fold_what_can_be(target)
            _keep(target, kept)
        for suffix in _BESIDE:
            # What is left here is of a database that is gone, or that SQLite cannot read.
            beside = target.with_name(target.name + suffix)
            if beside.exists():
                beside.replace(kept.with_name(kept.name + suffix))
        _settle(target.parent)
        fresh.replace(target)
        _settle(target.parent)


def _fold_what_can_be(path: Path) -> None:
    """Brings what lies beside a database into it, if SQLite can; its format stays."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database:
        with suppress(sqlite3.Error):  # a transaction that was cut short is taken back by this
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(target: Path, kept: Path) -> None:
    """Gives a file a second name; where it can have only one, that is a copy."""
    try:
        os.link(target, kept)
    except FileExistsError:
        raise
    except OSError:
        part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
            shutil.copyfile(target, part)
            _settle(part)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)


def fold(path: Path) -> None:
    """Leaves all of a database in its one file. Nobody else may have it open.

    Raises:
        StorageError: it cannot be done.
    """
    with _in_words(path), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def _changing(
    path: Path, newer: Path | None = None, suppression_hash: SuppressionHash | None = None
) -> Iterator[sqlite3.Connection]:
    """A transaction that changes a database: all of it, or nothing when it raises."""
    with _in_words(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
        if newer and suppression_hash:
            database.execute("ATTACH ? AS newer", (str(newer),))
            own = own_of(database)
            if own is None:
                raise DatabaseDamaged("it has lost its keys", where=str(path))

            def mark(of: str | int) -> bytes:
                return suppression_hash(own, str(of))

            database.create_function("mark", 1, mark, deterministic=True)
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")


def _run(database: sqlite3.Connection, statements: tuple[str, ...], **values: str) -> None:
    for statement in statements:
        database.execute(statement, {**_VALUES, **values})


def _people(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM main.subscribers").fetchone()[0])


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
