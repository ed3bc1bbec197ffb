"""Whether the database is in order, and what else only it can tell of an installation."""

from __future__ import annotations

from sqlalchemy import Connection, LargeBinary, cast, func, select

from newsletter.models import SubscriberState
from newsletter.storage.schema import subscribers


def damages(tx: Connection) -> list[str]:
    """What is wrong with the file; reads all of it.

    Raises:
        DatabaseDamaged: so much that it cannot even be looked at.
    """
    found = tx.exec_driver_sql("PRAGMA quick_check(5)").scalars()
    return [str(line) for line in found if line != "ok"]


def revision(tx: Connection) -> str:
    """Of the schema."""
    return str(tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def count_needing_smtputf8(tx: Connection) -> int:
    """Active people whose address only some mail servers take."""
    local = func.substr(subscribers.c.normal, 1, func.instr(subscribers.c.normal, "@") - 1)
    query = select(func.count()).where(
        subscribers.c.state == SubscriberState.ACTIVE,
        func.length(cast(local, LargeBinary)) != func.length(local),
    )
    return int(tx.execute(query).scalar_one())
