"""Claims of senders that died: their deliveries may have been sent, or not."""

from __future__ import annotations

from datetime import datetime

from newsletter.delivery.recorder import Limits
from newsletter.storage import outbox, senders
from newsletter.storage.database import Database


def give_up_dead_claims(database: Database, limits: Limits, now: datetime) -> int:
    """Turns what dead senders had claimed into `unknown`, or queues it again if so configured.

    Returns the number of deliveries that stay `unknown`.

    Raises:
        StorageError: it cannot be recorded.
    """
    with database.read() as tx:
        names = outbox.senders(tx)
    left = 0
    for name in senders.dead(database.file, names):
        with database.write() as tx:
            left += outbox.give_up_claims(tx, name, now)
    if limits.unknown == "resend":
        with database.write() as tx:
            left -= outbox.resend_unknown(tx, now - limits.give_up_after, now)
    return max(0, left)
