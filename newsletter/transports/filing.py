"""The session of transports that write each message to a file in a folder."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from newsletter.errors import OutputError
from newsletter.text import files
from newsletter.transports.base import NOT_OPEN, OutgoingMessage, SessionFailed
from newsletter.transports.replies import Reply, ReplyKind, Stage, without_reply

OWNER = 0o600
"""The mode of the files: they contain working links."""
OWNERS = 0o700
"""The mode of the folders that are created here."""

_NAME = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*")
"""Allows no path out of the folder, no hidden file, and no maildir flags."""
_STALE = 36 * 3600  # seconds; the maildir convention


class FilingSession:
    """A session that writes each message to a file.

    Args:
        prepare: creates the folders; may raise `OutputError`.
        put: stores a message's bytes under its name and describes where; may
            raise `OutputError`.
    """

    def __init__(self, prepare: Callable[[], None], put: Callable[[str, bytes], str]) -> None:
        self._prepare = prepare
        self._put = put
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether messages are accepted. The failure of one message does not change it."""
        return self._is_open

    def open(self) -> None:
        """Creates missing folders.

        Raises:
            SessionFailed: they cannot be created.
        """
        self._is_open = False
        try:
            self._prepare()
        except OutputError as error:
            reply = _failure("connect", error.what, error)
            raise SessionFailed(
                reply, where=error.where, hint=error.hint, may_pass=False
            ) from error
        self._is_open = True

    def send(self, message: OutgoingMessage) -> Reply:
        """Stores one message. Returns `SENT` once it would survive a power cut."""
        if not self._is_open:
            return NOT_OPEN
        if not _NAME.fullmatch(message.name):
            return without_reply(ReplyKind.OURS, "mail", f"{message.name!r} cannot name a file")
        try:
            place = self._put(message.name, b"".join(message.pieces))
        except OutputError as error:
            return _failure("data", str(error), error)
        return without_reply(ReplyKind.SENT, "dot", place)

    def close(self) -> None:
        """Stops accepting messages; there is nothing else to release."""
        self._is_open = False


def _failure(stage: Stage, what: str, error: OutputError) -> Reply:
    kind = ReplyKind.DEFERRED if files.may_pass(error) else ReplyKind.OURS
    return without_reply(kind, stage, what)


def remove_stale(folder: Path, pattern: str) -> None:
    """Removes partial files left by killed writers. Files that cannot be removed are ignored.

    Raises:
        OutputError: the folder cannot be listed.
    """
    oldest = time.time() - _STALE
    for path in files.listed(folder):
        with contextlib.suppress(OSError):
            if path.match(pattern) and path.lstat().st_mtime < oldest:
                path.unlink()
