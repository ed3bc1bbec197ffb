"""The log and the operator's decisions at the time planning starts."""

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
    """The state that one planning run works from.

    Attributes:
        head: position of the last log entry.
        released: positions of entries in editions that the operator released.
        released_unplanned: released editions that have not been planned yet.
        sizes: numbers of papers in the last editions.
        failing: whether a source fails.
    """

    now: datetime
    head: int
    held: tuple[EditionRow, ...]
    rejected: tuple[EditionRow, ...]
    released: frozenset[int]
    released_unplanned: tuple[EditionRow, ...]
    sizes: tuple[int, ...]
    failing: bool

    def rejected_at(self, positions: set[int]) -> datetime | None:
        """Returns when the operator last rejected an edition with one of these entries."""
        return max(
            (
                row.decided_at
                for row in self.rejected
                if row.decided_at and positions.intersection(row.positions)
            ),
            default=None,
        )

    def released_edition(self, entries: Sequence[Entry]) -> EditionRow | None:
        """Returns the released, unplanned edition that consists of the first of these entries."""
        for row in self.released_unplanned:
            wanted = set(row.positions)
            last = max(wanted, default=0)
            if wanted and {one.position for one in entries if one.position <= last} == wanted:
                return row
        return None


def view(tx: Connection, now: datetime, *, failing: bool) -> View:
    """Reads the current view."""
    return View(
        now=now,
        head=log.head(tx),
        held=tuple(editions.listed(tx, EditionState.HELD)),
        rejected=tuple(editions.listed(tx, EditionState.REJECTED)),
        released=frozenset(editions.released(tx)),
        released_unplanned=tuple(editions.released_unplanned(tx)),
        sizes=tuple(editions.sizes(tx)),
        failing=failing,
    )


def held_edition_with(held: Sequence[EditionRow], positions: set[int]) -> EditionRow | None:
    """Returns the held edition that contains one of these entries, or `None`."""
    return next((row for row in held if positions.intersection(row.positions)), None)
