"""The operator's decisions about editions held for review: release or reject."""

from __future__ import annotations

from datetime import datetime

from newsletter.errors import UsageError
from newsletter.models import EditionState
from newsletter.storage import editions
from newsletter.storage.database import Database
from newsletter.storage.editions import EditionRow


class EditionReview:
    """Lists editions, and releases or rejects held ones.

    Args:
        database: the newsletter's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, state: EditionState | None = None) -> list[EditionRow]:
        """Returns all editions, or those in one state, oldest first."""
        with self._database.read() as tx:
            return editions.listed(tx, state)

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
