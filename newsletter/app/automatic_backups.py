"""One backup a day in a folder beside the database, the newest few of which are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from newsletter.app import backup_rotation
from newsletter.config.schema import Config
from newsletter.errors import DatabaseOlder, DiskFull, StorageError
from newsletter.storage import backups, generations, locks
from newsletter.storage.database import Database
from newsletter.text import files


def make_if_due(
    config: Config,
    database: Database,
    now: datetime,
    progress: Callable[[], None] = lambda: None,
) -> Path | None:
    """Makes today's backup if there is none yet, and deletes those that are too old.

    Returns its path, or `None` if none is due, another process is making it, or the database is
    itself an older copy, which must not displace the backups of the newer one.

    Args:
        progress: called again and again while it copies; may raise an exception to end that.

    Raises:
        DiskFull: there is no room for it.
        StorageError: it cannot be made, or the database is damaged.
    """
    file, keep = database.file, config.database.backups
    today = now.astimezone(ZoneInfo(config.newsletter.time_zone)).date()
    folder = file.parent / backup_rotation.FOLDER
    target = folder / backup_rotation.file_name(file.name, today)
    if not keep or target.exists():
        return None
    with locks.unless_busy(file, "backup") as is_ours:
        if not is_ours or target.exists():
            return None
        try:
            generations.check(database)
        except DatabaseOlder:
            return None
        with _explained(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            _delete(folder, (name for name in _names(folder) if _is_left_over(file, name)))
            _check_room(file, folder)
        backups.copy(file, target, progress)
        with _explained(folder):
            _delete(folder, backup_rotation.expired(file.name, _names(folder), today, keep))
    return target


def newest(database: Path) -> date | None:
    """Returns the day of the newest automatic backup; `None` if there is none to be seen."""
    try:
        return backup_rotation.newest(
            database.name, _names(database.parent / backup_rotation.FOLDER)
        )
    except OSError:
        return None


def _check_room(file: Path, folder: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    size = sum(path.stat().st_size for path in (file, log) if path.exists())
    free = shutil.disk_usage(folder).free
    if not backup_rotation.fits(size, free):
        raise DiskFull(
            f"no room for a backup of {size / 1e6:,.1f} MB ({free / 1e6:,.1f} MB are free)",
            where=str(folder),
            hint="make room, or set `backups = 0` under [database]",
        )


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder)]


def _is_left_over(file: Path, name: str) -> bool:
    return backup_rotation.is_left_over(file.name, name)


def _delete(folder: Path, names: Iterator[str] | list[str]) -> None:
    for name in names:
        files.discard(folder / name)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"the backups cannot be written ({exc.strerror})",
            where=str(folder),
            hint="check its owner and mode, and make room",
        ) from exc
