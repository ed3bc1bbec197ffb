"""Handles visitors' requests: looks up the subscriber and queues the mail that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from newsletter.editions.notice_kinds import CHANGE, CONFIRM, KNOWN, SETTINGS
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import requests, subscribers
from newsletter.storage.database import Database, kept_if
from newsletter.storage.requests import Request, RequestKind
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.activation import newcomer, newcomer_cursor
from newsletter.subscribers.address import Address, parse_address_or_none
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
        """Returns whether a request is waiting. Fast."""
        with self._database.read() as tx:
            return requests.newest_waiting(tx) is not None

    def work(self) -> int:
        """Handles the requests that are waiting, and queues the mail that follows.

        Returns the number of requests handled.

        Raises:
            RenderError: the template of a mail cannot be rendered.
        """
        with self._database.read() as tx:
            newest = requests.newest_waiting(tx)
        done = 0
        while newest is not None:
            with self._database.read() as tx:
                found = requests.waiting(tx, newest, _MANY)
            for one in found:
                with self._database.write() as tx:
                    self._handle(tx, one, self._clock())
            done += len(found)
            if not found:
                break
        return done

    def _handle(self, tx: Connection, asked: Request, now: datetime) -> None:
        if not requests.take(tx, asked.id, now):
            return  # another process has taken it
        if asked.kind is RequestKind.SUBSCRIBE:
            self._handle_signup(tx, asked, now)
            requests.set_address(tx, asked.id, "")
        elif asked.kind is RequestKind.SETTINGS:
            found = requests.subscriber(tx, asked.subscriber)
            if found and found.state in _REACHED:
                self._mail.queue_once(tx, SETTINGS, found.address, found, now)
        else:
            self._handle_change(tx, asked, now)

    def _handle_signup(self, tx: Connection, asked: Request, now: datetime) -> None:
        """Executes the same statements for every address, and keeps only the changes that apply."""
        address = parse_address_or_none(asked.address)
        if address is None:
            return
        suppressed = is_suppressed(tx, self._own_key, address)
        known = subscribers.find(tx, address.normal)
        keep = not (suppressed or known)
        added = self._add_pending(tx, asked, address, now, known=known, keep=keep)
        found = known or added
        wanted = not suppressed and found.state is not SubscriberState.SUPPRESSED
        with kept_if(tx, wanted):
            requests.give(tx, asked.id, found.id)
            requests.restart_expiry(tx, found.id, now)
        kind = KNOWN if found.state in _REACHED else CONFIRM
        link = self._links.confirm(asked.id, now)
        self._mail.queue_once(tx, kind, found.address, found, now, wanted=wanted, link=link)

    def _add_pending(
        self,
        tx: Connection,
        asked: Request,
        address: Address,
        now: datetime,
        *,
        known: Subscriber | None,
        keep: bool,
    ) -> Subscriber:
        """Adds the address as pending if `keep`. Returns the subscriber that it is or would be."""
        row = SubscriberRow(address, time_zone=self._own_zone(asked.time_zone))
        added = newcomer(row, self._rules, now)
        if known:
            added = replace(added, normal=f" {added.normal}")  # an address has no space
        with kept_if(tx, keep):
            requests.pend(tx, added, newcomer_cursor(tx, now), now)
            return subscribers.get(tx, added.normal)

    def _handle_change(self, tx: Connection, asked: Request, now: datetime) -> None:
        address = parse_address_or_none(asked.address)
        found = requests.subscriber(tx, asked.subscriber)
        if address is None or found is None:
            requests.set_address(tx, asked.id, "")
            return
        free = not is_taken(tx, self._own_key, address)
        link = self._links.change(asked.id, now)
        self._mail.queue_once(tx, CHANGE, address.display, found, now, wanted=free, link=link)
        requests.set_address(tx, asked.id, asked.address if free else "")

    def _own_zone(self, zone: str | None) -> str | None:
        """Returns the time zone, or `None` if it is that of the newsletter."""
        return zone if zone != self._rules.time_zone else None
