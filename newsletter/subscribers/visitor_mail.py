"""Transactional mail about a visitor's request, queued in the transaction of the change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from newsletter.editions.notices import Notices
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.storage import notices
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.address import normal_form

ONE_MAIL = timedelta(hours=24)
"""An address is sent at most one mail of each kind in this time, whatever the requests."""


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
        **facts: Any,
    ) -> None:
        """Queues a mail unless one of its kind was queued for the address within `ONE_MAIL`.

        One queued before they unsubscribed, or before their links were ended, does not count: its
        links no longer work.

        Args:
            to: the address.
            subscriber: the subscriber it is about.
            facts: values for the template.

        Raises:
            RenderError: its template cannot be rendered.
        """
        if notices.was_queued_since(tx, normal_form(to), kind, _counted_since(subscriber, now)):
            return
        settings = self._links.settings(subscriber, now)
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


def _counted_since(subscriber: Subscriber, now: datetime) -> datetime:
    """Returns since when mails count as one of their kind."""
    instants = [now - ONE_MAIL]
    if subscriber.state is SubscriberState.UNSUBSCRIBED:
        instants.append(subscriber.changed_at)
    ended = datetime.fromtimestamp(subscriber.link_epoch, UTC)
    if ended <= now + timedelta(seconds=1):  # else the clock was ahead: no mail would count
        instants.append(ended)
    return max(instants)
