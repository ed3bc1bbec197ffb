"""What visitors ask for on the web: to subscribe, another address, and confirming either.

    visitor ─ ask ─→ request ─ `visitor_requests` ─→ pending, and a mail ─ confirm ─→ active

A visitor's answer is given before anything is looked up; the mail is a notice. Only a
subscriber who has read it, and pressed the button on its page, changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from newsletter.config import values
from newsletter.editions.notices import CHANGED
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

CONSENT_TEXT = "2026-11"
"""The version of what the page and the mail say; changes when their words do."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a confirmation did.

    Attributes:
        came: they were not active before: they get a welcome.
    """

    kind: RequestKind
    person: Subscriber
    came: bool


class Signup:
    """Writes down what visitors ask for, and does what they confirm.

    Args:
        database: where it is remembered.
        rules: when people are due.
        mail: queues mails.
        links: reads the links in them.
        clock: the current instant, aware.
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
        """Somebody wants editions. Nothing is looked up."""
        now = self._clock()
        zone = _zone(time_zone)
        with self._database.write() as tx:
            requests.ask(tx, RequestKind.SUBSCRIBE, address.display, network, now, time_zone=zone)

    def ask_settings(self, number: int, network: str) -> None:
        """Who has somebody's link to unsubscribe wants a link to their settings."""
        with self._database.write() as tx:
            now = self._clock()
            requests.ask(tx, RequestKind.SETTINGS, "", network, now, subscriber=number)

    def ask_change(self, number: int, address: Address, network: str) -> None:
        """Somebody wants another address. Nothing is looked up."""
        with self._database.write() as tx:
            requests.ask(
                tx,
                RequestKind.CHANGE,
                address.display,
                network,
                self._clock(),
                subscriber=number,
            )

    def confirm(self, kind: RequestKind, token: str, network: str) -> Confirmed | None:
        """What the link of a mail asks for; `None` when it does not hold any more.

        Pressed again it does nothing, and says the same.
        """
        now = self._clock()
        number = self._links.request_of(kind, token, now)
        if number is None:
            return None
        with self._database.write() as tx:
            asked = requests.request(tx, number)
            found = requests.person(tx, asked.subscriber) if asked else None
            if asked is None or found is None or asked.kind is not kind:
                return None
            if kind is RequestKind.CHANGE:
                return self._confirm_change(tx, asked, found, now)
            return self._confirm_signup(tx, asked, found, network, now)

    def _confirm_signup(
        self, tx: Connection, asked: Request, found: Subscriber, network: str, now: datetime
    ) -> Confirmed | None:
        is_active = found.state in (SubscriberState.ACTIVE, SubscriberState.PAUSED)
        if is_active or asked.confirmed_at:
            return Confirmed(asked.kind, found, came=False) if is_active else None
        left_since = found.state is SubscriberState.UNSUBSCRIBED and asked.at < found.changed_at
        if left_since or found.state is SubscriberState.SUPPRESSED:
            return None
        reactivate(tx, found, self._rules, now)
        requests.note_consent(tx, found.id, CONSENT_TEXT, network, now)
        requests.note_confirmed(tx, asked.id, now)
        person = requests.person(tx, found.id)
        return Confirmed(asked.kind, person, came=True) if person else None

    def _confirm_change(
        self, tx: Connection, asked: Request, found: Subscriber, now: datetime
    ) -> Confirmed | None:
        if asked.confirmed_at:
            return Confirmed(asked.kind, found, came=False)
        address = parse_address_or_none(asked.address)
        if address is None or is_taken(tx, self._own_key, address):
            return None
        self._mail.queue(tx, CHANGED, found.address, found, now)
        requests.rename(tx, found.id, address.display, address.normal, address.domain)
        requests.note_confirmed(tx, asked.id, now)
        person = requests.person(tx, found.id)
        return Confirmed(asked.kind, person, came=False) if person else None


def _zone(text: str) -> str | None:
    """The zone a browser named, if there is such a one."""
    try:
        return values.zone(text) if text else None
    except ValueError:
        return None
