"""Files we write: whole or not at all, and what went wrong in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newsletter.errors import OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING = _FULL | {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}


def write(path: Path, data: bytes, mode: int = 0o644, *, by_way_of: Path | None = None) -> None:
    """Puts `data` at `path`, replacing what is there; never half of it.

    What is there in the end survives a power cut. The mode is lessened by the umask.

    Args:
        path: where to.
        data: all of it.
        mode: of the file.
        by_way_of: the folder in which it grows, on the same file system; by default its own.

    Raises:
        OutputError: it cannot be written.
    """
    part = (by_way_of or path.parent) / f".{path.name}.{os.urandom(4).hex()}.part"
    with _in_words(path):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _settle(path.parent)


def settle(folder: Path) -> None:
    """Makes the names that are in a folder now survive a power cut.

    Raises:
        OutputError: they may not.
    """
    with _in_words(folder):
        _settle(folder)


def create(path: Path, data: bytes, mode: int) -> None:
    """Puts `data` at `path`, where nothing may be yet.

    Raises:
        OutputError: something is there, or it cannot be written.
    """
    with _in_words(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def folder(path: Path, mode: int = 0o777) -> Path:
    """The folder, made if it is missing, with those above it; it survives a power cut.

    The mode is that of the folder itself if it is made, lessened by the umask.

    Raises:
        OutputError: it cannot be made.
    """
    with _in_words(path):
        missing = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(mode, parents=True, exist_ok=True)
        for made in missing:
            _settle(made.parent)
    return path


def listed(path: Path) -> list[Path]:
    """What is in a folder.

    Raises:
        OutputError: it cannot be looked into.
    """
    with _in_words(path):
        return list(path.iterdir())


def names(path: Path) -> list[str]:
    """The names of what is in a folder; for large ones many times as quick as `listed`.

    Raises:
        OutputError: it cannot be looked into.
    """
    with _in_words(path):
        return os.listdir(path)  # noqa: PTH208  # `Path.iterdir` is what is slow


def is_there(path: Path) -> bool:
    """Whether a file or folder is there.

    Raises:
        OutputError: it cannot be told.
    """
    with _in_words(path):
        return path.exists()


def remove(path: Path) -> None:
    """Takes a file or an empty folder away.

    Raises:
        OutputError: it stays.
    """
    with _in_words(path):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def may_pass(error: OutputError) -> bool:
    """Whether what stood in the way can go away by itself: no room, memory or open files."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _PASSING


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # some file systems have no such thing
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as exc:
        raise OutputError("is there already", where=str(path), hint="name another file") from exc
    except OSError as exc:
        full = exc.errno in _FULL
        raise OutputError(
            "no room left on the disk" if full else f"cannot be written ({exc.strerror})",
            where=str(path),
            hint="make room" if full else "choose a folder that may be written to",
        ) from exc
