"""Deliveries on record: the result of each, and the operator's decisions about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from newsletter.delivery.personalise import message_id_local
from newsletter.models import DeliveryState
from newsletter.storage import deliveries
from newsletter.storage.database import Database
from newsletter.storage.deliveries import DeliveryRow, Filter


class DeliveryRecords:
    """Lists deliveries, and retries or settles them.

    Args:
        database: where they are stored.
        domain: Message-ID domain for editions that have none on record.
        notice_domain: Message-ID domain for notices.
        clock: returns the current time, timezone-aware.
    """

    def __init__(
        self, database: Database, domain: str, notice_domain: str, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._domain = domain
        self._notice_domain = notice_domain
        self._clock = clock

    def listed(self, wanted: Filter) -> Iterator[DeliveryRow]:
        """Yields the deliveries that match, in the order they were planned."""
        with self._database.read() as tx:
            yield from deliveries.listed(tx, wanted)

    def message_id(self, row: DeliveryRow) -> str:
        """Returns a delivery's Message-ID, the same each time it is sent."""
        own_key = self._database.keys.own
        name = message_id_local(own_key, row.edition, row.part, row.subscriber or row.notice)
        domain = self._notice_domain if row.notice else row.domain or self._domain
        return f"<{name}@{domain}>"

    def retry(self, wanted: Filter) -> int:
        """Requeues matching deliveries that were not sent. Returns their number.

        Those that are `unknown` are left out, unless the filter names the state or an address.
        """
        now = self._clock()
        return self._in_chunks(lambda tx, after: deliveries.retry(tx, wanted, now, after))

    def settle(self, wanted: Filter, *, sent: bool) -> int:
        """Settles matching `unknown` deliveries as sent or lost. Returns their number."""
        state = DeliveryState.SENT if sent else DeliveryState.EXPIRED
        reply = "settled by the operator: it " + ("arrived" if sent else "was lost")
        now = self._clock()
        return self._in_chunks(
            lambda tx, after: deliveries.settle(tx, wanted, state, reply, now, after)
        )

    def acknowledge(self, wanted: Filter) -> int:
        """Acknowledges matching refused and expired deliveries. Returns their number.

        They are no longer reported as mail that was not delivered.
        """
        return self._in_chunks(lambda tx, after: deliveries.acknowledge(tx, wanted, after))

    def _in_chunks(self, change: Callable[[Connection, int], tuple[int, int]]) -> int:
        """Changes deliveries, one transaction per chunk. Returns the number changed."""
        total, after = 0, 0
        while True:
            with self._database.write() as tx:
                many, after = change(tx, after)
            if not many:
                return total
            total += many
