"""Creates files in private folders, for code that opens files by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from newsletter.text.files import sync_folder, temporary_name


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A new file in a new private folder, for code that opens files by name.

    Attributes:
        path: its path. Where others may write to the folder around the private one, they can
            rename that, and `path` then leads to another file.
        descriptor: the file, open for reading and writing.
        folder: descriptor of the private folder, in which no other account can change a name.
    """

    path: Path
    descriptor: int
    folder: int

    def is_in_place(self) -> bool:
        """Returns whether `path` leads to the file."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.descriptor))

    def replace(self, target: Path) -> None:
        """Moves the file itself, whatever `path` leads to. It survives a power cut afterwards.

        Raises:
            OSError: it cannot be moved.
        """
        os.fsync(self.descriptor)
        os.replace(self.path.name, target, src_dir_fd=self.folder)
        sync_folder(target.parent)


@contextmanager
def private(path: Path) -> Iterator[PrivateFile]:
    """Yields a new file that is to become `path`, and removes it at the end if it has not.

    It is in a folder of its own beside `path`, so on the same file system.

    Raises:
        OSError: it cannot be created.
    """
    folder = path.with_name(temporary_name(path))
    try:  # a signal may raise an exception right after each of these steps
        folder.mkdir(0o700)
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            how = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path.name, how, 0o600, dir_fd=inside)
            try:
                yield PrivateFile(folder / path.name, descriptor, inside)
            finally:
                os.close(descriptor)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=inside)
            os.close(inside)
    finally:
        with suppress(OSError):  # another has taken its place, which was reported
            folder.rmdir()
