"""Transactional mail about a visitor's request, queued in the transaction of the change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from newsletter.editions.notices import Notices
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.storage import notices
from newsletter.storage.database import kept_if
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.address import mailbox_key, normal_form

ONE_MAIL = timedelta(hours=24)
"""A mailbox is sent at most one mail of each kind in this time, however many requests there are
and however its address is spelled."""


class VisitorMail:
    """Queues transactional mail to subscribers and to pending ones.

    Args:
        notices: renders notices.
        links: creates the links in them.
        name: name of the newsletter.
    """

    def __init__(self, notices: Notices, links: SubscriberLinks, name: str) -> None:
        self._notices = notices
        self._links = links
        self._name = name

    def queue_once(
        self,
        tx: Connection,
        kind: str,
        to: str,
        subscriber: Subscriber,
        now: datetime,
        *,
        wanted: bool = True,
        **facts: Any,
    ) -> None:
        """Queues a mail unless one of its kind was queued for the mailbox within `ONE_MAIL`.

        One queued before they unsubscribed, or before their links were ended, does not count: its
        links no longer work. Executes the same statements whether the mail is queued or not.

        Args:
            to: the address.
            subscriber: the subscriber it is about.
            wanted: false if the mail may not be queued in any case.
            facts: values for the template.

        Raises:
            RenderError: its template cannot be rendered.
        """
        since = _counted_since(subscriber, to, now)
        is_first = not _was_queued(tx, kind, mailbox_key(normal_form(to)), since)
        settings = self._links.settings(subscriber, now)
        with kept_if(tx, wanted and is_first):
            self.queue(tx, kind, to, subscriber, now, settings=settings, **facts)

    def queue(
        self,
        tx: Connection,
        kind: str,
        to: str,
        subscriber: Subscriber,
        now: datetime,
        **facts: Any,
    ) -> None:
        """Queues a mail.

        Raises:
            RenderError: its template cannot be rendered.
        """
        subject, text = self._notices.words(kind, name=self._name, **facts)
        notices.add(tx, kind, to, normal_form(to), subject, text, now, subscriber=subscriber.id)


def _counted_since(subscriber: Subscriber, to: str, now: datetime) -> datetime:
    """Returns the time since when an earlier mail of the same kind counts."""
    instants = [now - ONE_MAIL]
    if normal_form(to) != normal_form(subscriber.address):
        return instants[0]  # ending their own links does not permit another mail to a stranger
    if subscriber.state is SubscriberState.UNSUBSCRIBED:
        instants.append(subscriber.changed_at)
    ended = datetime.fromtimestamp(subscriber.link_epoch, UTC)
    if ended <= now + timedelta(seconds=1):  # else the clock was ahead: no mail would count
        instants.append(ended)
    return max(instants)


def _was_queued(tx: Connection, kind: str, mailbox: str, since: datetime) -> bool:
    local = mailbox.rpartition("@")[0].replace(".", "")
    found = notices.queued_since(tx, kind, local, since)
    return any(mailbox_key(one) == mailbox for one in found)
