"""Dry runs in this process, and what a folder holds before and after them."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from newsletter.app.dry_run import DryRun
from newsletter.cli import sending
from newsletter.cli.signals import Signals
from newsletter.delivery.sending import RunResult

_MOVING = ("-wal", "-shm")


def rehearsed(dry: DryRun, *, due_now: bool) -> RunResult:
    """Runs everything that `run --dry-run` runs after it has read the sources."""
    return sending.ran(dry.app, Signals(), due_now=due_now)


def contents(folder: Path) -> dict[str, str]:
    """Returns every file in a folder with its content's hash; of a database, a dump of its tables.

    The files in which SQLite keeps its log come and go.
    """
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(_MOVING)
    }


def _content(path: Path) -> str:
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as database:
            return "\n".join(database.iterdump())
    return hashlib.sha256(path.read_bytes()).hexdigest()
