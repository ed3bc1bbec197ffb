"""Files we write: whole or not at all, and what went wrong in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newsletter.errors import OutputError


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Puts `data` at `path`, replacing what is there; never half of it.

    The mode is lessened by the umask.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _in_words(path):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def create(path: Path, data: bytes, mode: int) -> None:
    """Puts `data` at `path`, where nothing may be yet.

    Raises:
        OutputError: something is there, or it cannot be written.
    """
    with _in_words(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def folder(path: Path) -> Path:
    """The folder, made if it is missing.

    Raises:
        OutputError: it cannot be made.
    """
    with _in_words(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def listed(path: Path) -> list[Path]:
    """What is in a folder.

    Raises:
        OutputError: it cannot be looked into.
    """
    with _in_words(path):
        return list(path.iterdir())


def remove(path: Path) -> None:
    """Takes a file or an empty folder away.

    Raises:
        OutputError: it stays.
    """
    with _in_words(path):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as exc:
        raise OutputError("is there already", where=str(path), hint="name another file") from exc
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            "no room left on the disk" if full else f"cannot be written ({exc.strerror})",
            where=str(path),
            hint="make room" if full else "choose a folder that may be written to",
        ) from exc
