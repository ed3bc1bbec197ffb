"""The operator's decisions about editions held for review: release or reject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from newsletter.errors import UsageError
from newsletter.models import DeliveryState, EditionState
from newsletter.storage import deliveries, editions
from newsletter.storage.database import Database
from newsletter.storage.editions import EditionRow


@dataclass(frozen=True, slots=True)
class EditionProgress:
    """An edition, and what became of its mails.

    Attributes:
        counts: number of its mails in each state.
        skipped: whether none of its papers is sent any more.
    """

    row: EditionRow
    counts: Mapping[DeliveryState, int]
    skipped: bool

    @property
    def word(self) -> str:
        """What became of it: `sent`, `sending`, `waiting`, `held`, `rejected`, `skipped` …"""
        if self.row.state is EditionState.HELD:
            return "held"
        if self.row.state is EditionState.REJECTED:
            return "skipped" if self.skipped else "rejected"
        if self.waiting:
            return "sending" if sum(self.counts.values()) > self.waiting else "waiting"
        if not self.row.planned_at:
            return "released"  # it is planned for those who are due next
        return "not sent" if self.counts and not (self.sent or self.unknown) else "sent"

    @property
    def sent(self) -> int:
        """Number of mails sent."""
        return self._count(DeliveryState.SENT)

    @property
    def waiting(self) -> int:
        """Number of mails that are still to be sent."""
        return self._count(DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED)

    @property
    def failed(self) -> int:
        """Number of mails that were refused or given up."""
        return self._count(DeliveryState.REFUSED, DeliveryState.EXPIRED)

    @property
    def unknown(self) -> int:
        """Number of mails that may have been sent."""
        return self._count(DeliveryState.UNKNOWN)

    @property
    def cancelled(self) -> int:
        """Number of mails whose subscribers paused or unsubscribed first."""
        return self._count(DeliveryState.CANCELLED)

    def _count(self, *states: DeliveryState) -> int:
        return sum(self.counts.get(state, 0) for state in states)


class EditionReview:
    """Lists editions, and releases or rejects held ones.

    Args:
        database: the newsletter's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self, state: EditionState | None = None) -> list[EditionProgress]:
        """Returns what became of each edition, or of those in one state, oldest first."""
        with self._database.read() as tx:
            counts, skipped = deliveries.counts_by_edition(tx), editions.passed_over(tx)
            return [
                EditionProgress(
                    row, counts.get(row.id, {}), skipped=skipped.issuperset(row.positions)
                )
                for row in editions.listed(tx, state)
            ]

    def release(self, number: int, now: datetime) -> EditionRow:
        """Releases a held edition as it was built.

        Raises:
            UsageError: there is no such edition, it is not held, or it could not be built.
        """
        with self._database.write() as tx:
            if not editions.content(tx, editions.get(tx, number).id).parts:
                raise UsageError(
                    f"edition {number} could not be made",
                    hint="fix the theme, then reject it: its papers wait for the next one",
                )
            return editions.decide(tx, number, EditionState.FROZEN, now)

    def reject(self, number: int, now: datetime, *, pass_over: bool = False) -> EditionRow:
        """Rejects a held edition.

        Its papers wait for the next due date or, with `pass_over`, are skipped permanently.

        Raises:
            UsageError: there is no such edition, or it is not held.
        """
        with self._database.write() as tx:
            row = editions.get(tx, number)
            # An edition that was rejected before may still have its papers skipped.
            if not (pass_over and row.state is EditionState.REJECTED):
                row = editions.decide(tx, number, EditionState.REJECTED, now)
            if pass_over:
                editions.pass_over(tx, row.positions)
            return row
