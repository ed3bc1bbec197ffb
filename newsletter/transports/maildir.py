"""Mail into a maildir, for a mail client or a delivery agent on the same disk.

A file is named after its message, without the usual time and host, so that a message sent
again is recognised and not delivered twice.
"""

from __future__ import annotations

from pathlib import Path

from newsletter.text import files
from newsletter.transports.filing import OWNER, OWNERS, FilingSession, remove_stale

_FLAGS = ":2,"  # separates the name from the flags that a mail client sets


class Maildir:
    """A maildir: messages are written in `tmp`, delivered to `new`, and in `cur` once seen.

    Args:
        folder: the maildir; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tmp, self._new, self._cur = (folder / part for part in ("tmp", "new", "cur"))

    def encoded(self, data: bytes) -> bytes:
        """Returns the message with LF line ends, as local files have them."""
        return data.replace(b"\r\n", b"\n")

    def session(self) -> FilingSession:
        """Returns a new session."""
        return FilingSession(self._prepare, self._put)

    def _prepare(self) -> None:
        for folder in (self._folder, self._tmp, self._new, self._cur):
            files.folder(folder, OWNERS)
        remove_stale(self._tmp, "*")

    def _put(self, name: str, data: bytes) -> str:
        if there := self._existing(name):
            files.settle(there.parent)  # its writer may have been killed before syncing
            return f"{there} already exists"
        path = self._new / name
        files.write(path, data, OWNER, by_way_of=self._tmp)
        return str(path)

    def _existing(self, name: str) -> Path | None:
        """Returns the path of this message, even after a mail client has moved it, or `None`."""
        new = self._new / name
        if files.is_there(new):
            return new
        # Listed after the check of `new`: clients move messages from `new` to `cur`.
        seen = files.names(self._cur)
        return next((self._cur / one for one in seen if one.split(_FLAGS)[0] == name), None)
