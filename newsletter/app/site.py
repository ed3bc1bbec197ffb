"""The values that templates of web pages receive. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from newsletter.config.schema import Config
from newsletter.config.values import name_and_address

EMPTY_ARCHIVE: Mapping[str, Any] = {
    "query": "",
    "found": None,
    "more_url": "",
    "days": [],
    "editions": [],
    "older_url": "",
    "newer_url": "",
}
"""The values of the archive page without results, days and editions."""


@dataclass(frozen=True, slots=True)
class Site:
    """The values available to every page.

    Attributes:
        base_url: the public URL of the pages; empty if they are only served on this machine.
        root: the path prefix of all pages; usually empty.
        owner: the public contact address; empty if there is none.
        can_subscribe: whether visitors can subscribe.
        send_at: the time of day at which editions are sent, in each subscriber's time zone.
        time_zone: that of subscribers without one of their own.
    """

    name: str
    base_url: str
    root: str
    accent: str
    accent_dark: str
    postal_address: str
    owner: str
    language: str
    can_subscribe: bool
    send_at: str
    time_zone: str


def site(config: Config) -> Site:
    """Returns the configured site."""
    section = config.newsletter
    return Site(
        name=section.name,
        base_url=section.base_url,
        root=urlsplit(section.base_url).path.rstrip("/"),
        accent=config.theme.accent,
        accent_dark=config.theme.dark,
        postal_address=section.postal_address,
        owner=name_and_address(section.reply_to)[1],
        language=section.language,
        can_subscribe=bool(section.base_url),
        send_at=f"{section.send_at:%H:%M}",
        time_zone=section.time_zone,
    )
