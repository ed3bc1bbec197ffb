"""The links that readers get: made here, and read back here. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter.messages import tokens

CONFIRM_FOR = timedelta(days=3)
"""How long a link holds that confirms something."""
SETTINGS_FOR = timedelta(days=30)
"""How long a link to somebody's settings holds."""

_PURPOSES = {"subscribe": tokens.CONFIRM, "change": tokens.CHANGE}


@dataclass(frozen=True, slots=True)
class SubscriberLinks:
    """Makes and reads links.

    Attributes:
        base_url: of the pages; empty where there are none.
        keys: the first one signs, all verify.
    """

    base_url: str
    keys: Sequence[bytes]

    def confirm(self, request: int, now: datetime) -> str:
        """Confirms that somebody wants editions."""
        return f"{self.base_url}/confirm/{self._timed(tokens.CONFIRM, request, now + CONFIRM_FOR)}"

    def change(self, request: int, now: datetime) -> str:
        """Confirms somebody's new address."""
        return f"{self.base_url}/confirm/{self._timed(tokens.CHANGE, request, now + CONFIRM_FOR)}"

    def settings(self, subscriber_id: int, now: datetime) -> str:
        """Leads to somebody's settings."""
        return f"{self.base_url}/preferences/{self.settings_token(subscriber_id, now)}"

    def settings_token(self, subscriber_id: int, now: datetime) -> str:
        """The last part of that link."""
        return self._timed(tokens.SETTINGS, subscriber_id, now + SETTINGS_FOR)

    def unsubscribe_token(self, subscriber_id: int) -> str:
        """The last part of somebody's link to unsubscribe, which never expires."""
        return tokens.token(self.keys[0], tokens.UNSUBSCRIBE, subscriber_id)

    def request_of(self, kind: str, token: str, now: datetime) -> int | None:
        """The request whose confirmation this is; `None` if it is none that holds."""
        return tokens.timed_number_of(self.keys, _PURPOSES[kind], token, now)

    def kind_of(self, token: str, now: datetime) -> str | None:
        """What a link confirms: `subscribe` or `change`; `None` if nothing, or not any more."""
        for kind in _PURPOSES:
            if self.request_of(kind, token, now) is not None:
                return kind
        return None

    def settings_of(self, token: str, now: datetime) -> int | None:
        """Whose settings it leads to."""
        return tokens.timed_number_of(self.keys, tokens.SETTINGS, token, now)

    def unsubscribes(self, token: str) -> int | None:
        """Whom it unsubscribes."""
        return tokens.number_of(self.keys, tokens.UNSUBSCRIBE, token)

    def form(self, now: datetime) -> str:
        """Says when a form was shown."""
        return self._timed(tokens.FORM, int(now.timestamp()), now + timedelta(days=1))

    def shown_at(self, token: str, now: datetime) -> float | None:
        """When the form was shown, in seconds since 1970; `None` if that is not ours, or old."""
        return tokens.timed_number_of(self.keys, tokens.FORM, token, now)

    def _timed(self, purpose: bytes, number: int, until: datetime) -> str:
        return tokens.timed(self.keys[0], purpose, number, until)
