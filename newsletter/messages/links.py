"""Creates and verifies the links sent to subscribers. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from newsletter.messages import tokens

CONFIRM_FOR = timedelta(days=3)
"""How long a confirmation link is valid."""
SETTINGS_FOR = timedelta(days=30)
"""How long a preferences link is valid."""

_PURPOSES = {"subscribe": tokens.CONFIRM, "change": tokens.CHANGE}


class LinkHolder(Protocol):
    """The subscriber of a preferences link; the link ends when any of these values changes."""

    @property
    def id(self) -> int:
        """Their id."""

    @property
    def normal(self) -> str:
        """Their address in normal form."""

    @property
    def link_epoch(self) -> int:
        """A number that rises whenever their links are ended."""


@dataclass(frozen=True, slots=True)
class SubscriberLinks:
    """Creates and verifies links.

    Attributes:
        base_url: base URL of the web pages; empty if there are none.
        keys: the first one signs, all of them verify.
    """

    base_url: str
    keys: Sequence[bytes]

    def confirm(self, request: int, now: datetime) -> str:
        """Returns the link that confirms a subscription."""
        return f"{self.base_url}/confirm/{self._timed(tokens.CONFIRM, request, now + CONFIRM_FOR)}"

    def change(self, request: int, now: datetime) -> str:
        """Returns the link that confirms a subscriber's new address."""
        return f"{self.base_url}/confirm/{self._timed(tokens.CHANGE, request, now + CONFIRM_FOR)}"

    def settings(self, holder: LinkHolder, now: datetime) -> str:
        """Returns the link to a subscriber's preferences."""
        return f"{self.base_url}/preferences/{self.settings_token(holder, now)}"

    def settings_token(self, holder: LinkHolder, now: datetime) -> str:
        """Returns the token in a subscriber's preferences link."""
        until = now + SETTINGS_FOR
        return tokens.timed(self.keys[0], tokens.SETTINGS, holder.id, until, _bound(holder))

    def unsubscribe_token(self, subscriber_id: int) -> str:
        """Returns the token in a subscriber's unsubscribe link, which never expires."""
        return tokens.token(self.keys[0], tokens.UNSUBSCRIBE, subscriber_id)

    def request_of(self, kind: str, token: str, now: datetime) -> int | None:
        """Returns the id of the request that the token confirms, or `None` if it is not valid."""
        return tokens.timed_number_of(self.keys, _PURPOSES[kind], token, now)

    def kind_of(self, token: str, now: datetime) -> str | None:
        """Returns what a link confirms: `subscribe`, `change`, or `None` if it is not valid."""
        for kind in _PURPOSES:
            if self.request_of(kind, token, now) is not None:
                return kind
        return None

    def claimed_settings(self, token: str) -> int | None:
        """Returns the id in a preferences link, which is not verified, or `None` if it has none."""
        return tokens.unverified_number_of(token)

    def opens_settings(self, token: str, holder: LinkHolder, now: datetime) -> bool:
        """Returns whether a preferences link is valid, given the subscriber that it names."""
        bound = _bound(holder)
        number = tokens.timed_number_of(self.keys, tokens.SETTINGS, token, now, bound)
        return number == holder.id

    def unsubscribes(self, token: str) -> int | None:
        """Returns the id of the subscriber to unsubscribe, or `None` if the token is not valid."""
        return tokens.number_of(self.keys, tokens.UNSUBSCRIBE, token)

    def form(self, now: datetime) -> str:
        """Returns a token that records when a form was shown."""
        return self._timed(tokens.FORM, int(now.timestamp()), now + timedelta(days=1))

    def shown_at(self, token: str, now: datetime) -> float | None:
        """Returns when the form was shown, in seconds since 1970, or `None` if forged or old."""
        return tokens.timed_number_of(self.keys, tokens.FORM, token, now)

    def _timed(self, purpose: bytes, number: int, until: datetime) -> str:
        return tokens.timed(self.keys[0], purpose, number, until)


def _bound(holder: LinkHolder) -> bytes:
    """Returns the values that a preferences link is bound to; the first one has a fixed length."""
    return holder.link_epoch.to_bytes(8, "big") + holder.normal.encode()
