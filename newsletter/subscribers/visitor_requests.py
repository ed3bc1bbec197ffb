"""Handles visitors' requests: looks up the subscriber and queues the mail that follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from newsletter.editions.notices import CHANGE, CONFIRM, KNOWN, SETTINGS
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import requests, subscribers
from newsletter.storage.database import Database
from newsletter.storage.requests import Request, RequestKind
from newsletter.subscribers.activation import newcomer, newcomer_cursor
from newsletter.subscribers.address import parse_address_or_none
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.suppression import is_suppressed, is_taken
from newsletter.subscribers.visitor_mail import VisitorMail

_MANY = 100
_REACHED = (SubscriberState.ACTIVE, SubscriberState.PAUSED)


class VisitorRequests:
    """Handles waiting requests.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due.
        mail: queues transactional mail.
        links: creates the links in it.
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

    def has_work(self) -> bool:
        """Returns whether a request is waiting; fast."""
        with self._database.read() as tx:
            return bool(requests.waiting(tx, 1))

    def work(self) -> int:
        """Handles all waiting requests and queues the mail that follows.

        Returns the number of requests handled.

        Raises:
            RenderError: the template of a mail cannot be rendered.
        """
        done = 0
        while True:
            with self._database.read() as tx:
                found = requests.waiting(tx, _MANY)
            for one in found:
                with self._database.write() as tx:
                    self._handle(tx, one, self._clock())
            done += len(found)
            if not found:
                return done

    def _handle(self, tx: Connection, asked: Request, now: datetime) -> None:
        if not requests.take(tx, asked.id, now):
            return  # another process has taken it
        if asked.kind is RequestKind.SUBSCRIBE:
            self._handle_signup(tx, asked, now)
            requests.drop_address(tx, asked.id)
        elif asked.kind is RequestKind.SETTINGS:
            found = requests.subscriber(tx, asked.subscriber)
            if found and found.state in _REACHED:
                self._mail.queue_once(tx, SETTINGS, found.address, found, now)
        else:
            self._handle_change(tx, asked, now)

    def _handle_signup(self, tx: Connection, asked: Request, now: datetime) -> None:
        address = parse_address_or_none(asked.address)
        if address is None or is_suppressed(tx, self._own_key, address):
            return
        found = subscribers.find(tx, address.normal)
        if found is None:
            row = SubscriberRow(address, time_zone=self._own_zone(asked.time_zone))
            added = newcomer(row, self._rules, now)
            requests.pend(tx, added, newcomer_cursor(tx, now), now)
            found = subscribers.find(tx, address.normal)
        if found is None or found.state is SubscriberState.SUPPRESSED:
            return
        requests.give(tx, asked.id, found.id)
        if found.state in _REACHED:
            self._mail.queue_once(tx, KNOWN, found.address, found, now)
            return
        if found.state is SubscriberState.PENDING:
            subscribers.stop(tx, found.id, SubscriberState.PENDING, now)  # restarts the expiry
        link = self._links.confirm(asked.id, now)
        self._mail.queue_once(tx, CONFIRM, found.address, found, now, link=link)

    def _handle_change(self, tx: Connection, asked: Request, now: datetime) -> None:
        address = parse_address_or_none(asked.address)
        found = requests.subscriber(tx, asked.subscriber)
        if address is None or found is None or is_taken(tx, self._own_key, address):
            requests.drop_address(tx, asked.id)
            return
        link = self._links.change(asked.id, now)
        self._mail.queue_once(tx, CHANGE, address.display, found, now, link=link)

    def _own_zone(self, zone: str | None) -> str | None:
        """Returns the time zone, or `None` if it is that of the newsletter."""
        return zone if zone != self._rules.time_zone else None
