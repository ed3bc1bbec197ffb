"""Copies a database in use, and merges the data of a newer one that must survive a restore.

A restore must not send anything twice, nor send to anyone who has unsubscribed. The database it
replaces records what was sent and what subscribers did since the backup, so its log, deliveries,
subscribers, requests and suppressions are taken over. If it cannot be read, this is not known,
and nothing is sent that may have been sent before.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from newsletter.errors import DatabaseDamaged, StorageError
from newsletter.storage import erasure, restore_sql
from newsletter.storage.database_file import BESIDE
from newsletter.storage.keys import own_of
from newsletter.text import files, private_files

SuppressionHash = Callable[[bytes, str], bytes]
"""What a suppression is known by: of the database's own key, and an address or a number."""

_PAGES = 2_000
"""Pages copied at a time; other processes may write in between."""
_STEPS = 1_000_000
"""SQLite's own steps between two calls of `progress` while a copy is verified."""
_VERSIONS, _NO_LOG = 18, b"\1\1"
"""Where a file's header says how it is written and read, and the versions without a write-ahead
log. SQLite's documentation of `sqlite3_deserialize` has them set in this way."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The number of subscribers found only in the backup, by what happened to them.

    Attributes:
        back: restored.
        away: not restored: they had unsubscribed, were erased, or had changed their address.
    """

    back: int
    away: int


def copy(source: Path, target: Path, progress: Callable[[], None] = lambda: None) -> None:
    """Makes a consistent, private, verified copy of a database that may be in use, atomically.

    Args:
        progress: called again and again meanwhile; may raise an exception to end it.

    Raises:
        StorageError: the copy cannot be made.
    """
    with _in_words(target), private_files.private(target) as part:
        fill(part, source, progress)
        part.replace(target)


def fill(
    part: private_files.PrivateFile, source: Path, progress: Callable[[], None] = lambda: None
) -> None:
    """Copies a database into a new file, and verifies the copy.

    SQLite opens files by name, and resolves links such as `/proc/self/fd/3` to a name first. So a
    name that leads elsewhere meanwhile is noticed by the content: a random mark, which no other
    account can read. After that, SQLite opens no other file for writing: a copy needs no journal,
    and the mode of the original, which has a write-ahead log, is not taken over.

    Raises:
        StorageError: the path of the new file leads to another one, or the database is damaged.
    """
    mark = _marked(part.descriptor)
    with closing(_existing(part.path)) as there:
        _check(part, is_ours=_is_marked(there, mark))
        there.execute("PRAGMA journal_mode=MEMORY")
        with closing(_existing(source)) as here:
            # One transaction: otherwise each write of another process starts it over.
            here.execute("BEGIN")
            here.execute("SELECT count(*) FROM sqlite_master").fetchone()
            here.backup(there, pages=_PAGES, progress=lambda *_: progress())
            here.execute("COMMIT")
    os.pwrite(part.descriptor, _NO_LOG, _VERSIONS)
    _check(part, is_ours=part.is_in_place())
    with closing(_unchanging(part.path)) as there:
        there.set_progress_handler(progress, _STEPS)
        if there.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise DatabaseDamaged(
                "the database is damaged", where=str(source), hint="restore a backup"
            )
    _check(part, is_ours=part.is_in_place())  # else another file was verified


def _marked(descriptor: int) -> bytes:
    """Writes a database with a random mark to an empty file, and returns the mark."""
    mark = os.urandom(16)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE mark (value)")
        database.execute("INSERT INTO mark VALUES (?)", (mark,))
        database.commit()
        os.pwrite(descriptor, database.serialize(), 0)
    return mark


def _is_marked(database: sqlite3.Connection, mark: bytes) -> bool:
    try:
        return database.execute("SELECT value FROM mark").fetchall() == [(mark,)]
    except sqlite3.Error:
        return False


def _existing(path: Path) -> sqlite3.Connection:
    """Opens a database, and never creates it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)


def _unchanging(path: Path) -> sqlite3.Connection:
    """Opens a database that nothing changes: for reading, and without any file beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _check(part: private_files.PrivateFile, *, is_ours: bool) -> None:
    if not is_ours:
        raise StorageError(
            "another process replaced the copy while it was written",
            where=str(part.path.parent.parent / part.path.name),
            hint="choose a folder in which other accounts cannot rename files",
        )


def grew_from(newer: Path, older: Path, *, at_least: int) -> bool:
    """Whether one database is a later state of the other: same keys, and its log extended.

    Args:
        at_least: what its sending counter must be; if lower, it is itself an older copy.
    """
    try:
        with closing(sqlite3.connect(f"file:{newer}?mode=ro", uri=True)) as two:
            two.execute("ATTACH ? AS older", (str(older),))
            if two.execute("PRAGMA main.quick_check").fetchone() != ("ok",):
                return False
            if two.execute("SELECT generation FROM main.installation").fetchone()[0] < at_least:
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


def take_over(
    restored: Path, newer: Path, suppression_hash: SuppressionHash, now: datetime
) -> Taken:
    """Merges the data of a newer database that must not be lost into a restored one.

    Both must have the newest schema.

    Raises:
        StorageError: this failed; nothing is changed.
    """
    with _changing(restored, newer, suppression_hash) as database:
        _run(database, restore_sql.KNOWN + restore_sql.MARKS)
        missing = _people(database)
        _run(database, restore_sql.GONE + restore_sql.MOVED)
        back = _people(database)
        if missing > back:
            erasure.note_in(database)
        _run(database, restore_sql.LINKS_ENDED, seconds=_seconds(now))
        _run(database, restore_sql.CAUGHT_UP + restore_sql.NOT_DUE + restore_sql.MERGE)
    return Taken(back, missing - back)


@contextmanager
def all_awake(restored: Path) -> Iterator[None]:
    """Makes paused subscribers of a restored database active for the duration of the context.

    They may have been active at some time since the backup.

    Raises:
        StorageError: this failed.
    """
    with _changing(restored) as database:
        _run(database, restore_sql.AWAKE)
    yield
    with _changing(restored) as database:
        _run(database, restore_sql.ASLEEP)


def doubt_what_waits(
    restored: Path, newer: Path, undone: datetime, suppression_hash: SuppressionHash
) -> None:
    """Marks everything in a restored database that may have been sent since as `unknown`.

    Args:
        newer: what is left of the replaced database; if readable, its unsubscriptions and
            suppressions are taken over.
        undone: subscribers that unsubscribed after this time may have undone it, and got the
            deliveries that were cancelled.

    Raises:
        StorageError: this failed; nothing is changed.
    """
    since = undone.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    with _changing(restored) as database:
        _run(database, restore_sql.MAY_HAVE_BEEN_SENT, undone=since)
    if newer.is_file() and _same_keys(newer, restored):
        # Only this much of it may be readable.
        with (
            suppress(StorageError),
            _changing(restored, newer, suppression_hash) as database,
        ):
            _run(database, restore_sql.LEAVERS)


def end_links(path: Path, now: datetime) -> None:
    """Ends all preferences links, and requests for one or for another address.

    Links that were ended after a backup was made would otherwise work again.

    Raises:
        StorageError: this failed; nothing is changed.
    """
    with _changing(path) as database:
        ended = restore_sql.LINKS_ENDED + restore_sql.REQUESTS_ENDED
        _run(database, ended, seconds=_seconds(now))


def raise_generation(path: Path, least: int) -> int:
    """Raises a database's sending counter to at least `least`. Returns what it is then.

    Raises:
        StorageError: this failed; nothing is changed.
    """
    with _changing(path) as database:
        database.execute("UPDATE installation SET generation = max(generation, ?)", (least,))
        return int(database.execute("SELECT generation FROM installation").fetchone()[0])


def exchange(fresh: Path, target: Path, kept: Path) -> None:
    """Replaces the database at `target`, if there is one, and keeps the old one at `kept`.

    At every moment `target` is one of the two. No process may have them open.

    Raises:
        StorageError: this failed; the old one stays in place.
    """
    with _in_words(target):
        _settle(fresh)
        if target.exists():
            _fold_what_can_be(target)
            _keep(target, kept)
        for suffix in BESIDE:
            # These belong to a database that is gone, or that SQLite cannot read.
            beside = target.with_name(target.name + suffix)
            if beside.exists():
                beside.replace(kept.with_name(kept.name + suffix))
        _settle(target.parent)
        fresh.replace(target)
        _settle(target.parent)


def _fold_what_can_be(path: Path) -> None:
    """Merges the write-ahead log into a database, if SQLite can; keeps its journal mode."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database:
        with suppress(sqlite3.Error):  # rolls back an interrupted transaction
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(target: Path, kept: Path) -> None:
    """Gives a file a second name, or copies it where hard links are not possible."""
    try:
        os.link(target, kept)
    except FileExistsError:
        raise
    except OSError:
        with files.replacing(kept) as copied, target.open("rb") as old:
            shutil.copyfileobj(old, copied)


def fold(path: Path) -> None:
    """Merges everything into the database's main file. No other process may have it open.

    Raises:
        StorageError: this failed.
    """
    with _in_words(path), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def _changing(
    path: Path, newer: Path | None = None, suppression_hash: SuppressionHash | None = None
) -> Iterator[sqlite3.Connection]:
    """Opens a write transaction, committed as a whole, or rolled back if an error is raised."""
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
        # Not every SQLite build overwrites by default what is deleted.
        database.execute("PRAGMA secure_delete=ON")
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")


def _run(database: sqlite3.Connection, statements: tuple[str, ...], **values: str | int) -> None:
    for statement in statements:
        database.execute(statement, {**restore_sql.VALUES, **values})


def _seconds(now: datetime) -> int:
    return math.ceil(now.timestamp())


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
