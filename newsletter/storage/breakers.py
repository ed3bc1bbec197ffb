"""The open circuits of the breaker: SQL over `breakers`."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.masks import without_addresses
from newsletter.models import Circuit
from newsletter.storage.schema import breakers


def listed(tx: Connection) -> list[Circuit]:
    """Returns the open circuits; that of all mail, if it is open, first."""
    rows = tx.execute(select(breakers).order_by(breakers.c.domain))
    return [Circuit(row.domain, row.reason, row.opened_at, row.probe_at) for row in rows]


def save(tx: Connection, circuit: Circuit) -> None:
    """Records that a circuit is open, and when it is probed next.

    Addresses in its reason are hidden: nothing else tells which subscriber a reply is about, so it
    could not be erased with them.
    """
    upsert = insert(breakers)
    tx.execute(
        upsert.on_conflict_do_update(
            index_elements=[breakers.c.domain],
            set_={"reason": upsert.excluded.reason, "probe_at": upsert.excluded.probe_at},
        ),
        {
            "domain": circuit.domain,
            "reason": without_addresses(circuit.reason),
            "opened_at": circuit.opened_at,
            "probe_at": circuit.probe_at,
        },
    )


def postpone(tx: Connection, circuit: Circuit) -> bool:
    """Records when a circuit is probed next. Returns `False` if the operator has closed it."""
    return bool(
        tx.execute(
            update(breakers)
            .where(breakers.c.domain == circuit.domain)
            .values(probe_at=circuit.probe_at)
        ).rowcount
    )


def remove(tx: Connection, domain: str) -> None:
    """Records that a circuit is closed."""
    tx.execute(delete(breakers).where(breakers.c.domain == domain))


def remove_all(tx: Connection) -> None:
    """Records that all circuits are closed."""
    tx.execute(delete(breakers))
