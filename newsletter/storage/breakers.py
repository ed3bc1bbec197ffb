"""Circuit breakers: SQL over `breakers`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from newsletter.storage.schema import breakers


@dataclass(frozen=True, slots=True)
class BreakerRow:
    """An open breaker: nothing is sent there, except one delivery as a probe now and then.

    Attributes:
        domain: the recipients' domain, in ASCII; empty for all mail.
        opened_at: since when.
        reason: why, in words for the operator.
        probe_at: when the next delivery may be tried.
    """

    domain: str
    opened_at: datetime
    reason: str
    probe_at: datetime


def listed(tx: Connection) -> list[BreakerRow]:
    """Returns the open breakers, the one for all mail first."""
    query = select(breakers).order_by(breakers.c.domain)
    return [
        BreakerRow(row.domain, row.opened_at, row.reason, row.probe_at) for row in tx.execute(query)
    ]
