"""Everything that can go wrong, and what the user should do about it.

    NewsletterError                 exit status 3
    ├── ConfigError                 2   the configuration, every problem at once
    ├── UsageError                  2   the command line asks for what is not there
    ├── SourceError                     a place papers come from
    │   ├── SourceMissing               no such file or folder
    │   ├── SourceUnreadable            it is there and cannot be read
    │   └── FetchError                  a URL did not give a page
    │       ├── PageRefused             the server answers that there is none for us
    │       └── AddressRefused          it leads to a private address
    ├── SnapshotUnreadable              bytes that are no list of papers we can read
    ├── StorageError                    the database
    │   ├── DatabaseMissing             there is none yet
    │   ├── DatabaseForeign         2   it belongs to another program
    │   ├── DatabaseNewer           2   a newer version of this program wrote it
    │   ├── DatabaseLocked              another process holds it
    │   ├── DatabaseDamaged             its content is broken
    │   ├── DatabaseReplaced            another file took its place while it was open
    │   └── DiskFull                    no room left
    ├── RenderError                     an edition that could not be made
    │   └── EditionFaulty               it was made and failed its own check
    ├── OutputError                     a file or folder that could not be written
    ├── ClockBehind                     the clock is before what is on record
    ├── SendingPaused                   the operator stopped all sending
    └── SendingStopped                  the mail server will not have our mail

A message is one line: where, what, and what to do next. Errors that are not in
this tree are bugs and keep their traceback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What could act on a terminal: controls, line ends of all kinds, bidi marks.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class NewsletterError(Exception):
    """Something a user can understand and mend.

    Args:
        what: what is wrong, without a full stop.
        where: the file, URL, key or table it concerns.
        hint: what to do next.
    """

    exit_status = 3

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return one_line(f"{head}; {self.hint}" if self.hint else head)


class ConfigError(NewsletterError):
    """The configuration has one or more problems; all of them are listed."""

    exit_status = 2

    def __init__(self, problems: Sequence[str], *, where: str = "", hint: str = "") -> None:
        super().__init__("; ".join(problems), where=where, hint=hint)
        self.problems = tuple(problems)


class UsageError(NewsletterError):
    """The command line asks for something that does not exist."""

    exit_status = 2


class SourceError(NewsletterError):
    """A place papers come from could not be read.

    Attributes:
        origin: the path or URL that was asked for, where `where` is another.
    """

    origin = ""


class SourceMissing(SourceError):
    """There is no such file or folder."""


class SourceUnreadable(SourceError):
    """The file or folder is there and cannot be read."""


class FetchError(SourceError):
    """A URL did not give a page.

    Args:
        retry_after: seconds the server asked us to wait, if it did.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.retry_after = retry_after


class PageRefused(FetchError):
    """The server answers that there is no page for us, and nothing says that one will come."""


class AddressRefused(FetchError):
    """The URL leads to an address we do not connect to."""


class SnapshotUnreadable(NewsletterError):
    """The bytes are no list of papers in a format we know."""


class StorageError(NewsletterError):
    """The database could not do what was asked.

    Attributes:
        may_pass: the same may succeed later, without any change to the database.
    """

    may_pass = True


class DatabaseMissing(StorageError):
    """There is no database yet."""

    may_pass = False


class DatabaseForeign(StorageError):
    """The database belongs to another program."""

    exit_status = 2
    may_pass = False


class DatabaseNewer(StorageError):
    """The database was written by a newer version of this program."""

    exit_status = 2
    may_pass = False


class DatabaseLocked(StorageError):
    """Another process holds the database."""


class DatabaseDamaged(StorageError):
    """The database file is broken."""

    may_pass = False


class DatabaseReplaced(StorageError):
    """The file at the database's path is not the one that is open, or there is none."""

    may_pass = False


class DiskFull(StorageError):
    """There is no room left on the disk."""


class RenderError(NewsletterError):
    """An edition could not be made."""


class EditionFaulty(RenderError):
    """An edition was made and failed its own check."""


class OutputError(NewsletterError):
    """A file or folder could not be written."""


class ClockBehind(NewsletterError):
    """The clock says a time before the newest that was recorded."""


class SendingPaused(NewsletterError):
    """The operator stopped all sending."""


class SendingStopped(NewsletterError):
    """Sending ended before its work was done: the fault is on our side, or nobody answers."""


def one_line(text: str) -> str:
    """The text on one line, so that a message is one line whatever it quotes."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The text with a space for everything that could act on a terminal, and encodable."""
    return _UNPRINTABLE.sub(" ", text.encode("utf-8", "replace").decode())
