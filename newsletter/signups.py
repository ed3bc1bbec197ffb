"""What readers do of their own accord: subscribe, confirm, choose, leave, come back.

    visitor ─ ask ─→ request ─ work ─→ pending, and a mail ─ confirm ─→ active

A visitor's answer is given before anything is looked up; the mail is a notice. Only who
has read it, and pressed the button on its page, changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from newsletter import tokens
from newsletter.activation import newcomer, newcomer_cursor, reactivate
from newsletter.config import values
from newsletter.models import SubscriberState
from newsletter.notices import CHANGE, CHANGED, CONFIRM, KNOWN, SETTINGS, Notices
from newsletter.planning import Rules
from newsletter.readerlinks import ReaderLinks
from newsletter.recipients import Address, parse_address
from newsletter.storage import notices, people, readers
from newsletter.storage.database import Database
from newsletter.storage.people import Subscriber, Wishes
from newsletter.storage.readers import Request, RequestKind

CONSENT_TEXT = "2026-11"
"""The version of what the page and the mail say; changes when their words do."""
STALE = timedelta(days=7)
"""After so long, somebody who never confirmed is forgotten."""
ONE_MAIL = timedelta(hours=24)
"""An address gets at most one mail of a kind in this time, however often it is asked for."""
_MANY = 100


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a confirmation did.

    Attributes:
        came: they were not active before: they get a welcome.
    """

    kind: RequestKind
    person: Subscriber
    came: bool


class Signups:
    """Does what readers ask for.

    Args:
        database: where it is remembered.
        rules: when people are due.
        notices: the words of mails.
        links: makes the links in them.
        name: the newsletter's.
        clock: the current instant, aware.
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        notices: Notices,
        links: ReaderLinks,
        name: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rules = rules
        self._notices = notices
        self._links = links
        self._name = name
        self._clock = clock
        self._own_key = database.keys.own

    def ask(self, address: Address, network: str, time_zone: str = "") -> None:
        """Somebody wants editions. Nothing is looked up."""
        now = self._clock()
        zone = _zone(time_zone)
        with self._database.write() as tx:
            readers.ask(tx, RequestKind.SUBSCRIBE, address.display, network, now, time_zone=zone)

    def ask_settings(self, number: int, network: str) -> None:
        """Who has somebody's link to unsubscribe wants a link to their settings."""
        with self._database.write() as tx:
            now = self._clock()
            readers.ask(tx, RequestKind.SETTINGS, "", network, now, subscriber=number)

    def ask_change(self, number: int, address: Address, network: str) -> None:
        """Somebody wants another address. Nothing is looked up."""
        with self._database.write() as tx:
            readers.ask(
                tx,
                RequestKind.CHANGE,
                address.display,
                network,
                self._clock(),
                subscriber=number,
            )

    def has_work(self) -> bool:
        """Whether a request waits. Quick."""
        with self._database.read() as tx:
            return bool(readers.waiting(tx, 1))

    def work(self) -> int:
        """Looks at what was asked for, and queues the mails that follow; how many requests.

        Raises:
            RenderError: the words of a mail cannot be made.
        """
        done = 0
        while True:
            with self._database.read() as tx:
                found = readers.waiting(tx, _MANY)
            for one in found:
                with self._database.write() as tx:
                    self._handle(tx, one, self._clock())
            done += len(found)
            if not found:
                return done

    def tidy(self) -> None:
        """Ends pauses whose date has come, and forgets who never confirmed."""
        now = self._clock()
        # The date of the earliest zone; everybody's own is looked at below.
        today = (now + timedelta(hours=14)).date()
        self._each(
            lambda tx, after: readers.pauses_over(tx, today, after, _MANY),
            lambda tx, one: self._end_pause(tx, one, now),
        )
        self._each(
            lambda tx, after: readers.stale(tx, now - STALE, after, _MANY),
            lambda tx, one: readers.erase(tx, one, now),
        )
        with self._database.write() as tx:
            readers.forget_requests(tx, now - STALE)

    def _each(
        self,
        found: Callable[[Connection, int], list[Subscriber]],
        change: Callable[[Connection, Subscriber], None],
    ) -> None:
        """Changes everybody who is found, each in a transaction of their own."""
        after = 0
        while True:
            with self._database.read() as tx:
                some = found(tx, after)
            if not some:
                return
            for one in some:
                with self._database.write() as tx:
                    change(tx, one)
            after = some[-1].id

    def confirm(self, kind: RequestKind, token: str, network: str) -> Confirmed | None:
        """What the link of a mail asks for; `None` when it does not hold any more.

        Pressed again it does nothing, and says the same.
        """
        now = self._clock()
        number = self._links.request_of(kind, token, now)
        if number is None:
            return None
        with self._database.write() as tx:
            asked = readers.request(tx, number)
            found = readers.person(tx, asked.subscriber) if asked else None
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
        readers.note_consent(tx, found.id, CONSENT_TEXT, network, now)
        readers.note_confirmed(tx, asked.id, now)
        person = readers.person(tx, found.id)
        return Confirmed(asked.kind, person, came=True) if person else None

    def _confirm_change(
        self, tx: Connection, asked: Request, found: Subscriber, now: datetime
    ) -> Confirmed | None:
        if asked.confirmed_at:
            return Confirmed(asked.kind, found, came=False)
        address = _parsed(asked.address)
        if address is None or self._is_taken(tx, address):
            return None
        self._queue(tx, CHANGED, found.address, found, now)
        readers.rename(tx, found.id, address.display, address.normal, address.domain)
        readers.note_confirmed(tx, asked.id, now)
        person = readers.person(tx, found.id)
        return Confirmed(asked.kind, person, came=False) if person else None

    def _handle(self, tx: Connection, asked: Request, now: datetime) -> None:
        if not readers.take(tx, asked.id, now):
            return  # another process was quicker
        if asked.kind is RequestKind.SUBSCRIBE:
            self._handle_signup(tx, asked, now)
            readers.drop_address(tx, asked.id)
        elif asked.kind is RequestKind.SETTINGS:
            found = readers.person(tx, asked.subscriber)
            if found and found.state in _REACHED:
                self._tell(tx, SETTINGS, found.address, found, now)
        else:
            self._handle_change(tx, asked, now)

    def _handle_signup(self, tx: Connection, asked: Request, now: datetime) -> None:
        address = _parsed(asked.address)
        if address is None or self._is_suppressed(tx, address):
            return
        found = people.find(tx, address.normal)
        if found is None:
            wishes = Wishes(time_zone=self._own_zone(asked.time_zone))
            added = newcomer(address, wishes, self._rules, now)
            readers.pend(tx, added, newcomer_cursor(tx, now), now)
            found = people.find(tx, address.normal)
        if found is None or found.state is SubscriberState.SUPPRESSED:
            return
        readers.give(tx, asked.id, found.id)
        if found.state in _REACHED:
            self._tell(tx, KNOWN, found.address, found, now)
            return
        if found.state is SubscriberState.PENDING:
            people.stop(tx, found.id, SubscriberState.PENDING, now)  # waits from now on
        link = self._links.confirm(asked.id, now)
        self._tell(tx, CONFIRM, found.address, found, now, link=link)

    def _handle_change(self, tx: Connection, asked: Request, now: datetime) -> None:
        address = _parsed(asked.address)
        found = readers.person(tx, asked.subscriber)
        if address is None or found is None or self._is_taken(tx, address):
            readers.drop_address(tx, asked.id)
            return
        link = self._links.change(asked.id, now)
        self._tell(tx, CHANGE, address.display, found, now, link=link)

    def _tell(
        self,
        tx: Connection,
        kind: str,
        to: str,
        person: Subscriber,
        now: datetime,
        **facts: Any,
    ) -> None:
        """Queues a mail, unless the address had such a one a short while ago.

        What went to somebody before they left leads nowhere any more, and does not count.
        """
        left = person.state is SubscriberState.UNSUBSCRIBED
        since = max(now - ONE_MAIL, person.changed_at) if left else now - ONE_MAIL
        if notices.was_told(tx, parse_address(to).normal, kind, since):
            return
        settings = self._links.settings(person.id, now)
        self._queue(tx, kind, to, person, now, settings=settings, **facts)

    def _queue(
        self,
        tx: Connection,
        kind: str,
        to: str,
        person: Subscriber,
        now: datetime,
        **facts: Any,
    ) -> None:
        subject, text = self._notices.words(kind, name=self._name, **facts)
        notices.add(tx, kind, to, subject, text, now, subscriber=person.id)

    def _end_pause(self, tx: Connection, one: Subscriber, now: datetime) -> None:
        zone = ZoneInfo(self._rules.schedule(one.wishes).zone)
        until = readers.about(tx, one.id).paused_until
        if until is None or until > now.astimezone(zone).date():
            return
        reactivate(tx, one, self._rules, now)

    def _is_taken(self, tx: Connection, address: Address) -> bool:
        return self._is_suppressed(tx, address) or people.find(tx, address.normal) is not None

    def _is_suppressed(self, tx: Connection, address: Address) -> bool:
        mark = tokens.mark(self._own_key, address.normal)
        return bool(people.suppressed(tx, [mark]))

    def _own_zone(self, zone: str | None) -> str | None:
        """A zone, unless it is the newsletter's own."""
        return zone if zone != self._rules.time_zone else None


_REACHED = (SubscriberState.ACTIVE, SubscriberState.PAUSED)


def _parsed(text: str) -> Address | None:
    try:
        return parse_address(text)
    except ValueError:
        return None


def _zone(text: str) -> str | None:
    """The zone a browser named, if there is such a one."""
    try:
        return values.zone(text) if text else None
    except ValueError:
        return None
