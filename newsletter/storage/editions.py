"""Frozen and held editions: SQL over `editions` and `passed`."""

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
from newsletter.models import DeliveryState, EditionState, Rendered
from newsletter.storage.schema import deliveries, editions, passed

HISTORY = 100
"""How many earlier editions determine the usual size."""


@dataclass(frozen=True, slots=True)
class EditionRow:
    """An edition as stored, without its rendered content."""

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
    """The rendered content of an edition.

    Attributes:
        domain: domain of its Message-IDs; `None` for the sender's.
    """

    key: str
    parts: tuple[Rendered, ...]
    domain: str | None


def key_of(positions: Sequence[int], language: str, theme: str, fingerprint: str) -> str:
    """Returns an edition's key: a hash of its entries and of everything that affects its look."""
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
    """Stores an edition as built, and returns the row with its key.

    An edition that exists already is kept unchanged, unless it was rejected: the rejection was
    for an earlier due date.

    Args:
        held: why the edition is held; `None` to freeze it.
        domain: domain of its Message-IDs, so that they stay the same if the sender's domain
            changes; `None` to follow the sender.
        public: whether it is the first edition with one of its entries, so that the archive
            lists it.
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
            set_={name: newer[name] for name in _BUILT_COLUMNS},
            where=editions.c.state == EditionState.REJECTED,
        )
    )
    return _row(tx.execute(_query().where(editions.c.key == key)).one())


_BUILT_COLUMNS = ("state", "reason", "parts", "frozen_at", "decided_at", "public", "subject")
"""The columns that are updated when a rejected edition is built again."""


def find(tx: Connection, key: str) -> EditionRow | None:
    """Returns the edition with this key, or `None`."""
    row = tx.execute(_query().where(editions.c.key == key)).one_or_none()
    return _row(row) if row else None


def get(tx: Connection, number: int) -> EditionRow:
    """Returns the edition with this id.

    Raises:
        UsageError: there is none.
    """
    row = tx.execute(_query().where(editions.c.id == number)).one_or_none()
    if row is None:
        hint = "`newsletter editions list` shows them"
        raise UsageError(f"there is no edition {number}", hint=hint)
    return _row(row)


def listed(tx: Connection, state: EditionState | None = None) -> list[EditionRow]:
    """Returns all editions, oldest first; only those in `state` if given."""
    query = _query().order_by(editions.c.id)
    if state:
        query = query.where(editions.c.state == state)
    return [_row(row) for row in tx.execute(query)]


def sizes(tx: Connection) -> list[int]:
    """Returns the numbers of papers of the last planned editions, newest first."""
    rows = tx.execute(
        select(editions.c.papers)
        .where(editions.c.planned_at.is_not(None))
        .order_by(editions.c.id.desc())
        .limit(HISTORY)
    )
    return list(rows.scalars())


def planned_since(tx: Connection, at: datetime) -> set[int]:
    """Returns the log positions in editions first planned since `at`."""
    rows = tx.execute(select(editions.c.positions).where(editions.c.planned_at >= at))
    return {position for positions in rows.scalars() for position in positions}


def released(tx: Connection) -> set[int]:
    """Returns the log positions in editions that the operator reviewed and released."""
    rows = tx.execute(
        select(editions.c.positions).where(
            editions.c.state == EditionState.FROZEN, editions.c.decided_at.is_not(None)
        )
    )
    return {position for positions in rows.scalars() for position in positions}


def released_unplanned(tx: Connection) -> list[EditionRow]:
    """Returns the editions that were released but not planned yet, oldest first."""
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
        is_now = "released already" if row.state is EditionState.FROZEN else row.state
        hint = "`newsletter editions list --state held` shows the held ones"
        raise UsageError(f"edition {number} is not held: it is {is_now}", hint=hint)
    tx.execute(update(editions).where(editions.c.id == number).values(state=state, decided_at=at))
    return get(tx, number)


def pass_over(tx: Connection, positions: Iterable[int]) -> None:
    """Marks these entries as passed over: no further edition contains them."""
    tx.execute(insert(passed).on_conflict_do_nothing(), [{"position": one} for one in positions])


def latest_in(
    tx: Connection, states: Sequence[DeliveryState], subscriber: int | None = None
) -> int | None:
    """Returns the id of the edition whose delivery came into one of these states last, or `None`.

    Args:
        subscriber: only deliveries to this subscriber.
    """
    query = (
        select(deliveries.c.edition_id)
        .where(deliveries.c.edition_id.is_not(None), deliveries.c.state.in_(states))
        .order_by(deliveries.c.changed_at.desc(), deliveries.c.id.desc())
        .limit(1)
    )
    if subscriber is not None:
        query = query.where(deliveries.c.subscriber_id == subscriber)
    return tx.execute(query).scalar()


def passed_over(tx: Connection) -> set[int]:
    """Returns the entries that are not sent any more."""
    return set(tx.execute(select(passed.c.position)).scalars())


def note_planned(tx: Connection, number: int, at: datetime) -> None:
    """Records when the edition was first planned for a subscriber."""
    tx.execute(
        update(editions)
        .where(editions.c.id == number, editions.c.planned_at.is_(None))
        .values(planned_at=at)
    )


def content(tx: Connection, number: int) -> FrozenEdition:
    """Returns the rendered content of an edition."""
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
