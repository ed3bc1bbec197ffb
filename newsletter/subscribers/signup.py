"""Double opt-in: requests to subscribe or to change an address, and their confirmation.

    visitor ─ ask ─→ request ─ `visitor_requests` ─→ pending, and a notice ─ confirm ─→ active

A visitor gets the response before anything is looked up, so it does not depend on who is
subscribed. Only the button on the page that the notice links to changes a subscription.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from newsletter.config import values
from newsletter.editions.notice_kinds import CHANGED
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import requests
from newsletter.storage.database import Database
from newsletter.storage.requests import Request, RequestKind
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.activation import reactivate
from newsletter.subscribers.address import Address, parse_address_or_none
from newsletter.subscribers.suppression import is_taken
from newsletter.subscribers.visitor_mail import VisitorMail

CONSENT_TEXT = "2026-11-29"
"""Version of the consent wording on the page and in the mail; change it with the wording."""


class LinkState(StrEnum):
    """What happens when the button of a confirmation link is pressed."""

    OPEN = "open"  # its request is carried out
    USED = "used"  # nothing: it was pressed before
    NOT_NEEDED = "not needed"  # nothing: the subscription was confirmed in another way
    ENDED = "ended"  # nothing: it has expired, was ended, or never was one


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The result of a confirmation.

    Attributes:
        joined: whether the subscriber was not active before, and is to be welcomed.
    """

    kind: RequestKind
    subscriber: Subscriber
    joined: bool


class Signup:
    """Records what visitors request, and carries it out once confirmed.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due.
        mail: queues transactional mail.
        links: verifies the links in it.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        mail: VisitorMail,
        links: SubscriberLinks,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rules = rules
        self._mail = mail
        self._links = links
        self._clock = clock
        self._own_key = database.keys.own

    def ask(self, address: Address, network: str, time_zone: str = "") -> None:
        """Records a request to subscribe. Looks nothing up."""
        now = self._clock()
        zone = _zone(time_zone)
        with self._database.write() as tx:
            requests.ask(tx, RequestKind.SUBSCRIBE, address.display, network, now, time_zone=zone)

    def ask_settings(self, number: int, network: str) -> None:
        """Records a request for a preferences link, authenticated by an unsubscribe link."""
        with self._database.write() as tx:
            now = self._clock()
            requests.ask(tx, RequestKind.SETTINGS, "", network, now, subscriber=number)

    def ask_change(self, number: int, address: Address, network: str) -> None:
        """Records a request to change a subscriber's address. Looks nothing up."""
        with self._database.write() as tx:
            requests.ask(
                tx,
                RequestKind.CHANGE,
                address.display,
                network,
                self._clock(),
                subscriber=number,
            )

    def state(self, kind: RequestKind, token: str) -> LinkState:
        """Returns the state of a confirmation link. Changes nothing."""
        number = self._links.request_of(kind, token, self._clock())
        if number is None:
            return LinkState.ENDED
        with self._database.read() as tx:
            return _state(kind, *_request(tx, number))

    def confirm(self, kind: RequestKind, token: str, network: str) -> Confirmed | None:
        """Carries out the request of a confirmation link, which works once.

        Returns `None`, and changes nothing, if the link is not open.
        """
        now = self._clock()
        number = self._links.request_of(kind, token, now)
        if number is None:
            return None
        with self._database.write() as tx:
            asked, found = _request(tx, number)
            if not (asked and found) or _state(kind, asked, found) is not LinkState.OPEN:
                return None
            if kind is RequestKind.CHANGE:
                return self._confirm_change(tx, asked, found, now)
            return self._confirm_signup(tx, asked, found, network, now)

    def _confirm_signup(
        self, tx: Connection, asked: Request, found: Subscriber, network: str, now: datetime
    ) -> Confirmed | None:
        reactivate(tx, found, self._rules, now)
        requests.note_consent(tx, found.id, CONSENT_TEXT, network, now)
        requests.note_confirmed(tx, asked.id, now)
        subscriber = requests.subscriber(tx, found.id)
        return Confirmed(asked.kind, subscriber, joined=True) if subscriber else None

    def _confirm_change(
        self, tx: Connection, asked: Request, found: Subscriber, now: datetime
    ) -> Confirmed | None:
        address = parse_address_or_none(asked.address)
        if address is None or is_taken(tx, self._own_key, address):
            return None
        self._mail.queue(tx, CHANGED, found.address, found, now)
        # Done first, because the change of address ends all unconfirmed requests.
        requests.note_confirmed(tx, asked.id, now)
        requests.rename(tx, found.id, address.display, address.normal, address.domain, now)
        subscriber = requests.subscriber(tx, found.id)
        return Confirmed(asked.kind, subscriber, joined=False) if subscriber else None


def _request(tx: Connection, number: int) -> tuple[Request | None, Subscriber | None]:
    """Returns a request and its subscriber, each `None` if it does not exist."""
    asked = requests.request(tx, number)
    return asked, requests.subscriber(tx, asked.subscriber) if asked else None


def _state(kind: RequestKind, asked: Request | None, found: Subscriber | None) -> LinkState:
    """Returns the state of the link that confirms a request of this kind."""
    if asked is None or found is None or asked.kind is not kind:
        return LinkState.ENDED
    if asked.confirmed_at:
        return LinkState.USED
    if kind is RequestKind.CHANGE:
        return LinkState.OPEN if asked.address else LinkState.ENDED
    if found.state in (SubscriberState.ACTIVE, SubscriberState.PAUSED):
        return LinkState.NOT_NEEDED
    left_since = found.state is SubscriberState.UNSUBSCRIBED and asked.at < found.changed_at
    if left_since or found.state is SubscriberState.SUPPRESSED:
        return LinkState.ENDED
    return LinkState.OPEN


def _zone(text: str) -> str | None:
    """Returns the time zone that a browser sent, or `None` if it does not exist."""
    try:
        return values.zone(text) if text else None
    except ValueError:
        return None
