"""Reads a database without creating, migrating, locking or changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from newsletter.errors import DatabaseMissing, StorageError
from newsletter.storage.database_file import APPLICATION_ID, is_there, sqlite_path
from newsletter.storage.migrations import HEAD
from newsletter.storage.sqlite_errors import explained


@contextmanager
def read_only(url: str) -> Iterator[Connection]:
    """Opens an existing database of this version's schema for reading.

    Raises:
        DatabaseMissing: the file is missing.
        StorageError: it cannot be read, or has another schema.
    """
    path = sqlite_path(url)
    if not is_there(path):
        raise DatabaseMissing("there is no database yet", where=str(path))
    engine = create_engine("sqlite://", creator=lambda: _connected(path), poolclass=NullPool)
    with explained(path), engine.connect() as connection:
        if not _is_ours(connection):
            raise StorageError("it is not a database of this version", where=str(path))
        yield connection


def _is_ours(connection: Connection) -> bool:
    owner = connection.exec_driver_sql("PRAGMA application_id").scalar()
    tables = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    if owner != APPLICATION_ID or "alembic_version" not in tables:
        return False
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD


def _connected(path: Path) -> sqlite3.Connection:
    # Without a write-ahead log no process has it open, and SQLite need not make files beside it.
    in_use = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if in_use else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True)
