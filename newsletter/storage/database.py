"""Opens the database safely, and migrates it when needed.

All reads and writes go through `Database.read` and `Database.write`. A write transaction is
never held open during a fetch, a parse or a send.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.pool import NullPool

from newsletter.errors import (
    DatabaseForeign,
    DatabaseNewer,
    DatabaseOutdated,
    DatabaseReplaced,
)
from newsletter.storage import keys, locks
from newsletter.storage.database_file import (
    APPLICATION_ID,
    check_room,
    is_there,
    made_private,
    missing,
    refuse_foreign,
    sqlite_path,
)
from newsletter.storage.erasure import Erasures
from newsletter.storage.keys import Keys
from newsletter.storage.migrations import HEAD, REVISIONS, UNRELEASED
from newsletter.storage.sqlite_engine import make_engine
from newsletter.storage.sqlite_errors import explained

BUSY_SECONDS = 10
"""Seconds that a writer waits for another one before it gives up."""


class Database:
    """One SQLite database file.

    Args:
        url: `sqlite:///path`.
        busy_seconds: how long to wait for another writer.
        create: whether to create the database if its file is missing or empty.

    Raises:
        DatabaseForeign: the file belongs to another program.
        DatabaseNewer: a newer version of this program wrote it.
        DatabaseOutdated: it was written before the first release.
        DatabaseMissing: the file is missing or empty, and `create` is false.
        StorageError: it cannot be opened or written.
    """

    def __init__(
        self, url: str, *, busy_seconds: float = BUSY_SECONDS, create: bool = True
    ) -> None:
        # Lock files are beside the real file, even if the path is a symbolic link.
        self._path = Path(os.path.realpath(sqlite_path(url)))
        if not create and not is_there(self._path):
            raise missing(self._path)
        self._identity = made_private(self._path, create=create)
        refuse_foreign(self._path)
        self.erasures = Erasures(self._path)
        self._in_use = locks.shared_use(self._path)
        self._engine = make_engine(self._path, busy_seconds)
        try:
            # A restore may have replaced the file while this waited for the lock.
            self._identity = made_private(self._path, create=create)
            refuse_foreign(self._path)
            self._migrate(create=create)
        except BaseException:
            self.close()
            raise

    @property
    def file(self) -> Path:
        """The path of the file; names of the lock files beside it begin with its name."""
        return self._path

    @cached_property
    def keys(self) -> Keys:
        """The database's secret keys, read once.

        Raises:
            StorageError: they cannot be read.
        """
        with self.read() as connection:
            return keys.load(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Opens a read-only transaction, which sees one consistent state of the database."""
        with (
            explained(self._path),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Opens a write transaction, committed as a whole, or rolled back on an exception."""
        with (
            explained(self._path),
            self._engine.connect().execution_options(write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Lets only one process at a time do the work called `name`; others wait.

        The operating system releases the lock when the process ends, however it ends.
        """
        with locks.exclusive_work(self._path, name):
            yield

    def check_file(self) -> None:
        """Checks that the file at the path is still the one that was opened.

        Connections keep using the file they have open, so data written there could be lost
        without notice.

        Raises:
            DatabaseReplaced: it is another file, or missing.
            StorageError: it cannot be checked.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        except OSError as exc:
            raise locks.unreachable(self._path, exc) from exc
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise DatabaseReplaced(
                "the open database was moved away, and another file is in its place"
                if found
                else "the open database was moved away or deleted",
                where=str(self._path),
                hint="restart to use the file that is there now",
            )

    def check_writable(self, busy_seconds: float) -> None:
        """Commits a transaction that changes nothing, and checks for free disk space.

        It uses its own connection, so that it never waits for a pooled one.

        Args:
            busy_seconds: how long to wait for another writer.

        Raises:
            StorageError: the database cannot be written now, or `check_file` fails.
        """
        self.check_file()
        check_room(self._path.parent)
        engine = make_engine(self._path, busy_seconds, pool=NullPool)
        with (
            explained(self._path),
            engine.connect().execution_options(write=True) as tx,
            tx.begin(),
        ):
            tx.exec_driver_sql("UPDATE installation SET latest_at = latest_at")

    def close(self) -> None:
        """Closes all connections and releases the lock."""
        self._engine.dispose()
        self._in_use.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _migrate(self, *, create: bool) -> None:
        with self.read() as connection:
            revision = self._revision(connection)
        if revision == HEAD:
            return
        if revision is None and not create:
            raise missing(self._path, "this database is empty")
        with self.write() as connection:
            # Another process may have migrated while we waited for the lock.
            if self._revision(connection) != HEAD:
                _upgrade(connection)

    def _revision(self, connection: Connection) -> str | None:
        """Returns the schema revision, or `None` for an empty database."""
        tables = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\'"
        ).scalars()
        names = set(tables)
        owner = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if not names and owner in (0, APPLICATION_ID):
            return None
        if owner != APPLICATION_ID or "alembic_version" not in names:
            raise DatabaseForeign(
                "this database belongs to another program",
                where=str(self._path),
                hint="name another file in [database] url",
            )
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if revision in UNRELEASED:
            raise DatabaseOutdated(
                "this database was created before the first release and cannot be upgraded",
                where=str(self._path),
                hint="move it away; `newsletter ingest` creates a new one",
            )
        if revision not in REVISIONS:
            raise DatabaseNewer(
                f"this database was written by a newer version (schema {revision}, "
                f"known up to {HEAD})",
                where=str(self._path),
                hint="install that version, or restore a backup",
            )
        return str(revision)


@contextmanager
def kept_if(tx: Connection, keep: bool) -> Iterator[None]:
    """Rolls back what is written inside it unless `keep` is true.

    Used where a write is for some addresses only, but has to take the same time for all of them.
    """
    with tx.begin_nested() as point:
        yield
        if not keep:
            point.rollback()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    command.upgrade(config, "head")
