"""Verifies the links to subscribers' preferences, and ends them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from newsletter.messages.links import SubscriberLinks
from newsletter.storage import requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.subscribers import LinkHolder


class SettingsLinks:
    """Verifies the links to subscribers' preferences, and ends them.

    Args:
        database: the newsletter's database.
        links: knows the keys.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self, database: Database, links: SubscriberLinks, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._links = links
        self._clock = clock

    def subscriber_of(self, token: str) -> int | None:
        """Returns the id of the subscriber whose preferences the link opens, or `None`."""
        number = self._links.claimed_settings(token)
        if number is None:
            return None
        with self._database.read() as tx:
            holder = subscribers.link_holder(tx, number)
        # Without a subscriber the same work is done, so that timing does not reveal their ids.
        holder = holder or LinkHolder(number, normal="", link_epoch=0)
        return number if self._links.opens_settings(token, holder, self._clock()) else None

    def end(self, number: int) -> None:
        """Ends all links of a subscriber, including those of unconfirmed requests.

        Only unsubscribe links keep working.
        """
        with self._database.write() as tx:
            requests.end_links(tx, number, self._clock())
