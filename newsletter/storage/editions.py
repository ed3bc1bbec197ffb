"""Frozen editions: SQL over `editions`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from newsletter.models import Rendered
from newsletter.storage.schema import editions


def key_of(positions: Sequence[int], language: str, theme: str, fingerprint: str) -> str:
    """The name of an edition: a hash of its entries and of all that shapes its look."""
    facts = json.dumps([list(positions), language, theme, fingerprint])
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


def freeze(
    tx: Connection,
    key: str,
    positions: Sequence[int],
    language: str,
    theme: str,
    parts: Sequence[Rendered],
    at: datetime,
) -> None:
    """Keeps an edition as it was made; one that is there already stays as it is."""
    tx.execute(
        insert(editions)
        .values(
            key=key,
            positions=list(positions),
            state="frozen",
            language=language,
            theme=theme,
            parts=[asdict(part) for part in parts],
            frozen_at=at,
        )
        .on_conflict_do_nothing()
    )


def parts_of(tx: Connection, key: str) -> list[Rendered] | None:
    """The parts of a frozen edition; `None` when there is none of that key."""
    parts = tx.execute(select(editions.c.parts).where(editions.c.key == key)).scalar()
    return [Rendered(**part) for part in parts] if parts else None
