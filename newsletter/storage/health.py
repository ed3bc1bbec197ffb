"""Checks of the database, and other facts for the health report that only it knows."""

from __future__ import annotations

from sqlalchemy import Connection, LargeBinary, cast, func, select

from newsletter.models import SubscriberState
from newsletter.storage.subscriber_tables import subscribers


def damages(tx: Connection) -> list[str]:
    """Returns the damage found in the file; reads all of it.

    Raises:
        DatabaseDamaged: the damage is so bad that the file cannot even be checked.
    """
    found = tx.exec_driver_sql("PRAGMA quick_check(5)").scalars()
    return [str(line) for line in found if line != "ok"]


def revision(tx: Connection) -> str:
    """Returns the schema revision."""
    return str(tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def count_needing_smtputf8(tx: Connection) -> int:
    """Counts active subscribers with an address that only servers with SMTPUTF8 accept."""
    local = func.substr(subscribers.c.normal, 1, func.instr(subscribers.c.normal, "@") - 1)
    query = select(func.count()).where(
        subscribers.c.state == SubscriberState.ACTIVE,
        func.length(cast(local, LargeBinary)) != func.length(local),
    )
    return int(tx.execute(query).scalar_one())
