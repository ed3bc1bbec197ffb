"""The database's file: its path, its access rights, its header, and the room on its disk."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from newsletter.errors import DatabaseForeign, DatabaseMissing, DiskFull, StorageError
from newsletter.storage import locks

APPLICATION_ID = 0x50415045
"""Marks a SQLite file as a database of this program ("PAPE")."""

BESIDE = ("-wal", "-journal", "-shm")
"""Files that SQLite keeps beside a database; it would apply them to the one that replaces it."""

_SQLITE = "sqlite:///"

_HEADER = 100
"""Size of a SQLite file's header, in bytes."""

BACKUP_HINT = (
    "give a file that `newsletter backup` wrote, or one of the folder `backups` beside the database"
)
"""What can be restored."""

_ROOM = 1 << 16
"""Bytes that must be free on the disk: enough for a transaction of a few deliveries."""


def sqlite_path(url: str) -> Path:
    """Returns the file of a `sqlite:///` URL, which may contain any characters.

    Raises:
        StorageError: it is another kind of URL.
    """
    path = url.removeprefix(_SQLITE)
    if path == url or not path or "\0" in path:
        raise StorageError(
            "only SQLite files are supported",
            where=url.partition("@")[2] or url,
            hint="write sqlite:///newsletter.db",
        )
    return Path(path)


def made_private(path: Path, *, create: bool) -> tuple[int, int]:
    """Creates the file if it is missing and `create` is true. Returns its device and inode.

    Raises:
        StorageError: it cannot be created or opened.
    """
    descriptor = locks.open_private(path, create=create)
    try:
        about = os.fstat(descriptor)
    finally:
        # Before SQLite opens it: closing any descriptor of a file frees all locks on it.
        os.close(descriptor)
    return about.st_dev, about.st_ino


def check_room(folder: Path) -> None:
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
            f"cannot create a file beside the database ({exc.strerror})",
            where=str(folder),
            hint="check that the folder exists and is writable",
        ) from exc


def is_there(path: Path) -> bool:
    """Whether there is a file at the path.

    Raises:
        StorageError: its folder may not be searched.
    """
    try:
        return path.is_file()
    except OSError as exc:
        raise locks.unreachable(path, exc) from exc


def missing(path: Path, what: str = "there is no database") -> DatabaseMissing:
    """Returns the error for a database that does not exist or is empty."""
    return DatabaseMissing(
        what,
        where=str(path),
        hint="`newsletter ingest` makes a new one, `newsletter restore FILE` brings back a "
        "backup; if its volume is not mounted, mount it",
    )


def refuse_foreign(path: Path, *, tighten: bool = True) -> None:
    """Checks the file's header, so that nothing is written to another program's file.

    An empty file is accepted, and so is a file with a single page, whose first transaction may
    still be in its write-ahead log. `Database` checks again with SQL. Takes the file from other
    accounts; what its group may do is the operator's choice.

    Args:
        tighten: whether to make our own file unreadable for other accounts.

    Raises:
        DatabaseForeign: it is no database, or one of another program, or so is a file beside it.
        StorageError: it cannot be read.
    """
    head, about = _header(path)
    for suffix in BESIDE:
        _refuse_planted(path.with_name(path.name + suffix), about)
    if what := _foreign(head):
        raise DatabaseForeign(what, where=str(path), hint="name another file in [database] url")
    if head and tighten:
        _take_from_others(path, about)


def refuse_as_backup(path: Path) -> None:
    """Checks that a file can be a copy of a database of this program, and does not change it.

    Raises:
        DatabaseForeign: it cannot.
        StorageError: it cannot be read.
    """
    head, _ = _header(path)
    if what := _foreign(head) if head else "this file is empty":
        raise DatabaseForeign(what, where=str(path), hint=BACKUP_HINT)


def _header(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with path.open("rb") as file:
            return file.read(_HEADER), os.fstat(file.fileno())
    except OSError as exc:
        raise locks.unreachable(path, exc) from exc


def _foreign(head: bytes) -> str:
    """Returns why a file with this header is not one of ours; empty if it may be."""
    if head and not head.startswith(b"SQLite format 3\0"):
        return "this file is not a newsletter database"
    pages, owner = (int.from_bytes(head[at : at + 4], "big") for at in (28, 68))
    if owner != APPLICATION_ID and (owner or pages > 1):
        return "this database belongs to another program"
    return ""


def _take_from_others(path: Path, about: os.stat_result) -> None:
    mode = stat.S_IMODE(about.st_mode)
    if not mode & stat.S_IRWXO:
        return
    try:
        path.chmod(mode & ~stat.S_IRWXO)
    except OSError as exc:
        raise locks.unreachable(path, exc) from exc


def _refuse_planted(path: Path, database: os.stat_result) -> None:
    """Refuses a file beside the database that SQLite would apply to it and did not create.

    SQLite follows links to it, and gives it the mode of the database. It belongs to the account of
    the database, or to one that uses it: with the same group, if the group may write to both.
    """
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise locks.unreachable(path, exc) from exc
    shared = database.st_mode & stat.S_IWGRP and about.st_gid == database.st_gid
    is_known = about.st_uid in (database.st_uid, os.geteuid(), 0) or shared
    if not stat.S_ISREG(about.st_mode):
        what = "this is not a file that SQLite created"
    elif not is_known:
        what = "this file beside the database belongs to another account"
    else:
        return
    raise DatabaseForeign(what, where=str(path), hint="find out who put it there, and remove it")
