"""Erased addresses: gone from the database's files, and not only from its tables.

SQLite overwrites a row that it deletes (`secure_delete`). Two kinds of copies stay:

- Older versions of pages, in the database file and its write-ahead log, until the log is copied
  into the file and emptied. That is possible only while no connection reads from it.
- In the unused bytes of a page, whole rows that SQLite moved to another page before, and parts of
  them. `VACUUM` would remove them, but it copies the whole database while all writers wait. Here
  unused bytes that are not zero are overwritten with zeros in the file itself.

That is safe only as `_overwrite` does it: no other process writes, since this one has the lock; the
log is empty, so the pages in the file are the current ones; no byte is changed that SQLite reads;
and a commit follows, after which every connection discards the pages that it has in memory. An
attempt that ended before its commit may have left pages that others still have in memory as they
were, so each attempt begins with a commit.

A transaction that erases sets a note, committed with it, which is removed when all is done: a
number in the file's header that SQLite leaves to applications, `user_version`.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from newsletter.storage import free_space
from newsletter.storage.free_space import Layout
from newsletter.storage.write_ahead_log import WriteAheadLog

INTERVAL = 10.0
"""Seconds between two attempts of a process that keeps running."""
PATIENCE = 2.0
"""Seconds that a command tries for."""

_WAIT = 1.0
"""Seconds to wait for another writer, which keeps no one waiting."""
_PAUSE = 0.05
"""Seconds between two attempts of a command."""
_MOST_PAGES = 1_000
"""Pages that are overwritten in one transaction, while writers wait."""
_TRIES = 5
"""Attempts to empty the log, or to find it empty in a transaction, while others write."""
_CHUNK = 1 << 20
"""Bytes to read at a time; a multiple of every page size."""
_LARGEST = 2**31 - 1


def note(tx: Connection) -> None:
    """Records that the files still contain what this transaction erases."""
    tx.exec_driver_sql(f"PRAGMA user_version={_new_note()}")


def noted(tx: Connection) -> int:
    """Returns 0 if nothing erased is left in the files, and otherwise the last erasure's number."""
    return int(tx.exec_driver_sql("PRAGMA user_version").scalar_one())


def note_in(database: sqlite3.Connection) -> None:
    """Does the same as `note` in a transaction that SQLite's own interface began."""
    database.execute(f"PRAGMA user_version={_new_note()}")


def _new_note() -> int:
    """Returns a random number: an earlier one would pass for an erasure that is completed."""
    return secrets.randbelow(_LARGEST) + 1


class Erasures:
    """Completes the erasures in one database.

    Args:
        database: the file of the database.
    """

    def __init__(self, database: Path) -> None:
        self._path = database
        self._log = WriteAheadLog(database)
        self._tried_at = time.monotonic() - INTERVAL
        self._descriptor: int | None = None

    def finish_if_due(self) -> None:
        """Calls `finish`, unless that was done within the last `INTERVAL` seconds."""
        if time.monotonic() - self._tried_at >= INTERVAL:
            self._tried_at = time.monotonic()
            self.finish()

    def finish_patiently(self) -> bool:
        """Calls `finish` until it succeeds, for `PATIENCE` seconds at most."""
        give_up = time.monotonic() + PATIENCE
        while not self.finish():
            if time.monotonic() > give_up:
                return False
            time.sleep(_PAUSE)
        return True

    def finish(self) -> bool:
        """Empties the log, and removes what is left of erased addresses.

        Returns whether both are done. If not, another process reads or writes the database, and a
        later attempt succeeds. No one waits for it for more than a tenth of a second at a time.
        """
        try:
            with closing(self._connected()) as connection:
                number = _noted(connection)
                if not number:
                    return self._log.empty()
                with _writing(connection):
                    pass
                if not any(self._log.empty() for _ in range(_TRIES)):
                    return False
                return self._finish_pages(connection, number)
        except (sqlite3.Error, OSError):
            return False  # busy, or a fault that the next transaction meets as well

    def _finish_pages(self, connection: sqlite3.Connection, number: int) -> bool:
        file = self._file()
        pages = free_space.layout(os.pread(file, 100, 0))
        if pages is None:
            return False
        found = list(_pages_to_overwrite(file, pages))
        for first in range(0, len(found), _MOST_PAGES):
            some = found[first : first + _MOST_PAGES]
            if not any(self._overwrite(connection, some, pages) for _ in range(_TRIES)):
                return False
        os.fsync(file)
        with _writing(connection):
            is_last = _noted(connection) == number and self._is_in_place()
            if is_last:
                connection.execute("PRAGMA user_version=0")
        return is_last

    def _overwrite(self, connection: sqlite3.Connection, offsets: list[int], pages: Layout) -> bool:
        """Overwrites the unused bytes of these pages. Returns `False` if the log is not empty."""
        if not self._log.empty():
            return False
        file = self._file()
        with _writing(connection):
            if not (self._log.is_empty() and self._is_in_place()):
                return False
            for offset in offsets:
                page = os.pread(file, pages.page, offset)
                for start, end in free_space.unused(page, pages):
                    os.pwrite(file, bytes(end - start), offset + start)
        return True

    def _connected(self) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)

    def _file(self) -> int:
        """Returns a descriptor of the database file, which stays open as long as the process.

        Closing it would release all locks that the process has on the file, and so those of
        connections in use.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        return self._descriptor

    def _is_in_place(self) -> bool:
        """Returns whether the file that is open is still the one at the path; forgets it if not."""
        is_same = os.path.samestat(os.fstat(self._file()), self._path.stat())
        if not is_same:
            self._descriptor = None
        return is_same


def _pages_to_overwrite(file: int, pages: Layout) -> Iterator[int]:
    """Yields the offsets of pages whose unused bytes are not all zero.

    The first page is left out: it has only the names of tables.
    """
    offset = pages.page
    while data := os.pread(file, _CHUNK, offset):
        whole = data[: len(data) // pages.page * pages.page]
        for start in free_space.pages_to_overwrite(whole, pages):
            yield offset + start
        if not whole:
            return
        offset += len(whole)


def _noted(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Opens a write transaction that always changes the file, so that others notice its commit."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Writes the first page, although the number stays the same.
        connection.execute(f"PRAGMA user_version={_noted(connection)}")
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
