"""Whether the places that sources are read from can be read at all. Makes no request."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from newsletter.config.schema import SourceSection
from newsletter.sources.addresses import refusal


@dataclass(frozen=True, slots=True)
class UnusablePlace:
    """A source that cannot be read as it is configured.

    Attributes:
        source: the name of the source.
        what: what is wrong.
        hint: what to do next.
    """

    source: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what}; {self.hint}"


def unusable_places(sections: Iterable[SourceSection]) -> list[UnusablePlace]:
    """Returns the sources whose folder is missing or whose URL leads to a private address.

    Host names are not looked up: a name that leads to a private address is noticed when it is
    fetched.
    """
    found = (unusable_place(section) for section in sections)
    return [place for place in found if place]


def unusable_place(section: SourceSection) -> UnusablePlace | None:
    """Does the same for one source."""
    if section.path and not Path(section.path).exists():
        return UnusablePlace(
            section.name,
            f"{section.path} does not exist",
            "create it, or correct its path under [[sources]]",
        )
    why = None if section.allow_private or not section.url else _private(section.url)
    if why:
        return UnusablePlace(
            section.name,
            f"its URL leads to {why}, to which no request is made",
            "set allow_private = true for this source if that is what you want",
        )
    return None


def _private(url: str) -> str | None:
    """Returns which kind of private address the URL names, as text, or `None` if it names none."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    if host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost"):
        return "a loopback address"
    try:  # also the short and the decimal notation, such as 127.1
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return refusal(str(found[0][4][0]))
