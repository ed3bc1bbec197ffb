"""Transactional mail that follows from what a visitor does, queued in their transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from newsletter.editions.notices import Notices
from newsletter.messages.links import SubscriberLinks
from newsletter.models import SubscriberState
from newsletter.storage import notices
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.address import normal_form

ONE_MAIL = timedelta(hours=24)
"""An address gets at most one mail of a kind in this time, however often it is asked for."""


class VisitorMail:
    """Queues mails to subscribers, and to those who may become one.

    Args:
        words: the words of mails.
        links: makes the links in them.
        name: the newsletter's.
    """

    def __init__(self, words: Notices, links: SubscriberLinks, name: str) -> None:
        self._words = words
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
        """Queues a mail, unless the address was sent one of its kind in the last `ONE_MAIL`.

        One sent before they unsubscribed does not count: its links no longer work.

        Args:
            to: the address.
            subscriber: whom it is about.
            facts: for the words of the mail.

        Raises:
            RenderError: its words cannot be made.
        """
        left = subscriber.state is SubscriberState.UNSUBSCRIBED
        since = max(now - ONE_MAIL, subscriber.changed_at) if left else now - ONE_MAIL
        if notices.was_queued_since(tx, normal_form(to), kind, since):
            return
        settings = self._links.settings(subscriber.id, now)
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
            RenderError: its words cannot be made.
        """
        subject, text = self._words.words(kind, name=self._name, **facts)
        notices.add(tx, kind, to, normal_form(to), subject, text, now, subscriber=subscriber.id)
