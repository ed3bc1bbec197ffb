"""When a snapshot or an edition waits for the operator instead of going out.

Decides over values. That all papers are new, that there are fewer than usual, or that
a day has no year is no reason: every weekday's list is like that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from newsletter.models import Snapshot

FLOOD = 10
"""Times the usual number of papers from which a snapshot looks wrong."""
ENOUGH_HISTORY = 5
"""Earlier snapshots with papers needed before "usual" means something."""
ENOUGH_ROWS = 10
"""Rows needed before changed ids can be told from coincidence."""


LARGEST = 20_000
"""Papers of the largest list that is announced without a look."""
FEW = 4
"""Times fewer than usual from which a snapshot is remarked upon, and accepted."""


@dataclass(frozen=True, slots=True)
class History:
    """What the source gave before.

    Attributes:
        sizes: numbers of papers of its accepted snapshots.
        renamed: rows of this snapshot with the title of a paper known under another
            key of the same kind (see `Identities.renamed`).
        restored: the database is a backup, and the source may have announced more since.
    """

    sizes: Sequence[int] = ()
    renamed: int = 0
    restored: bool = False


def remark(snapshot: Snapshot, history: History) -> str | None:
    """What is worth knowing of a snapshot that is accepted all the same, or `None`."""
    usual = [size for size in history.sizes if size]
    rows = len(snapshot.papers)
    if len(usual) >= ENOUGH_HISTORY and rows * FEW < median(usual):
        return f"{rows:,} papers, where {median(usual):,.0f} are usual"
    return None


def reason_to_hold(snapshot: Snapshot, history: History) -> str | None:
    """Why this snapshot should be looked at first, or `None`."""
    rows = len(snapshot.papers)
    usual = [size for size in history.sizes if size]
    if history.restored and rows:
        return (
            "the database is a backup: what was announced since then is not known; "
            "release it to announce what is new to the backup, or `release --silent`"
        )
    if rows > LARGEST:
        return f"{rows:,} papers, more than any list of a day, week or month: it may be an archive"
    if snapshot.doubts:
        return snapshot.doubts[0]
    if len(usual) >= ENOUGH_HISTORY and rows > FLOOD * median(usual):
        return (
            f"{rows:,} papers, more than {FLOOD} times the usual {median(usual):,.0f} "
            "of this source: it may be an archive"
        )
    if rows >= ENOUGH_ROWS and 2 * history.renamed > rows:
        return (
            f"{history.renamed} of {rows} papers have the title of a known paper and "
            "another id: the source may have changed its ids"
        )
    return None


def reason_to_hold_edition(papers: int, sizes: Sequence[int]) -> str | None:
    """Why an edition should be looked at before anybody gets it, or `None`.

    Args:
        papers: how many it has that the operator has not let go already.
        sizes: how many papers earlier editions had.
    """
    if len(sizes) >= ENOUGH_HISTORY and papers > FLOOD * median(sizes):
        return f"{papers:,} papers, more than {FLOOD} times the usual {median(sizes):,.0f}"
    return None
