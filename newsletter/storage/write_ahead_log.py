"""Empties SQLite's write-ahead log, where the pages of erased data would stay.

SQLite reuses the log's file from its beginning and never clears the rest while a process has the
database open. A service has it open for months.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_WAIT = 0.1
"""Seconds to wait for readers, while writers wait too."""


class WriteAheadLog:
    """The write-ahead log of one database.

    Args:
        database: the file of the database.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file = database.with_name(f"{database.name}-wal")

    def is_empty(self) -> bool:
        """Whether nothing is in it.

        Raises:
            OSError: this cannot be determined.
        """
        try:
            return not self._file.stat().st_size
        except FileNotFoundError:
            return True

    def empty(self) -> bool:
        """Copies it into the database and empties it. Returns whether it is empty now.

        Others wait for it for a tenth of a second at most: if one goes on reading or writing for
        longer, a later attempt succeeds.
        """
        if self.is_empty():
            return True
        address = f"{self._database.absolute().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_WAIT)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # which keeps no one waiting
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:
            return False  # busy, or a fault that the next transaction meets as well
        return not busy
