"""Sends a test mail the same way as any other mail, to show whether mail arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from newsletter.delivery.recorder import RunSummary
from newsletter.delivery.sending import MakeDelivery, Sending
from newsletter.editions.notice_kinds import TEST
from newsletter.editions.notices import Notices
from newsletter.errors import SendingStopped, UsageError
from newsletter.messages import tokens
from newsletter.storage import deliveries, subscribers
from newsletter.storage import notices as notice_rows
from newsletter.storage.database import Database
from newsletter.storage.deliveries import DeliveryRow
from newsletter.storage.installation import LIMITED
from newsletter.subscribers.address import Address
from newsletter.text.dates import utc


class TestMail:
    """Sends test mails.

    Args:
        database: where the mail is queued.
        sending: checks whether anything may be sent.
        make_delivery: builds a delivery run.
        notices: the texts of notices.
        name: the newsletter's name.
        through: the server or the transport, as the mail's text names it.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self,
        database: Database,
        sending: Sending,
        make_delivery: MakeDelivery,
        notices: Notices,
        name: str,
        through: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sending = sending
        self._make_delivery = make_delivery
        self._notices = notices
        self._name = name
        self._through = through
        self._clock = clock

    def send(self, address: Address, stop: threading.Event) -> DeliveryRow:
        """Sends a test mail and returns its delivery as recorded afterwards.

        Raises:
            UsageError: the address is suppressed.
            SendingPaused: the operator stopped all sending.
            SendingStopped: the mail server refuses the mail, or does not answer.
            ConfigError: a setting that the transport needs is missing.
        """
        delivery = self._make_delivery(stop, _unseen)
        at = self._clock()
        self._sending.refuse(at)
        number = self._queued(address, at)
        summary = delivery.run(only_notices=True)
        with self._database.read() as tx:
            sent = deliveries.get(tx, number)
        if not sent.attempts:
            why = summary.stopped or (LIMITED if summary.limited else "it was interrupted")
            with self._database.write() as tx:  # a test mail that arrives later is useless
                notice_rows.cancel(tx, number, why, self._clock())
            raise SendingStopped(why)
        return sent

    def _queued(self, address: Address, at: datetime) -> int:
        subject, text = self._notices.words(
            TEST, name=self._name, at=utc(at), through=self._through
        )
        suppression = tokens.suppression_hash(self._database.keys.own, address.normal)
        with self._database.write() as tx:
            if reason := subscribers.suppressed(tx, [suppression]).get(suppression):
                raise UsageError(f"the address is suppressed: {reason}", where=address.display)
            return notice_rows.add(tx, TEST, address.display, address.normal, subject, text, at)


def _unseen(_summary: RunSummary, _total: int) -> None:
    """Ignores progress."""
