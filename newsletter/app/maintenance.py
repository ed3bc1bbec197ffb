"""Backup, restore and pruning."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from pathlib import Path

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import (
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseNewer,
    DatabaseOutdated,
    SourceMissing,
    StorageError,
    UsageError,
)
from newsletter.messages import tokens
from newsletter.storage import backups, generations, installation, locks, pruning
from newsletter.storage.database import Database
from newsletter.storage.database_file import BACKUP_HINT, refuse_as_backup, sqlite_path
from newsletter.subscribers.preferences import UNDO_FOR
from newsletter.text import files


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


def backup(config: Config, target: Path, *, replace: bool = False) -> tuple[Path, int]:
    """Copies the database, which may be in use. Returns the copy and its size in bytes.

    Args:
        config: the configuration.
        target: the file, or the folder to put the copy in.
        replace: whether to replace an existing file.

    Raises:
        StorageError: the copy cannot be made.
        UsageError: the target is the database itself, or exists and is not to be replaced.
    """
    source = sqlite_path(config.database.url)
    with Database(config.database.url, create=False):  # which keeps it from being replaced
        return _backed_up(source, target, replace=replace)


def _backed_up(source: Path, target: Path, *, replace: bool) -> tuple[Path, int]:
    if target.is_dir():
        target /= source.name
    if target.resolve() == source.resolve():
        raise UsageError(
            "that is the database itself", where=str(target), hint="name another file or folder"
        )
    if target.exists() and not replace:
        raise UsageError(
            "this file exists already",
            where=str(target),
            hint="give another name, or --force to replace it",
        )
    backups.copy(source, target)
    return target, target.stat().st_size


def restore(config: Config, file: Path, now: datetime) -> Restored:
    """Replaces the database with a backup, such that nothing is sent twice.

    Raises:
        StorageError: the file is not a backup of ours, or the database is in use.
    """
    _check_is_backup(file)
    target = _file(config)
    # Brings up the schema of the database that is replaced, for the merge. One that cannot be
    # opened is not merged.
    with suppress(StorageError):
        Database(config.database.url, create=False).close()
    with locks.exclusive_use(target):
        return _put_in_place(config, file, target, now, merge=True)


def restored(config: Config, now: datetime, *, nothing_sent: bool = False) -> Restored:
    """Goes on with an older copy of the database, put in place by other means than `restore`.

    Applies the rules of `restore` for a replaced database that cannot be read.

    Args:
        nothing_sent: nothing was sent since the copy was made: accepts the copy, and only ends the
            links that may have been ended since.

    Raises:
        DatabaseMissing: there is no database.
        StorageError: the database is in use, or cannot be changed.
    """
    Database(config.database.url, create=False).close()  # raises unless it exists and is ours
    target = _file(config)
    with locks.exclusive_use(target):
        if not nothing_sent:
            return _put_in_place(config, target, target, now, merge=False)
        backups.end_links(target, now)
        number = backups.raise_generation(target, _noted(target) or 0)
        generations.rewrite(target, number)
        return Restored(None, merged=False)


def prune(config: Config, older_than: timedelta, now: datetime) -> pruning.Pruned:
    """Deletes captured bytes, and records of messages that were completed long ago.

    Raises:
        StorageError: the database cannot be changed.
    """
    with Database(config.database.url, create=False) as database:
        return pruning.prune(database, now - older_than)


def _file(config: Config) -> Path:
    """Returns the database's file. Links are resolved: the locks are next to the actual file."""
    return Path(os.path.realpath(sqlite_path(config.database.url)))


def _noted(target: Path) -> int | None:
    """Returns the number beside the database, or `None` if it is damaged."""
    try:
        return generations.recorded(target)
    except DatabaseDamaged:
        return None


def _put_in_place(
    config: Config, file: Path, target: Path, now: datetime, *, merge: bool
) -> Restored:
    """Replaces the database by a copy of `file`, brought up, with the same sending counter.

    Args:
        merge: take the changes since the backup from the replaced database, if it can be trusted.
    """
    fresh = target.with_name(f".{target.name}.restoring")
    _remove(fresh)
    try:
        with _about_backup(file):
            backups.copy(file, fresh)
            _check_ours(fresh)
        kept, noted = _free_name(target, now), _noted(target)
        trusted = merge and noted is not None and backups.grew_from(target, fresh, at_least=noted)
        done = _brought_up(config, fresh, target, kept, now, trusted=trusted)
        number = backups.raise_generation(fresh, noted or 0)
        backups.fold(fresh)
        backups.exchange(fresh, target, kept)
        generations.rewrite(target, number)
    finally:
        _remove(fresh)
    return done


def _check_is_backup(file: Path) -> None:
    """Raises what is wrong with a file that is to be restored, as far as its header tells."""
    if file.is_dir():
        raise SourceMissing("this is a folder", where=str(file), hint=BACKUP_HINT)
    if not file.is_file():
        raise SourceMissing("there is no such file", where=str(file), hint=BACKUP_HINT)
    refuse_as_backup(file)


@contextmanager
def _about_backup(file: Path) -> Iterator[None]:
    """Names the backup in errors about its content, which are found in the copy of it."""
    try:
        yield
    except (DatabaseForeign, DatabaseNewer, DatabaseOutdated) as error:
        hint = "update this program first" if isinstance(error, DatabaseNewer) else BACKUP_HINT
        raise type(error)(error.what, where=str(file), hint=hint) from error
    except StorageError as error:
        code = getattr(error.__cause__, "sqlite_errorcode", None)
        if isinstance(error, DatabaseDamaged) or code in _DAMAGED:
            raise DatabaseDamaged(
                "this backup is damaged", where=str(file), hint="give another one"
            ) from error
        raise


_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _check_ours(fresh: Path) -> None:
    """Opens the copy once, which migrates an older schema and refuses a foreign or newer one."""
    Database(f"sqlite:///{fresh}").close()
    backups.fold(fresh)


def _brought_up(
    config: Config, fresh: Path, target: Path, kept: Path, now: datetime, *, trusted: bool
) -> Restored:
    """Merges the changes since the backup into it, or marks them as not known."""
    if not trusted:
        unknown = _doubt(config, fresh, target, now)
        return Restored(kept if target.is_file() else None, merged=False, unknown=unknown)
    backups.fold(target)
    taken = backups.take_over(fresh, target, tokens.suppression_hash, now)
    return Restored(kept, merged=True, back=taken.back, away=taken.away)


def _doubt(config: Config, fresh: Path, target: Path, now: datetime) -> int:
    """Plans everything that may have been sent since the backup, and marks it as `unknown`."""
    with backups.all_awake(fresh):
        app = App(config, Database(f"sqlite:///{fresh}"), lambda: now)
        try:
            with app.database.read() as tx:
                paused = installation.is_paused(tx)
            app.sending.resume()  # accepts the clock as correct
            app.planning.plan(now, all_active=True)
            if paused:
                app.sending.pause()
        finally:
            app.close()
        backups.fold(fresh)
    backups.doubt_what_waits(fresh, target, now - UNDO_FOR, tokens.suppression_hash)
    backups.end_links(fresh, now)
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
    # Also the folders in which earlier copies were made, by processes that died.
    for path in fresh.parent.iterdir():
        if path.name.startswith((fresh.name, f".{fresh.name}")):
            files.discard(path)
