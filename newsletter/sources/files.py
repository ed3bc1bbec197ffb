"""Captures saved as files: a single file, or a folder whose files are read in order of name."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from newsletter.errors import SourceError, SourceMissing, SourceUnreadable
from newsletter.masks import masked_url
from newsletter.models import Capture, DatedBy
from newsletter.text.counted import plural
from newsletter.text.dates import day_in

MAX_BYTES = 20 * 1024 * 1024
"""Maximum size of a file in bytes: a larger one is no list of papers."""

RESTED = 2.0
"""Seconds for which a file in a watched folder must not have changed."""


class FileSource:
    """A single saved page.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def captures(self) -> Iterator[Capture | SourceError]:
        """Yields the file's bytes, or the error."""
        yield read(self._path)


class FolderSource:
    """All files of a folder, in order of name. Hidden files and subfolders are skipped.

    Args:
        path: the folder.
        rested: seconds for which a file must not have changed, so that one that is still being
            written is left for the next time.
        wait: waits that long for the newest file, for callers that will not return soon. A file
            that changes meanwhile is reported. By default there is no wait, and such files are
            skipped.
        dated: whether a file's modification time is used as its day if its name has none.
        clock: returns the current time in seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        rested: float = 0.0,
        wait: Callable[[float], None] | None = None,
        dated: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._rested = rested
        self._wait = wait
        self._dated = dated
        self._clock = clock

    def captures(self) -> Iterator[Capture | SourceError]:
        """Yields the bytes of every file, or the error."""
        try:
            names = sorted(path.name for path in self._path.iterdir())
        except OSError as exc:
            yield _explained(self._path, exc)
            return
        found = [self._path / name for name in names if not name.startswith(".")]
        paths = [path for path in found if not is_folder(path)]
        if self._wait and (left := max(map(self._unrest, paths), default=0.0)):
            self._wait(left)
        for path in paths:
            if not self._unrest(path):
                yield read(path, dated=self._dated)
            elif self._wait:
                yield SourceUnreadable(
                    "is still being written", where=_shown(path), hint="the next run takes it in"
                )

    def _unrest(self, path: Path) -> float:
        """Returns the seconds until a file counts as unchanged."""
        try:
            age = self._clock() - path.stat().st_mtime
        except OSError:
            return 0.0  # reading it reports what is wrong
        # A time in the future is due to a wrong clock.
        return max(0.0, self._rested - age) if age >= 0 else 0.0


def subfolders_note(path: str | Path) -> str:
    """Returns a remark about the folders in a folder, which are not read; empty if it has none."""
    try:
        found = sorted(one.name for one in os.scandir(path) if one.is_dir())
    except OSError:
        return ""  # reading it reports what is wrong
    names = [name for name in found if not name.startswith(".")]
    if not names:
        return ""
    which = plural(len(names), "subfolder is", "subfolders are")
    one = _shown(Path(path) / names[0])
    return (
        f"{_shown(Path(path))}: {which} not read, such as {one}; to read it, give it a [[sources]] "
        "section, or name it in `newsletter ingest`"
    )


def empty_note(path: str | Path) -> str:
    """Returns a remark that there is no file to read in a folder; empty if there is one."""
    try:
        files = [one for one in os.scandir(path) if one.is_file() and not one.name.startswith(".")]
    except OSError:
        return ""  # reading it reports what is wrong, and a file is not a folder
    return "" if files else f"{_shown(Path(path))}: there are no files in this folder yet"


def is_folder(path: str | Path) -> bool:
    """Returns whether a path is a folder; false if that cannot be determined."""
    return os.path.isdir(path)  # noqa: PTH112  # `Path.is_dir` raises for names too long


def origin_of(path: Path) -> str:
    """Returns the path as text, with undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _shown(path: Path) -> str:
    """Returns the path for a message. What was meant as a URL may be given as a path."""
    return masked_url(origin_of(path))


def read(path: Path, *, dated: bool = False) -> Capture | SourceError:
    """Reads a file as a capture, or returns the error.

    The day is taken from the file's name or, if it has none and `dated` is true, from its
    modification time.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            reason = "not a file"
            return SourceMissing(reason, where=_shown(path), hint="check the path")
        size = path.stat().st_size
        if size > MAX_BYTES:
            return SourceUnreadable(
                f"{size:,} bytes are too many (at most {MAX_BYTES:,})",
                where=_shown(path),
                hint="it is no capture of a page",
            )
        data = path.read_bytes()
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as exc:
        return _explained(path, exc)
    named = day_in(path.name)
    if named or not dated:
        return Capture(data, origin_of(path), changed, named, DatedBy.NAME if named else None)
    return Capture(data, origin_of(path), changed, changed.date(), DatedBy.FILE_TIME)


def _explained(path: Path, exc: OSError) -> SourceError:
    if isinstance(exc, FileNotFoundError):
        return SourceMissing("no such file or folder", where=_shown(path), hint="check the path")
    hint = "check its owner and mode" if isinstance(exc, PermissionError) else "check the path"
    return SourceUnreadable(f"cannot be read ({exc.strerror})", where=_shown(path), hint=hint)
