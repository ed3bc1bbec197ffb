"""Writes files atomically, and turns I/O errors into `OutputError`."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from newsletter.errors import OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING = _FULL | {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}


def write(path: Path, data: bytes, mode: int = 0o644, *, by_way_of: Path | None = None) -> None:
    """Writes a file atomically, replacing an existing one. It survives a power cut.

    Args:
        path: path of the file.
        data: the whole content.
        mode: mode of the file, restricted by the umask.
        by_way_of: the folder of the temporary file, on the same file system; by default the
            folder of the file.

    Raises:
        OutputError: it cannot be written.
    """
    with _in_words(path), replacing(path, mode, by_way_of) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, mode: int = 0o600, folder: Path | None = None) -> Iterator[IO[bytes]]:
    """Yields a new file that becomes `path` at the end, and survives a power cut from then on.

    If an exception is raised meanwhile, it is deleted, and `path` stays as it is.

    Args:
        path: the path that it replaces.
        mode: its mode, restricted by the umask.
        folder: where it is created; by default beside `path`.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, part = temporary(path, mode, folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def temporary(path: Path, mode: int = 0o600, folder: Path | None = None) -> tuple[int, Path]:
    """Creates the temporary file that is to become `path`, and returns its descriptor and path.

    Another account cannot have prepared it: its name is random, and neither an existing file nor
    a link is opened.

    Args:
        path: the path that it will replace.
        mode: its mode, restricted by the umask.
        folder: where to create it; by default beside `path`.

    Raises:
        OSError: it cannot be created.
    """
    part = (folder or path.parent) / temporary_name(path)
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), part


def open_regular(path: Path, how: int, mode: int = 0o600) -> int:
    """Opens a regular file whose name others can guess. Returns its descriptor; never waits.

    Args:
        path: the file.
        how: flags of `os.open`, such as `os.O_RDWR`.
        mode: its mode if it is created.

    Raises:
        OSError: it cannot be opened, or is a link, a folder, a FIFO or a device.
    """
    descriptor = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def settle(folder: Path) -> None:
    """Syncs a folder, so that its current entries survive a power cut.

    Raises:
        OutputError: it cannot be synced.
    """
    with _in_words(folder):
        sync_folder(folder)


def create(path: Path, data: bytes, mode: int) -> None:
    """Writes a new file, which survives a power cut; none is left if that fails.

    Raises:
        OutputError: the path exists already, or cannot be written.
    """
    with _in_words(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def rewrite_private(path: Path, data: bytes) -> None:
    """Replaces the content of a file, which keeps its owner; others may not read it from then on.

    Raises:
        OutputError: it cannot be written.
    """
    with _in_words(path):
        before = path.stat()
        with replacing(path, 0o600) as file:
            file.write(data)
            keep_owner(file.fileno(), before, before.st_mode & 0o770)


def keep_owner(descriptor: int, before: os.stat_result, mode: int) -> None:
    """Gives a new file the owner of the one that it replaces, and a mode.

    Raises:
        OSError: that is not allowed.
    """
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, mode)


def folder(path: Path, mode: int = 0o777) -> Path:
    """Creates a folder and its parents if they are missing, and returns it.

    New folders survive a power cut. The mode applies to the folder itself if it is created,
    restricted by the umask.

    Raises:
        OutputError: it cannot be created.
    """
    with _in_words(path):
        missing = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(mode, parents=True, exist_ok=True)
        for made in missing:
            sync_folder(made.parent)
    return path


def listed(path: Path) -> list[Path]:
    """Returns the paths in a folder.

    Raises:
        OutputError: it cannot be listed.
    """
    with _in_words(path):
        return list(path.iterdir())


def names(path: Path) -> list[str]:
    """Returns the names in a folder; for large folders many times faster than `listed`.

    Raises:
        OutputError: it cannot be listed.
    """
    with _in_words(path):
        return os.listdir(path)  # noqa: PTH208  # `Path.iterdir` is what is slow


def is_there(path: Path) -> bool:
    """Returns whether a file or folder exists.

    Raises:
        OutputError: it cannot be determined.
    """
    with _in_words(path):
        return path.exists()


def remove(path: Path) -> None:
    """Removes a file, which may be missing, or an empty folder.

    Raises:
        OutputError: it cannot be removed.
    """
    with _in_words(path):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Removes a file or a folder with all that is in it; it may be missing. Follows no link.

    Raises:
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def may_pass(error: OutputError) -> bool:
    """Returns whether the error may be temporary: no disk space, memory or file descriptors."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _PASSING


def temporary_name(path: Path) -> str:
    """Returns a random name for what is to become a path."""
    return f".{path.name}.{os.urandom(8).hex()}.part"


def sync_folder(folder: Path) -> None:
    """Syncs a folder, so that its current entries survive a power cut.

    Raises:
        OSError: it cannot be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # some file systems do not support it
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as exc:
        what, hint = "this file exists already", "give another name"
        raise OutputError(what, where=str(path), hint=hint) from exc
    except OSError as exc:
        if isinstance(exc, FileNotFoundError) and not path.parent.is_dir():
            what, hint = "its folder does not exist", "create it, or name another"
            raise OutputError(what, where=str(path), hint=hint) from exc
        full = exc.errno in _FULL
        raise OutputError(
            "no room left on the disk" if full else f"cannot be written ({exc.strerror})",
            where=str(path),
            hint="make room" if full else "choose a folder that may be written to",
        ) from exc
