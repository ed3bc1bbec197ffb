"""Claims left by senders that died. Their deliveries may or may not have been sent."""

from __future__ import annotations

from datetime import datetime

from newsletter.delivery.recorder import Limits
from newsletter.storage import outbox, senders
from newsletter.storage.database import Database


def give_up_dead_claims(database: Database, limits: Limits, now: datetime) -> int:
    """Marks deliveries claimed by dead senders as `unknown`, or requeues them if so configured.

    Returns the number of deliveries that stay `unknown`.

    Raises:
        StorageError: the change cannot be recorded.
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
