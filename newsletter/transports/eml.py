"""Mail as files: one `.eml` file per message, to inspect or to send by other means."""

from __future__ import annotations

from pathlib import Path

from newsletter.text import files
from newsletter.transports.filing import OWNER, OWNERS, FilingSession, remove_stale


class Eml:
    """Writes each message to a file in a folder; a message sent again replaces its file.

    Args:
        folder: the folder; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def encoded(self, data: bytes) -> bytes:
        """Returns the message unchanged, with CRLF line ends."""
        return data

    def session(self) -> FilingSession:
        """Returns a new session."""
        return FilingSession(self._prepare, self._put)

    def _prepare(self) -> None:
        files.folder(self._folder, OWNERS)
        remove_stale(self._folder, ".*.eml.*.part")

    def _put(self, name: str, data: bytes) -> str:
        path = self._folder / f"{name}.eml"
        files.write(path, data, OWNER)
        return str(path)
