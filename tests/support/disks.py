"""Real small and read-only file systems for tests; they need the right to mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(at: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size, mounted at `at`."""
    at.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def make_read_only(at: Path) -> None:
    """The mounted file system refuses writes from now on, the superuser's too."""
    _mount("-o", "remount,ro", str(at))


def fill(folder: Path) -> None:
    """Leaves no room on the file system that holds `folder`."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"cannot mount a small file system here: {done.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
