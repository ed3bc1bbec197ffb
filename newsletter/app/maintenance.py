"""Backup, restore and pruning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from pathlib import Path

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import SourceMissing
from newsletter.messages import tokens
from newsletter.storage import backups, locks, pruning
from newsletter.storage.database import Database
from newsletter.storage.database_file import sqlite_path
from newsletter.subscribers.preferences import UNDO_FOR


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore.

    Attributes:
        kept: the path of the replaced database, or `None` if there was none.
        merged: whether the changes since the backup were taken from the replaced database.
        unknown: number of messages that may have been sent since the backup.
        back: number of subscribers found only in the backup that were restored.
        away: number of subscribers found only in the backup that were not restored: they had
            unsubscribed, been erased or changed their address.
    """

    kept: Path | None
    merged: bool
    unknown: int = 0
    back: int = 0
    away: int = 0


def backup(config: Config, target: Path) -> int:
    """Copies the database, which may be in use. Returns the size of the copy in bytes.

    Raises:
        StorageError: the copy cannot be made.
    """
    source = sqlite_path(config.database.url)
    Database(config.database.url, create=False).close()  # raises unless it exists and is ours
    if target.is_dir():
        target /= source.name
    backups.copy(source, target)
    return target.stat().st_size


def restore(config: Config, file: Path, now: datetime) -> Restored:
    """Replaces the database with a backup, such that nothing is sent twice.

    Raises:
        StorageError: the file is not a backup of ours, or the database is in use.
    """
    if not file.is_file():
        raise SourceMissing("no such file", where=str(file), hint="name a backup")
    # Symbolic links are resolved, because the locks are next to the actual file.
    target = Path(os.path.realpath(sqlite_path(config.database.url)))
    fresh = target.with_name(f".{target.name}.restoring")
    _remove(fresh)
    try:
        backups.copy(file, fresh)
        _check_ours(fresh)
        with locks.exclusive_use(target):
            kept = _free_name(target, now)
            done = _brought_up(config, fresh, target, kept, now)
            backups.exchange(fresh, target, kept)
    finally:
        _remove(fresh)
    return done


def prune(config: Config, older_than: timedelta, now: datetime) -> pruning.Pruned:
    """Deletes captured bytes, and records of messages that were completed long ago.

    Raises:
        StorageError: the database cannot be changed.
    """
    with Database(config.database.url, create=False) as database:
        return pruning.prune(database, now - older_than)


def _check_ours(fresh: Path) -> None:
    """Opens the copy once, which migrates an older schema and refuses a foreign or newer one."""
    Database(f"sqlite:///{fresh}").close()
    backups.fold(fresh)


def _brought_up(config: Config, fresh: Path, target: Path, kept: Path, now: datetime) -> Restored:
    """Merges the changes since the backup into it, or marks them as not known."""
    if not target.is_file():
        return Restored(None, merged=False, unknown=_doubt(config, fresh, target, now))
    if not backups.grew_from(target, fresh):
        return Restored(kept, merged=False, unknown=_doubt(config, fresh, target, now))
    backups.fold(target)
    taken = backups.take_over(fresh, target, tokens.suppression_hash)
    return Restored(kept, merged=True, back=taken.back, away=taken.away)


def _doubt(config: Config, fresh: Path, target: Path, now: datetime) -> int:
    """Plans everything that may have been sent since the backup, and marks it as `unknown`."""
    with backups.all_awake(fresh):
        app = App(config, Database(f"sqlite:///{fresh}"), lambda: now)
        try:
            app.sending.resume()  # accepts the clock as correct
            app.planning.plan(now, all_active=True)
        finally:
            app.close()
        backups.fold(fresh)
    backups.doubt_what_waits(fresh, target, now - UNDO_FOR, tokens.suppression_hash)
    with Database(f"sqlite:///{fresh}") as database:
        unknown = pruning.count_unknown(database)
    backups.fold(fresh)
    return unknown


def _free_name(target: Path, now: datetime) -> Path:
    """Returns an unused path to keep the replaced database at."""
    plain = target.with_name(f"{target.name}.replaced-{now:%Y%m%dT%H%M%S}")
    others = (plain.with_name(f"{plain.name}-{number}") for number in count(2))
    return next(path for path in chain([plain], others) if not path.exists())


def _remove(fresh: Path) -> None:
    for path in fresh.parent.glob(f"{fresh.name}*"):
        path.unlink(missing_ok=True)
