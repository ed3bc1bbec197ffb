"""The log and the operator's decisions, as they were when planning began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from newsletter.models import EditionState, Entry
from newsletter.storage import editions, log
from newsletter.storage.editions import EditionRow


@dataclass(frozen=True, slots=True)
class View:
    """What a planning goes by from its beginning to its end.

    Attributes:
        head: the last entry of the log.
        released: positions that the operator looked at and let go.
        let_go: editions of them that went to nobody yet.
        sizes: of the last editions.
        failing: whether a source fails.
    """

    now: datetime
    head: int
    held: tuple[EditionRow, ...]
    rejected: tuple[EditionRow, ...]
    released: frozenset[int]
    let_go: tuple[EditionRow, ...]
    sizes: tuple[int, ...]
    failing: bool

    def said_no_at(self, positions: set[int]) -> datetime | None:
        """When the operator last rejected an edition with one of these entries."""
        return max(
            (
                row.decided_at
                for row in self.rejected
                if row.decided_at and positions.intersection(row.positions)
            ),
            default=None,
        )

    def freed(self, entries: Sequence[Entry]) -> EditionRow | None:
        """The edition the operator let go that has exactly the first of these entries."""
        for row in self.let_go:
            wanted = set(row.positions)
            last = max(wanted, default=0)
            if wanted and {one.position for one in entries if one.position <= last} == wanted:
                return row
        return None


def view(tx: Connection, now: datetime, *, failing: bool) -> View:
    """How things are now."""
    return View(
        now=now,
        head=log.head(tx),
        held=tuple(editions.listed(tx, EditionState.HELD)),
        rejected=tuple(editions.listed(tx, EditionState.REJECTED)),
        released=frozenset(editions.released(tx)),
        let_go=tuple(editions.let_go(tx)),
        sizes=tuple(editions.sizes(tx)),
        failing=failing,
    )


def holding(held: Sequence[EditionRow], positions: set[int]) -> EditionRow | None:
    """The held edition that has one of these entries."""
    return next((row for row in held if positions.intersection(row.positions)), None)
