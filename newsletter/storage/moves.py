"""Advances many groups of due subscribers at once: SQL over a temporary table of their next states.

One statement for each group would cost groups times chunks of subscribers, which is minutes for a
million subscribers in a few hundred time zones and send times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Update,
    case,
    delete,
    func,
    insert,
    update,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from newsletter.storage import due
from newsletter.storage.columns import Utc
from newsletter.storage.due import Group, NextState
from newsletter.storage.subscriber_tables import subscribers

_moves = Table(
    "moves",
    MetaData(),  # not part of the database
    Column("due_at", Utc, nullable=False),
    Column("cadence", String, nullable=False),
    Column("time_zone", String),
    Column("send_at", String),
    Column("merged", Boolean, nullable=False),
    Column("last_on", Date),
    Column("sends", Boolean, nullable=False),
    Column("next_cursor", Integer, nullable=False),
    Column("next_due_at", Utc),
    Column("served_on", Date),
    Column("next_merged", Boolean, nullable=False),
    prefixes=["TEMPORARY"],
)
_index = Index("moves_group", *list(_moves.c)[:6])


@dataclass(frozen=True, slots=True)
class Move:
    """A group of subscribers, its next state, and whether it is sent an edition."""

    group: Group
    next_state: NextState
    sends: bool


def advance(
    tx: Connection,
    moves: Sequence[Move],
    span: tuple[int, int],
    now: datetime,
    *,
    edition: int = 0,
    parts: int = 0,
) -> int:
    """Queues an edition for the groups that are sent one, and advances all groups.

    Args:
        moves: groups with the same cursor.
        span: subscriber ids greater than the first value, up to the second.
        now: the current time.
        edition: the edition, if a group is sent one.
        parts: the number of its parts.

    Returns:
        The number of subscribers that an edition was planned for.
    """
    if len(moves) == 1:
        (move,) = moves
        sent = {"edition": edition, "parts": parts} if move.sends else {}
        done = due.plan(tx, move.group, span, move.next_state, now, **sent)
        return done if move.sends else 0
    _write(tx, moves)
    matching = _members(moves[0].group.cursor, span)
    for part in range(1, parts + 1):
        due.queue(tx, edition, part, now, [*matching, _moves.c.sends])
    counts = {
        sends: tx.execute(_advanced(*matching, _moves.c.sends.is_(sends))).rowcount
        for sends in {move.sends for move in moves}
    }
    return counts.get(True, 0)


def _write(tx: Connection, moves: Sequence[Move]) -> None:
    """Fills the temporary table, which belongs to the connection."""
    tx.execute(CreateTable(_moves, if_not_exists=True))
    tx.execute(CreateIndex(_index, if_not_exists=True))
    tx.execute(delete(_moves))
    tx.execute(insert(_moves), [_row(move) for move in moves])


def _row(move: Move) -> dict[str, object]:
    group, state = move.group, move.next_state
    return {
        "due_at": group.due_at,
        "cadence": group.cadence,
        "time_zone": group.time_zone,
        "send_at": group.send_at,
        "merged": group.merged,
        "last_on": group.last_on,
        "sends": move.sends,
        "next_cursor": state.cursor,
        "next_due_at": state.due_at,
        "served_on": state.served_on,
        "next_merged": state.merged,
    }


def _members(cursor: int, span: tuple[int, int]) -> tuple[ColumnElement[bool], ...]:
    """Returns what members of the groups meet, joined with their group."""
    one, after, last = subscribers.c, *span
    return (
        due.is_active(),
        one.cursor == cursor,
        one.id > after,
        one.id <= last,
        _moves.c.due_at == one.next_due_at,
        _moves.c.cadence == one.cadence,
        _moves.c.time_zone.is_not_distinct_from(one.time_zone),
        _moves.c.send_at.is_not_distinct_from(one.send_at),
        _moves.c.merged == one.merged,
        _moves.c.last_on.is_not_distinct_from(one.last_due_on),
    )


def _advanced(*matching: ColumnElement[bool]) -> Update:
    """Returns the update of members; what their next state does not have stays unchanged."""
    one, state = subscribers.c, _moves.c
    return (
        update(subscribers)
        .where(*matching)
        .values(
            cursor=state.next_cursor,
            next_due_at=func.coalesce(state.next_due_at, one.next_due_at),
            last_due_on=func.coalesce(state.served_on, one.last_due_on),
            merged=case((state.served_on.is_(None), one.merged), else_=state.next_merged),
        )
    )
