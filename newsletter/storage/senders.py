"""Who is sending, and whether they still live.

A sender is a process that holds a locked file beside the database. The operating system
frees the lock when the process ends, however it ends; so there are no time-outs, and no
sender is thought dead while it lives.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from newsletter.errors import StorageError

_NAME = 8  # bytes


@contextmanager
def sender(database: Path) -> Iterator[str]:
    """A sender of this process; its name, never used before and never again.

    Raises:
        StorageError: its file cannot be made.
    """
    name = secrets.token_hex(_NAME)
    path = _file(database, name)
    descriptor = _locked(path)
    try:
        yield name
    finally:
        _take_away(path)
        os.close(descriptor)


def dead(database: Path, names: Iterator[str] | list[str]) -> Iterator[str]:
    """Those of these senders, and of all that left a file, that live no more.

    Their files go when the caller has dealt with them and asks for the next.
    """
    left = {path.name.split(".")[-2] for path in database.parent.glob(_file_name(database, "*"))}
    for name in sorted({*names, *left}):
        path = _file(database, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield name
            continue
        except OSError as exc:
            raise StorageError(
                f"cannot look at a lock file ({exc.strerror})",
                where=str(path),
                hint="run it as the user who owns the database, or take that file away",
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            yield name
            _take_away(path)
        finally:
            os.close(descriptor)


def _locked(path: Path) -> int:
    """The file, open and locked."""
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            raise StorageError(
                f"cannot make a lock file ({exc.strerror})",
                where=str(path),
                hint="the database's folder must have room and be writable",
            ) from exc
        # Between the two, another process may have found it unlocked and removed it.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _take_away(path: Path) -> None:
    """The file is gone; on a disk that fails it stays, and goes with a later run."""
    with suppress(OSError):
        path.unlink()


def _file(database: Path, name: str) -> Path:
    return database.with_name(_file_name(database, name))


def _file_name(database: Path, name: str) -> str:
    return f"{database.name}.sender.{name}.lock"
