"""The database's secret keys, created along with it: the only module that reads `secrets`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import Connection, select

from newsletter.errors import DatabaseDamaged
from newsletter.storage.schema import secrets

_OWN, _LINKS = "own", "links"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of one database, available as `Database.keys`.

    Attributes:
        own: key for suppressions, Message-IDs and bounce addresses; never changes.
        links: signs links if no key is configured, and verifies those it signed.
    """

    own: bytes
    links: bytes


def load(tx: Connection) -> Keys:
    """Reads the keys.

    Raises:
        DatabaseDamaged: one is missing.
    """
    found = {row.name: row.value for row in tx.execute(select(secrets))}
    if not {_OWN, _LINKS} <= found.keys():
        raise DatabaseDamaged("the database has lost its keys", hint="restore a backup")
    return Keys(found[_OWN], found[_LINKS])


def own_of(database: sqlite3.Connection, schema: str = "main") -> bytes | None:
    """Returns the `own` key of the database attached as `schema`, or `None` if it has none."""
    query = f"SELECT value FROM {schema}.secrets WHERE name = ?"  # noqa: S608  # our names
    found = database.execute(query, (_OWN,)).fetchone()
    return found[0] if found else None
