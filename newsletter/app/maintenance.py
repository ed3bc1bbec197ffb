"""Backups, restoring them, and letting old bytes go."""

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
from newsletter.storage.database import Database, sqlite_path
from newsletter.subscribers.preferences import UNDO_FOR


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        kept: where the database is that was replaced; `None` if there was none.
        merged: whether what was sent since the backup, and who did what, is known from it.
        unknown: mails that may have been sent since.
        back: people removed since the backup who are there again.
        away: such people who are not: they had left, were forgotten, or had another address.
    """

    kept: Path | None
    merged: bool
    unknown: int = 0
    back: int = 0
    away: int = 0


def backup(config: Config, target: Path) -> int:
    """Copies the database, which may be in use; how many bytes.

    Raises:
        StorageError: it cannot be done.
    """
    source = sqlite_path(config.database.url)
    Database(config.database.url, create=False).close()  # is it there, and ours?
    if target.is_dir():
        target /= source.name
    backups.copy(source, target)
    return target.stat().st_size


def restore(config: Config, file: Path, now: datetime) -> Restored:
    """Puts a backup in the place of the database, so that nothing is sent twice.

    Raises:
        StorageError: it is no backup of ours, or the database is in use.
    """
    if not file.is_file():
        raise SourceMissing("no such file", where=str(file), hint="name a backup")
    # The file itself, whatever leads to it: its locks lie beside it.
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
    """Lets go of captured bytes and of what is left of mails that are long done.

    Raises:
        StorageError: it cannot be done.
    """
    with Database(config.database.url, create=False) as database:
        return pruning.prune(database, now - older_than)


def _check_ours(fresh: Path) -> None:
    """Opens it once: brings an older one up to date, refuses a foreign or newer one."""
    Database(f"sqlite:///{fresh}").close()
    backups.fold(fresh)


def _brought_up(config: Config, fresh: Path, target: Path, kept: Path, now: datetime) -> Restored:
    """Brings into the backup what is known of the time since, or that nothing is."""
    if not target.is_file():
        return Restored(None, merged=False, unknown=_doubt(config, fresh, target, now))
    if not backups.grew_from(target, fresh):
        return Restored(kept, merged=False, unknown=_doubt(config, fresh, target, now))
    backups.fold(target)
    taken = backups.take_over(fresh, target, tokens.suppression_hash)
    return Restored(kept, merged=True, back=taken.back, away=taken.away)


def _doubt(config: Config, fresh: Path, target: Path, now: datetime) -> int:
    """Everything that may have been sent since the backup is planned, and becomes `unknown`."""
    with backups.all_awake(fresh):
        app = App(config, Database(f"sqlite:///{fresh}"), lambda: now)
        try:
            app.sending.resume()  # the clock is taken as right
            app.planning.plan(now, everybody=True)
        finally:
            app.close()
        backups.fold(fresh)
    backups.doubt_what_waits(fresh, target, now - UNDO_FOR, tokens.suppression_hash)
    with Database(f"sqlite:///{fresh}") as database:
        unknown = pruning.count_unknown(database)
    backups.fold(fresh)
    return unknown


def _free_name(target: Path, now: datetime) -> Path:
    """What the database that is replaced is called then."""
    plain = target.with_name(f"{target.name}.replaced-{now:%Y%m%dT%H%M%S}")
    others = (plain.with_name(f"{plain.name}-{number}") for number in count(2))
    return next(path for path in chain([plain], others) if not path.exists())


def _remove(fresh: Path) -> None:
    for path in fresh.parent.glob(f"{fresh.name}*"):
        path.unlink(missing_ok=True)
