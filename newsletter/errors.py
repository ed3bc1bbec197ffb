"""The errors that users can fix, each with a hint about what to do.

    NewsletterError                 exit status 3
    ├── ConfigError                 2   the configuration, all problems at once
    ├── UsageError                  2   the command line names something that does not exist
    │   └── SourceKnown             2   the source is configured already
    ├── SourceError                     a source could not be read
    │   ├── SourceMissing               no such file or folder
    │   ├── SourceUnreadable            it exists but cannot be read
    │   └── FetchError                  a URL did not return a page
    │       ├── PageRefused             the server refused the page permanently
    │       └── AddressRefused          it leads to a private address
    ├── SnapshotUnreadable              bytes that are not a list of papers in a known format
    │   └── ParsingStopped              parsing them reached a limit
    ├── ParserFailed                    the process that parses captures cannot be used
    │   └── ParserDied                  it died while it was parsing a capture
    ├── StorageError                    the database
    │   ├── DatabaseMissing             it does not exist yet
    │   ├── DatabaseForeign         2   it belongs to another program
    │   ├── DatabaseNewer           2   a newer version of this program wrote it
    │   ├── DatabaseLocked              another process has locked it
    │   ├── DatabaseDamaged             its content is damaged
    │   ├── DatabaseReplaced            its file was replaced while it was open
    │   ├── DatabaseOlder               it is an older copy, put back after mail was sent
    │   └── DiskFull                    no room left
    ├── RenderError                     an edition could not be built
    │   ├── TemplateFaulty              a template has a mistake in it
    │   └── EditionFaulty               it was built but failed validation
    ├── OutputError                     a file or folder could not be written
    ├── ClockBehind                     the clock is earlier than the newest record
    ├── SendingPaused                   the operator stopped all sending
    └── SendingStopped                  the mail server rejects our mail or does not answer

A message is one line: where, what, and what to do next; secrets in its URLs are masked.
Errors that are not in this tree are bugs and keep their traceback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from newsletter.masks import masked

# Characters that could affect a terminal: controls, all line ends, bidi marks.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class NewsletterError(Exception):
    """An error that a user can understand and fix.

    Args:
        what: what is wrong, without a full stop.
        where: the file, URL, key or table it concerns.
        hint: what to do next.

    Attributes:
        excerpt: lines to show below the message, such as those around a mistake in a file.
    """

    exit_status = 3
    excerpt: Sequence[str] = ()

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return one_line(masked(f"{head}; {self.hint}" if self.hint else head))


class ConfigError(NewsletterError):
    """The configuration has one or more problems, all of them listed."""

    exit_status = 2

    def __init__(self, problems: Sequence[str], *, where: str = "", hint: str = "") -> None:
        super().__init__("; ".join(problems), where=where, hint=hint)
        self.problems = tuple(map(masked, problems))


class UsageError(NewsletterError):
    """The command line names something that does not exist."""

    exit_status = 2


class SourceKnown(UsageError):
    """The source is configured already."""


class SourceError(NewsletterError):
    """A source could not be read.

    Attributes:
        origin: the path or URL that was requested, if `where` is a different one.
    """

    origin = ""


class SourceMissing(SourceError):
    """The file or folder does not exist."""


class SourceUnreadable(SourceError):
    """The file or folder exists but cannot be read."""


class FetchError(SourceError):
    """A URL did not return a page.

    Args:
        retry_after: seconds that the server asked to wait; `None` if it did not.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.retry_after = retry_after


class PageRefused(FetchError):
    """The server refused the page, with no sign that a later request would succeed."""


class AddressRefused(FetchError):
    """The URL leads to a private address, to which no connection is made."""


class SnapshotUnreadable(NewsletterError):
    """The bytes are not a list of papers in a known format."""


class ParsingStopped(SnapshotUnreadable):
    """Parsing reached a limit of time, memory or output, or was interrupted twice."""


class ParserFailed(NewsletterError):
    """The process that parses captures cannot be started, or was closed."""


class ParserDied(ParserFailed):
    """The process that parses captures died while it was parsing one."""


class StorageError(NewsletterError):
    """The database could not carry out an operation.

    Attributes:
        may_pass: whether the operation may succeed later, without any repair of the database.
    """

    may_pass = True


class DatabaseMissing(StorageError):
    """The database does not exist yet."""

    may_pass = False


class DatabaseForeign(StorageError):
    """The database belongs to another program."""

    exit_status = 2
    may_pass = False


class DatabaseNewer(StorageError):
    """The database was written by a newer version of this program."""

    exit_status = 2
    may_pass = False


class DatabaseOutdated(StorageError):
    """The database was written before the first release and cannot be brought up to date."""

    exit_status = 2
    may_pass = False


class DatabaseLocked(StorageError):
    """Another process has locked the database."""


class DatabaseDamaged(StorageError):
    """The database file is damaged."""

    may_pass = False


class DatabaseReplaced(StorageError):
    """The file at the database's path is missing, or is not the one that is open."""

    may_pass = False


class DatabaseOlder(StorageError):
    """The database is an older copy: mail was sent that it does not know of."""

    may_pass = False


class DiskFull(StorageError):
    """There is no room left on the disk."""


class RenderError(NewsletterError):
    """An edition could not be built."""


class TemplateFaulty(RenderError):
    """A template has a mistake in it."""

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", excerpt: Sequence[str] = ()
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.excerpt = tuple(excerpt)


class EditionFaulty(RenderError):
    """An edition was built but failed validation."""


class OutputError(NewsletterError):
    """A file or folder could not be written."""


class ClockBehind(NewsletterError):
    """The clock is earlier than the newest recorded time."""


class SendingPaused(NewsletterError):
    """The operator stopped all sending."""


class SendingStopped(NewsletterError):
    """Sending stopped early: the fault is on our side, or the mail server does not answer."""


def one_line(text: str) -> str:
    """Returns the text on one line, so that a message is one line even if it quotes several."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Replaces characters that could affect a terminal with spaces; the result can be encoded."""
    return _UNPRINTABLE.sub(" ", text.encode("utf-8", "replace").decode())
