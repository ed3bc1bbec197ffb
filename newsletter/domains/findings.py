"""What a look at something found: fine, a warning or a failure, and what to do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from newsletter.text.clean import clean, cut

SHOWN = 160  # columns of a record


_OF_ONE_NETWORK = ("arpa", "internal", "local", "localhost", "onion", "test")


_EXAMPLES = (
    *("example", "invalid"),
    *("example.com", "example.net", "example.org", "example.edu"),
)


MAILTO = re.compile(r"mailto:[^@\s]+@[^@\s]+", re.IGNORECASE)


class Level(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: what was found.
        hint: what to do; always there unless all is well.
        record: what to publish in the domain's zone.
    """

    level: Level
    what: str
    hint: str = ""
    record: str = ""


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, what)


def warning(what: str, hint: str, record: str = "") -> Finding:
    """Mail goes out, and something should be mended."""
    return Finding(Level.WARNING, what, hint, record)


def failure(what: str, hint: str, record: str = "") -> Finding:
    """Mail does not go out, or is not taken."""
    return Finding(Level.FAILURE, what, hint, record)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer; `why` in words. Nothing follows from it."""

    why: str


Answer = tuple[str, ...] | Unanswered
"""What a name has, empty if it has no such record; or nothing is known."""


def is_special(domain: str) -> bool:
    """Whether the domain, in lower case, is for one network, for examples or for tests only."""
    return "." not in domain or is_example(domain) or domain.rpartition(".")[2] in _OF_ONE_NETWORK


def is_example(domain: str) -> bool:
    """Whether the domain is nobody's, and never will be."""
    return any(is_below(domain, example) for example in _EXAMPLES)


def is_below(domain: str, other: str) -> bool:
    """Whether `domain` is the other one, or below it."""
    return domain == other or domain.endswith(f".{other}")


def tags(record: str) -> dict[str, str]:
    """The tags of a DMARC or DKIM record; of several with one name, the first."""
    found: dict[str, str] = {}
    for tag in record.split(";"):
        name, equals, value = tag.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def unasked(what: str, unanswered: Unanswered) -> Finding:
    return warning(
        f"{what} could not be asked: {unanswered.why}",
        "that says nothing about it; run this again, or ask another by --nameserver",
    )


def as_shown(text: str) -> str:
    return f"“{cut(clean(text), SHOWN)}”"
