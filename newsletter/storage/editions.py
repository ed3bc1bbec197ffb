"""Frozen editions, and those that are held: SQL over `editions` and `passed`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.errors import UsageError
from newsletter.models import EditionState, Rendered
from newsletter.storage.schema import editions, passed

HISTORY = 100
"""How many earlier editions say what is usual."""


@dataclass(frozen=True, slots=True)
class EditionRow:
    """An edition as the database knows it, without what was made of it."""

    id: int
    key: str
    positions: tuple[int, ...]
    state: EditionState
    reason: str | None
    subject: str
    frozen_at: datetime
    planned_at: datetime | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class FrozenEdition:
    """What an edition is made of.

    Attributes:
        domain: of its Message-IDs; `None` for the sender's.
    """

    key: str
    parts: tuple[Rendered, ...]
    domain: str | None


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
    held: str | None = None,
    domain: str | None = None,
    *,
    public: bool = False,
) -> EditionRow:
    """Keeps an edition as it was made, held if there is a reason; the row of that key.

    One that is there already stays as it is, unless it was rejected: that said no to an
    earlier due date.

    Args:
        domain: of its Message-IDs, so that they stay when the sender moves; `None` to follow
            the sender.
        public: it is the first with one of its entries: the archive shows it.
    """
    upsert = insert(editions).values(
        key=key,
        positions=list(positions),
        state=EditionState.HELD if held else EditionState.FROZEN,
        reason=held,
        language=language,
        theme=theme,
        parts=[asdict(part) for part in parts],
        frozen_at=at,
        domain=domain,
        public=public,
        subject=parts[0].subject if parts else "",
        papers=len(positions),
    )
    newer = upsert.excluded
    tx.execute(
        upsert.on_conflict_do_update(
            index_elements=[editions.c.key],
            set_={name: newer[name] for name in _MADE},
            where=editions.c.state == EditionState.REJECTED,
        )
    )
    return _row(tx.execute(_query().where(editions.c.key == key)).one())


_MADE = ("state", "reason", "parts", "frozen_at", "decided_at", "public", "subject")
"""What is new of an edition that is made again."""


def find(tx: Connection, key: str) -> EditionRow | None:
    """The edition of that key."""
    row = tx.execute(_query().where(editions.c.key == key)).one_or_none()
    return _row(row) if row else None


def get(tx: Connection, number: int) -> EditionRow:
    """The edition of that number.

    Raises:
        UsageError: there is none.
    """
    row = tx.execute(_query().where(editions.c.id == number)).one_or_none()
    if row is None:
        raise UsageError(f"there is no edition {number}", hint="`newsletter editions list`")
    return _row(row)


def listed(tx: Connection, state: EditionState | None = None) -> list[EditionRow]:
    """All editions, oldest first."""
    query = _query().order_by(editions.c.id)
    if state:
        query = query.where(editions.c.state == state)
    return [_row(row) for row in tx.execute(query)]


def sizes(tx: Connection) -> list[int]:
    """Numbers of papers of the last editions that somebody was to get."""
    rows = tx.execute(
        select(editions.c.papers)
        .where(editions.c.planned_at.is_not(None))
        .order_by(editions.c.id.desc())
        .limit(HISTORY)
    )
    return list(rows.scalars())


def planned_since(tx: Connection, at: datetime) -> set[int]:
    """Positions in editions that somebody was to get since then."""
    rows = tx.execute(select(editions.c.positions).where(editions.c.planned_at >= at))
    return {position for positions in rows.scalars() for position in positions}


def released(tx: Connection) -> set[int]:
    """Positions that the operator has looked at and let go."""
    rows = tx.execute(
        select(editions.c.positions).where(
            editions.c.state == EditionState.FROZEN, editions.c.decided_at.is_not(None)
        )
    )
    return {position for positions in rows.scalars() for position in positions}


def let_go(tx: Connection) -> list[EditionRow]:
    """Editions that the operator released and nobody was to get yet, oldest first."""
    rows = tx.execute(
        _query()
        .where(
            editions.c.state == EditionState.FROZEN,
            editions.c.decided_at.is_not(None),
            editions.c.planned_at.is_(None),
        )
        .order_by(editions.c.id)
    )
    return [_row(row) for row in rows]


def decide(tx: Connection, number: int, state: EditionState, at: datetime) -> EditionRow:
    """Releases or rejects a held edition.

    Raises:
        UsageError: it is not held.
    """
    row = get(tx, number)
    if row.state is not EditionState.HELD:
        raise UsageError(f"edition {number} is {row.state}, not held")
    tx.execute(update(editions).where(editions.c.id == number).values(state=state, decided_at=at))
    return get(tx, number)


def pass_over(tx: Connection, positions: Iterable[int]) -> None:
    """Nobody gets these entries any more."""
    tx.execute(insert(passed).on_conflict_do_nothing(), [{"position": one} for one in positions])


def note_planned(tx: Connection, number: int, at: datetime) -> None:
    """Remembers when the first person was to get it."""
    tx.execute(
        update(editions)
        .where(editions.c.id == number, editions.c.planned_at.is_(None))
        .values(planned_at=at)
    )


def content(tx: Connection, number: int) -> FrozenEdition:
    """What an edition is made of."""
    query = select(editions.c.key, editions.c.parts, editions.c.domain)
    row = tx.execute(query.where(editions.c.id == number)).one()
    return FrozenEdition(row.key, tuple(_parts(row.parts)), row.domain)


def _parts(parts: list[dict[str, str]]) -> list[Rendered]:
    return [Rendered(**part) for part in parts]


def _query() -> Any:
    return select(
        editions.c.id,
        editions.c.key,
        editions.c.positions,
        editions.c.state,
        editions.c.reason,
        editions.c.subject,
        editions.c.frozen_at,
        editions.c.planned_at,
        editions.c.decided_at,
    )


def _row(row: Row[Any]) -> EditionRow:
    return EditionRow(
        id=row.id,
        key=row.key,
        positions=tuple(row.positions),
        state=EditionState(row.state),
        reason=row.reason,
        subject=row.subject,
        frozen_at=row.frozen_at,
        planned_at=row.planned_at,
        decided_at=row.decided_at,
    )
