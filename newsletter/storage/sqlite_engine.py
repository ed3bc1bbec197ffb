"""Connections to SQLite: their settings, and how a transaction begins."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import Pool, QueuePool

_WAL_RETRY_INTERVAL = 0.02
_WRITE_RETRY_INTERVAL = 0.001
"""Seconds between two tries of operations that SQLite itself does not wait for."""


def make_engine(path: Path, busy_seconds: float, pool: type[Pool] = QueuePool) -> Engine:
    """Returns an engine whose transactions begin explicitly and wait for other writers."""
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
                time.sleep(_WRITE_RETRY_INTERVAL)
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
            time.sleep(_WAL_RETRY_INTERVAL)
        else:
            return
