"""SQLite's errors in the operator's words."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from newsletter.errors import (
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseLocked,
    DatabaseReplaced,
    DiskFull,
    StorageError,
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Converts errors of the database to ours; errors caused by bugs are raised unchanged.

    Raises:
        StorageError: the database could not carry out the operation.
    """
    where = str(path)
    try:
        yield
    except PoolTimeout as exc:
        raise DatabaseLocked(
            "all connections to the database are waiting",
            where=where,
            hint="another process may keep it locked; run this again when it has finished",
        ) from exc
    except (DBAPIError, sqlite3.Error) as exc:
        known = _known(exc.orig if isinstance(exc, DBAPIError) else exc, where)
        if known is None:
            raise  # a bug, which keeps its traceback
        raise known from exc
    except (json.JSONDecodeError, zlib.error) as exc:
        raise DatabaseDamaged(
            "a row of the database is damaged", where=where, hint="restore a backup"
        ) from exc


def _known(exc: BaseException | None, where: str) -> StorageError | None:
    """Returns the error for SQLite's result code, or `None` if only a bug can cause it."""
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    found = _EXPLANATIONS.get(code) or _EXPLANATIONS.get(code & 0xFF)
    if found is None:
        return None
    kind, what, hint = found
    return kind(what, where=where, hint=hint)


_LOCKED = (
    DatabaseLocked,
    "another process keeps the database locked",
    "wait for it to finish, then run this again",
)
_READ_ONLY = (
    StorageError,
    "the database is not writable",
    "check the owner and mode of the file and its folder",
)

_EXPLANATIONS: Mapping[int, tuple[type[StorageError], str, str]] = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,  # too much contention for the write-ahead log
    sqlite3.SQLITE_FULL: (DiskFull, "no room left on the disk", "make room, then run this again"),
    sqlite3.SQLITE_IOERR: (
        DiskFull,
        "the disk failed or is full",
        "make room or fix the disk, then run this again",
    ),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_READONLY_DBMOVED: (
        DatabaseReplaced,
        "the open database was moved away or deleted",
        "restart to use the file that is there now",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StorageError,
        "the database cannot be opened",
        "check that its folder exists, has room and is writable",
    ),
    sqlite3.SQLITE_NOMEM: (
        StorageError,
        "there is not enough memory for the database",
        "close other programs, then run this again",
    ),
    sqlite3.SQLITE_NOLFS: (
        StorageError,
        "the file system does not support a file as large as the database",
        "move it to another file system",
    ),
    sqlite3.SQLITE_INTERRUPT: (StorageError, "the database was interrupted", "run this again"),
    sqlite3.SQLITE_NOTADB: (
        DatabaseForeign,
        "this file is not a database",
        "name another file in [database] url",
    ),
    sqlite3.SQLITE_CORRUPT: (
        DatabaseDamaged,
        "the database file is damaged",
        "restore a backup",
    ),
}
"""Error classes, messages and hints by SQLite's primary or extended result code."""
