"""The result of a check: ok, a warning or a failure, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from newsletter.errors import NewsletterError
from newsletter.masks import masked

SCHEDULER_HINT = "see that `newsletter serve` is running, or `newsletter run` in cron"
"""What to do when the jobs that run on a schedule are late."""


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        what: what was found.
        hint: what to do about it; empty only if the level is `OK`.
        record: a record to publish in the domain's DNS zone, if that is the remedy.
        excerpt: lines to show with it, such as those around a mistake in a file.
    """

    level: Level
    what: str
    hint: str = ""
    record: str = ""
    excerpt: Sequence[str] = ()


def ok(what: str) -> Finding:
    """Returns a finding that needs no action."""
    return Finding(Level.OK, masked(what))


def warning(what: str, hint: str, record: str = "") -> Finding:
    """Returns a finding for a problem that does not keep mail from being sent."""
    return Finding(Level.WARNING, masked(what), masked(hint), record)


def failure(what: str, hint: str, record: str = "") -> Finding:
    """Returns a finding for a problem because of which mail is not sent, or is rejected."""
    return Finding(Level.FAILURE, masked(what), masked(hint), record)


def from_error(error: NewsletterError | OSError) -> Finding:
    """Returns the finding for an error that ended a check."""
    if isinstance(error, NewsletterError):
        what = f"{error.where}: {error.what}" if error.where else error.what
        found = failure(what, error.hint or "fix that, then run this again")
        return replace(found, excerpt=error.excerpt)
    where = f"{error.filename}: " if error.filename else ""
    return failure(f"{where}{error.strerror or error}", "check its owner and mode")
