"""Lock files beside the database: the only module that names, creates, locks and removes them.

    NAME.use.lock           shared by all processes that have the database open; exclusive to
                            replace it
    NAME.DIGEST.lock        held by the process that does some work, such as ingesting a source
    NAME.sender.ID.lock     held by a sender as long as it is alive

The operating system releases a lock when its process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from newsletter.errors import DiskFull, StorageError
from newsletter.text import files

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def unreachable(path: Path, exc: OSError) -> StorageError:
    """Returns the error for a database file that cannot be opened or checked."""
    kind = DiskFull if exc.errno in NO_ROOM else StorageError
    hint = "check that its folder exists and is writable"
    if isinstance(exc, PermissionError):
        hint = "check the owner and mode of the file and its folder"
    return kind(f"cannot open the database ({exc.strerror})", where=str(path), hint=hint)


def open_private(path: Path, *, create: bool = True) -> int:
    """Opens a file that only its owner can read, and creates it if `create` is true.

    A link to an existing file is followed, because an operator may have set it up, but no file is
    created through one.

    Raises:
        StorageError: it cannot be opened.
    """
    how = os.O_RDWR | os.O_CLOEXEC
    try:
        try:
            return os.open(path, how)
        except FileNotFoundError:
            if not create:
                raise
        try:
            return os.open(path, how | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process has created it, or it is a broken link
            return os.open(path, how)
    except OSError as exc:
        raise unreachable(path, exc) from exc


def _open_lock(path: Path) -> int:
    """Opens or creates a lock file. Refuses links, because the file's name can be guessed."""
    return files.open_regular(path, os.O_CREAT | os.O_RDWR)


class Lock:
    """A held lock.

    Args:
        descriptor: descriptor of its file, open and locked.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Releases the lock. Does nothing if it is already released."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def shared_use(database: Path) -> Lock:
    """Takes a shared lock, which keeps the database from being replaced.

    Raises:
        StorageError: the lock file cannot be opened or locked.
    """
    return Lock(_opened(_use_lock(database), fcntl.LOCK_SH))


@contextmanager
def exclusive_use(database: Path) -> Iterator[None]:
    """Takes the exclusive lock, so that no other process has the database open in the context.

    Raises:
        StorageError: a process has it open.
    """
    try:
        descriptor = _opened(_use_lock(database), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise StorageError(
            "the database is in use", where=str(database), hint="stop `newsletter serve` first"
        ) from exc
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_work(database: Path, name: str) -> Iterator[None]:
    """Lets only one process at a time do the work of this name; others wait.

    Raises:
        StorageError: the lock file cannot be opened or locked.
    """
    descriptor = _opened(_work_lock(database, name), fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def unless_busy(database: Path, name: str) -> Iterator[bool]:
    """Takes the same lock without waiting. Yields `False` if another process holds it.

    Raises:
        StorageError: the lock file cannot be opened or locked.
    """
    try:
        descriptor = _opened(_work_lock(database, name), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


@contextmanager
def sender(database: Path, identifier: str) -> Iterator[None]:
    """Marks a sender as alive for the duration of the context.

    Args:
        identifier: hexadecimal, never used before.

    Raises:
        StorageError: its file cannot be created or locked.
    """
    path = _sender_lock(database, identifier)
    descriptor = _sender_locked(path)
    try:
        yield
    finally:
        _remove(path)
        os.close(descriptor)


def senders(database: Path) -> set[str]:
    """Returns the identifiers of the senders that have a lock file, dead or alive."""
    escaped = database.with_name(glob.escape(database.name))
    pattern = _sender_lock(escaped, "*").name
    return {path.name.split(".")[-2] for path in database.parent.glob(pattern)}


@contextmanager
def dead_sender(database: Path, identifier: str) -> Iterator[bool]:
    """Yields whether a sender is dead. If so, its file is removed afterwards.

    Raises:
        StorageError: its file cannot be opened or locked.
    """
    path = _sender_lock(database, identifier)
    try:
        descriptor = files.open_regular(path, os.O_RDWR)
    except FileNotFoundError:
        yield True
        return
    except OSError as exc:
        raise StorageError(
            f"cannot open a lock file ({exc.strerror})",
            where=str(path),
            hint="run it as the user that owns the database, or remove that file",
        ) from exc
    try:
        _lock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
        _remove(path)
    finally:
        os.close(descriptor)


def is_sender_alive(database: Path, identifier: str) -> bool:
    """Whether a sender is alive. Changes nothing. If this cannot be checked, it counts as alive.

    A shared lock is used, and is released before any process could mistake it for the sender's.
    """
    try:
        descriptor = files.open_regular(_sender_lock(database, identifier), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _use_lock(database: Path) -> Path:
    return database.with_name(f"{database.name}.use.lock")


def _work_lock(database: Path, name: str) -> Path:
    digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
    return database.with_name(f"{database.name}.{digest}.lock")


def _sender_lock(database: Path, identifier: str) -> Path:
    return database.with_name(f"{database.name}.sender.{identifier}.lock")


def _opened(path: Path, how: int) -> int:
    """Opens and locks a file. Raises `BlockingIOError` if it must not wait for the lock."""
    try:
        descriptor = _open_lock(path)
    except OSError as exc:
        raise unreachable(path, exc) from exc
    try:
        _lock(descriptor, path, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sender_locked(path: Path) -> int:
    """Creates, opens and locks the file of a sender."""
    while True:
        try:
            descriptor = _open_lock(path)
        except OSError as exc:
            raise StorageError(
                f"cannot create a lock file ({exc.strerror})",
                where=str(path),
                hint="the database's folder must have room and be writable",
            ) from exc
        try:
            _lock(descriptor, path, fcntl.LOCK_EX)
            # Another process may have removed it as a dead sender's before it was locked.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path, how: int) -> None:
    """Locks an open file.

    Raises:
        BlockingIOError: another process has locked it, and `how` says not to wait.
        StorageError: it cannot be locked.
    """
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError as exc:
        raise StorageError(
            f"cannot lock a file ({exc.strerror})",
            where=str(path),
            hint="the database must be on a file system with locks",
        ) from exc


def _remove(path: Path) -> None:
    """Removes the file. If that fails, a later run removes it."""
    with suppress(OSError):
        path.unlink()
