"""Mail as files: one `.eml` a message, to look at or to hand on by other means."""

from __future__ import annotations

from pathlib import Path

from newsletter.text import files
from newsletter.transports.filing import OWNER, OWNERS, FilingSession, remove_stale


class Eml:
    """A folder with a file for each message; a copy made again replaces the first.

    Args:
        folder: where; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def encoded(self, data: bytes) -> bytes:
        """The message as it is, in CRLF lines."""
        return data

    def session(self) -> FilingSession:
        """A session of its own."""
        return FilingSession(self._prepare, self._put)

    def _prepare(self) -> None:
        files.folder(self._folder, OWNERS)
        remove_stale(self._folder, ".*.eml.*.part")

    def _put(self, name: str, data: bytes) -> str:
        path = self._folder / f"{name}.eml"
        files.write(path, data, OWNER)
        return str(path)
