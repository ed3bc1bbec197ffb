"""Opens the database safely, migrates it when needed, and explains its errors.

All reads and writes go through `Database.read` and `Database.write`. A write transaction is
never held open during a fetch, a parse or a send.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, Pool, QueuePool

from newsletter.errors import (
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseLocked,
    DatabaseMissing,
    DatabaseNewer,
    DatabaseReplaced,
    DiskFull,
    StorageError,
)
from newsletter.storage import keys, locks
from newsletter.storage.keys import Keys
from newsletter.storage.migrations import HEAD, REVISIONS

APPLICATION_ID = 0x50415045
"""Marks a SQLite file as a database of this program ("PAPE")."""

_SQLITE = "sqlite:///"

_HEADER = 100
"""Size of a SQLite file's header, in bytes."""

_PAUSE = 0.02
_ASK_AGAIN = 0.001  # seconds
"""Seconds between two tries of operations that SQLite itself does not wait for."""

BUSY_SECONDS = 10
"""How long a writer waits for another one before it gives up."""

_ROOM = 1 << 16
"""Bytes that must be free on the disk: enough for a transaction of a few deliveries."""


class Database:
    """One SQLite database file.

    Args:
        url: `sqlite:///path`.
        busy_seconds: how long to wait for another writer.
        create: whether to create a missing file.

    Raises:
        DatabaseForeign: the file belongs to another program.
        DatabaseNewer: a newer version of this program wrote it.
        DatabaseMissing: the file is missing, and `create` is false.
        StorageError: it cannot be opened or written.
    """

    def __init__(
        self, url: str, *, busy_seconds: float = BUSY_SECONDS, create: bool = True
    ) -> None:
        # Lock files are beside the file itself, whatever links lead to it.
        self._path = Path(os.path.realpath(sqlite_path(url)))
        if not create and not _is_there(self._path):
            raise DatabaseMissing(
                "there is no database yet", where=str(self._path), hint="run `newsletter ingest`"
            )
        self._identity = _made_private(self._path)
        _refuse_foreign(self._path)
        self._in_use = locks.shared_use(self._path)
        self._engine = _engine(self._path, busy_seconds)
        try:
            # A restore may have replaced the file while this waited for the lock.
            self._identity = _made_private(self._path)
            _refuse_foreign(self._path)
            self._migrate()
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
            _explained(self._path),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Opens a write transaction, committed as a whole, or rolled back on an exception."""
        with (
            _explained(self._path),
            self._engine.connect().execution_options(write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Lets only one process at a time do the work called `name`; others wait.

        The lock is held by the operating system and ends with the process that holds it.
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
                hint="start again to use the file that is there",
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
        _check_room(self._path.parent)
        engine = _engine(self._path, busy_seconds, pool=NullPool)
        with (
            _explained(self._path),
            engine.connect().execution_options(write=True) as tx,
            tx.begin(),
        ):
            tx.exec_driver_sql("UPDATE standing SET latest_at = latest_at")

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

    def _migrate(self) -> None:
        with self.read() as connection:
            revision = self._revision(connection)
        if revision == HEAD:
            return
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
        if revision not in REVISIONS:
            raise DatabaseNewer(
                f"this database was written by a newer version (schema {revision}, "
                f"known up to {HEAD})",
                where=str(self._path),
                hint="install that version, or restore a backup",
            )
        return str(revision)


def sqlite_path(url: str) -> Path:
    """Returns the file of a `sqlite:///` URL, which may contain any characters.

    Raises:
        StorageError: it is another kind of URL.
    """
    path = url.removeprefix(_SQLITE)
    if path == url or not path or "\0" in path:
        raise StorageError(
            "only SQLite files are supported so far",
            where=url.partition("@")[2] or url,
            hint="write sqlite:///newsletter.db",
        )
    return Path(path)


def _made_private(path: Path) -> tuple[int, int]:
    """Creates the file if it is missing. Returns its device and inode."""
    descriptor = locks.open_private(path)
    try:
        about = os.fstat(descriptor)
    finally:
        # Before SQLite opens it: closing any descriptor of a file frees all locks on it.
        os.close(descriptor)
    return about.st_dev, about.st_ino


def _check_room(folder: Path) -> None:
    """Checks for free disk space by writing to an unnamed temporary file.

    SQLite does not always notice a full disk at once: small transactions may still fit into the
    write-ahead log.

    Raises:
        StorageError: the disk is full, or no file can be created.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()
    except OSError as exc:
        if exc.errno in locks.NO_ROOM:
            raise DiskFull("no room left on the disk", where=str(folder), hint="make room") from exc
        raise StorageError(
            f"no file can be made beside the database ({exc.strerror})",
            where=str(folder),
            hint="check that it exists and may be written to",
        ) from exc


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as exc:  # its folder may not be searched
        raise locks.unreachable(path, exc) from exc


def _refuse_foreign(path: Path) -> None:
    """Checks the file's header, so that nothing is written to another program's file.

    An empty file is accepted, and so is a file with a single page, whose first transaction may
    still be in its write-ahead log. `_revision` checks again with SQL.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
    except OSError as exc:
        raise locks.unreachable(path, exc) from exc
    if not head:
        return
    pages, owner = (int.from_bytes(head[at : at + 4], "big") for at in (28, 68))
    if not head.startswith(b"SQLite format 3\0"):
        what = "this file is no database"
    elif owner != APPLICATION_ID and (owner or pages > 1):
        what = "this database belongs to another program"
    else:
        try:
            path.chmod(0o600)
        except OSError as exc:
            raise locks.unreachable(path, exc) from exc
        return
    raise DatabaseForeign(what, where=str(path), hint="name another file in [database] url")


def _engine(path: Path, busy_seconds: float, pool: type[Pool] = QueuePool) -> Engine:
    # Connections are pooled, because closing the last one copies the whole write-ahead log into
    # the file. Each thread uses its own; waiting for one takes no longer than waiting for
    # another writer.
    waits = {"pool_timeout": busy_seconds} if pool is QueuePool else {}
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=pool,
        **waits,
        hide_parameters=True,  # keeps addresses out of error messages
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
    )

    # pysqlite begins transactions late and implicitly, so that two writers could lose updates.
    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        # Set first: even the switch to WAL may have to wait for another process.
        connection.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
        _use_wal(connection, busy_seconds)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # Erased data must be gone from the file too; not every SQLite build does this by default.
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("write")
        if writing:
            _begin_writing(connection, busy_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_writing(connection: Connection, busy_seconds: float) -> None:
    """Begins a write transaction as soon as there is no other one.

    SQLite's own wait retries less and less often: a process with many short transactions would
    hardly ever let another one write.
    """
    give_up = time.monotonic() + busy_seconds
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as exc:
                busy = getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > give_up:
                    raise
                time.sleep(_ASK_AGAIN)
            else:
                return
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")


def _use_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switches to write-ahead logging.

    Switching a new file needs exclusive access, which SQLite does not wait for by itself: if
    several processes opened a new file at the same time, all but one would fail.
    """
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    command.upgrade(config, "head")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
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
    "the database may not be written to",
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
        "make room or mend the disk, then run this again",
    ),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_READONLY_DBMOVED: (
        DatabaseReplaced,
        "the open database was moved away or deleted",
        "start again to use the file that is there",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StorageError,
        "the database cannot be opened",
        "check that its folder exists, has room and may be written to",
    ),
    sqlite3.SQLITE_NOMEM: (
        StorageError,
        "there is not enough memory for the database",
        "end other programs, then run this again",
    ),
    sqlite3.SQLITE_NOLFS: (
        StorageError,
        "the file system takes no file as large as the database",
        "move it to another file system",
    ),
    sqlite3.SQLITE_INTERRUPT: (StorageError, "the database was interrupted", "run this again"),
    sqlite3.SQLITE_NOTADB: (
        DatabaseForeign,
        "this file is no database",
        "name another file in [database] url",
    ),
    sqlite3.SQLITE_CORRUPT: (
        DatabaseDamaged,
        "the database file is damaged",
        "restore a backup",
    ),
}
"""What SQLite's result codes, primary or extended, mean to the operator."""
