"""The sending counter, which shows when the database is an old copy, put back after mail was sent.

Every transaction that claims messages raises the counter in the database. The new number is
written to a file beside the database, `NAME.generation`, before the first of these messages is
sent. So a database whose counter is at least the file's has a record of every claim, and no message
that was sent is still queued in it. One with a lower counter lacks records of what was sent since.

A lower number in the file is accepted: the process died between the two steps, or the database was
moved here without its file. A rollback of both, such as a snapshot of the whole machine, is not
noticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, select, update

from newsletter.errors import DatabaseDamaged, DatabaseOlder, DiskFull, StorageError
from newsletter.storage import locks
from newsletter.storage.database import Database
from newsletter.storage.schema import installation
from newsletter.text import files

SYNC_SECONDS = 1.0
"""Seconds until a number written to the file is flushed to disk.

A power cut may undo that much; killing the process undoes nothing.
"""

_MOST = 64  # bytes to read
_FORM = re.compile(rb"[0-9]{20}\n")
"""The file's content: of fixed length, so that it can be overwritten in place."""

_GENERATION = select(installation.c.generation)
_RAISE = (
    update(installation)
    .values(generation=installation.c.generation + 1)
    .returning(installation.c.generation)
)


def get(tx: Connection) -> int:
    """Returns the database's counter."""
    return int(tx.execute(_GENERATION).scalar_one())


def raised(tx: Connection) -> int:
    """Raises the database's counter, and returns it."""
    return int(tx.execute(_RAISE).scalar_one())


def check(database: Database) -> None:
    """Checks that the database has a record of everything that was sent. Changes nothing.

    Raises:
        DatabaseOlder: its counter is lower than the file's.
        StorageError: the file or the database cannot be read.
    """
    # The file first: the other way round, another process could raise both in between.
    noted = recorded(database.file)
    with database.read() as tx:
        _compare(database.file, noted, get(tx))


def begin(database: Database) -> None:
    """Checks the same before a run, and writes the file if its number is lower or it is missing.

    Raises:
        DatabaseOlder: the database's counter is lower than the file's.
        StorageError: the file or the database cannot be read, or the file cannot be written.
    """
    noted = recorded(database.file)
    with database.read() as tx:
        known = get(tx)
    _compare(database.file, noted, known)
    note(database.file, known)


def is_beside(database: Path) -> bool:
    """Whether the file is there: if so, there was a database at this path."""
    return _beside(database).exists()


def recorded(database: Path) -> int:
    """Returns the number in the file beside the database; 0 if there is no file.

    Raises:
        DatabaseDamaged: the file has other content.
        StorageError: it cannot be read.
    """
    path = _beside(database)
    with _exclusive(database), _explained(path):
        try:
            descriptor = files.open_regular(path, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_MOST)
    return _number(path, content)


def note(database: Path, number: int, *, sync: bool = True) -> None:
    """Writes a number to the file, unless the file has a higher one.

    Args:
        sync: whether to flush it to disk before returning.

    Raises:
        DatabaseDamaged: the file has other content.
        StorageError: it cannot be read or written.
    """
    path = _beside(database)
    with _exclusive(database), _explained(path):
        try:
            descriptor = files.open_regular(path, os.O_RDWR)
        except FileNotFoundError:
            _create(path, number)
            return
        try:
            noted = _number(path, os.read(descriptor, _MOST))
            os.pwrite(descriptor, _content(max(noted, number)), 0)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rewrite(database: Path, number: int) -> None:
    """Writes a number to the file, whatever its content.

    Raises:
        StorageError: it cannot be written.
    """
    path = _beside(database)
    with _exclusive(database), _explained(path):
        _create(path, number)


def copy(database: Path, target: Path) -> None:
    """Copies the file beside a database, if there is one, to beside the place of a copy of it.

    Creates no lock file. The database must be copied afterwards: the other way round, another
    process could raise both in between.

    Raises:
        StorageError: the file cannot be read or written.
    """
    path = _beside(database)
    with _explained(path):
        try:
            descriptor = files.open_regular(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_MOST)
        files.create(_beside(target), content, 0o600)


class Counter:
    """Raises the counter during one run.

    Args:
        database: the run's database.
    """

    def __init__(self, database: Database) -> None:
        self._file = database.file
        self._reached: int | None = None
        self._synced_at: float | None = None

    def reach(self, number: int) -> None:
        """Remembers the number of a transaction that is committed, for `note`."""
        self._reached = number

    def note(self) -> None:
        """Writes the number to the file, if it has been raised since.

        Raises:
            StorageError: it cannot be written; none of the claimed messages may be sent.
        """
        if self._reached is None:
            return
        now = monotonic()
        sync = self._synced_at is None or now - self._synced_at >= SYNC_SECONDS
        note(self._file, self._reached, sync=sync)
        self._reached = None
        if sync:
            self._synced_at = now


def _beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.generation")


def _compare(database: Path, noted: int, known: int) -> None:
    if noted > known:
        raise DatabaseOlder(
            "this database is older than the mail that was sent from it "
            f"(its counter says {known}, {_beside(database).name} says {noted})",
            where=str(database),
            hint="`newsletter restored` accepts it and resends nothing that may have been sent; "
            "use `newsletter restored --nothing-sent` if nothing was sent since",
        )


def _content(number: int) -> bytes:
    return b"%020d\n" % number


def _number(path: Path, content: bytes) -> int:
    if not _FORM.fullmatch(content):
        raise DatabaseDamaged(
            "the sending counter is damaged",
            where=str(path),
            hint="`newsletter restored` writes it again and resends nothing that may have been "
            "sent",
        )
    return int(content)


def _create(path: Path, number: int) -> None:
    """Creates or replaces the file, atomically and durably."""
    with files.replacing(path) as file:
        file.write(_content(number))


@contextmanager
def _exclusive(database: Path) -> Iterator[None]:
    """Lets one process at a time read or write the file."""
    with locks.exclusive_work(database, "generation"):
        yield


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        kind = DiskFull if exc.errno in locks.NO_ROOM else StorageError
        raise kind(
            f"the sending counter cannot be read or written ({exc.strerror})",
            where=str(path),
            hint="check its owner and mode, and those of its folder",
        ) from exc
