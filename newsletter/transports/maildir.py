"""Mail into a maildir, for a mail reader or a delivery agent on the same disk.

A message's file has the message's own name, without the time and the host that are usual
in one: a copy made again is known by it, and not delivered twice.
"""

from __future__ import annotations

from pathlib import Path

from newsletter.text import files
from newsletter.transports.filing import OWNER, OWNERS, FilingSession, remove_stale

_FLAGS = ":2,"  # stands between a name and what a reader did with the message


class Maildir:
    """A maildir: `tmp` while a message is written, `new` when it is whole, `cur` once seen.

    Args:
        folder: where; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tmp, self._new, self._cur = (folder / part for part in ("tmp", "new", "cur"))

    def encoded(self, data: bytes) -> bytes:
        """The message in LF lines, as files of this machine have them."""
        return data.replace(b"\r\n", b"\n")

    def session(self) -> FilingSession:
        """A session of its own."""
        return FilingSession(self._prepare, self._put)

    def _prepare(self) -> None:
        for folder in (self._folder, self._tmp, self._new, self._cur):
            files.folder(folder, OWNERS)
        remove_stale(self._tmp, "*")

    def _put(self, name: str, data: bytes) -> str:
        if there := self._copy(name):
            files.settle(there.parent)  # whoever put it there may have been killed before that
            return f"{there} is there already"
        path = self._new / name
        files.write(path, data, OWNER, by_way_of=self._tmp)
        return str(path)

    def _copy(self, name: str) -> Path | None:
        """The message of that name, wherever a reader has moved it."""
        new = self._new / name
        if files.is_there(new):
            return new
        # Only now: readers move messages from `new` to `cur`.
        seen = files.names(self._cur)
        return next((self._cur / one for one in seen if one.split(_FLAGS)[0] == name), None)
