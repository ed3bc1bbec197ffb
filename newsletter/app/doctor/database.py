"""The database: its folder, its permissions, and whether its content is intact."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.errors import DatabaseMissing
from newsletter.storage import erasure, generations, health
from newsletter.storage.database import Database
from newsletter.storage.database_file import sqlite_path

_MEGABYTE = 1_000_000

_MAX_INTEGRITY_CHECK = 200 * _MEGABYTE
"""Size in bytes above which integrity is not checked, because that reads the whole database."""

_MIN_FREE_SPACE = 200 * _MEGABYTE
"""Bytes that should be free on its disk."""


def check(context: Context) -> Iterator[Finding]:
    """Checks the database and its folder. A missing database is not created."""
    path = sqlite_path(context.config.database.url)
    yield from _folder(path.parent)
    try:
        database = context.open_database()
    except DatabaseMissing:
        yield warning(f"there is no database yet at {path}", "run `newsletter ingest`")
        return
    if context.database_mode & 0o007:
        yield warning(
            f"others could read {path} (mode {context.database_mode:o}) until now",
            "it is private again; see what changed its mode",
        )
    yield _content(database, path)
    yield from _erasures(database)
    generations.check(database)  # raises if it is an older copy, which is a failure


def _folder(folder: Path) -> Iterator[Finding]:
    """Yields the problems with the database's folder."""
    if not folder.is_dir():
        yield failure(f"the folder {folder} is not there", "make it, or name another")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failure(f"{folder} may not be written to", "check its owner and mode")
    mode = folder.stat().st_mode
    if mode & 0o002 and not mode & 0o1000:  # without the sticky bit
        yield warning(
            f"anybody on this machine may replace what is in {folder}",
            f"run `chmod o-w {shlex.quote(str(folder))}`",
        )
    free = shutil.disk_usage(folder).free
    if free < _MIN_FREE_SPACE:
        yield warning(f"{free / _MEGABYTE:,.0f} MB are free for the database", "make room")


def _erasures(database: Database) -> Iterator[Finding]:
    with database.read() as tx:
        is_noted = erasure.noted(tx)
    if is_noted:
        yield warning(
            "addresses that were erased are still in the database's files",
            "`newsletter serve` or `newsletter run` removes them; if this stays, end the process "
            "that keeps reading the database",
        )


def _content(database: Database, path: Path) -> Finding:
    """Checks whether the database is intact."""
    size = path.stat().st_size
    with database.read() as tx:
        facts = [f"{path} opens", f"schema {health.revision(tx)}", f"{size / _MEGABYTE:,.1f} MB"]
        if size > _MAX_INTEGRITY_CHECK:
            return ok(", ".join([*facts, "too large to be looked through for damages"]))
        if damages := health.damages(tx):
            return failure(
                f"{path} is damaged: {damages[0]}", "restore a backup: `newsletter restore FILE`"
            )
    return ok(", ".join([*facts, "undamaged"]))
