"""Review rules: when a snapshot or an edition is held for the operator.

Pure. It is normal on weekdays that all papers are new, that there are fewer than usual, or that a
day has no year, so none of these is a reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from newsletter.models import Snapshot
from newsletter.text.counted import plural

FLOOD = 10
"""A snapshot with more than this many times the usual number of papers is held."""
ENOUGH_HISTORY = 5
"""Non-empty earlier snapshots needed to compute the usual number."""
ENOUGH_ROWS = 10
"""Rows needed to tell changed ids from coincidence."""


LARGEST = 20_000
"""Papers of the largest list that is announced without review."""
FEW = 4
"""A snapshot this many times smaller than usual is accepted with a remark."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known about the source from earlier snapshots.

    Attributes:
        sizes: numbers of papers in its accepted snapshots.
        feed_sizes: those of its snapshots that come from the same feed, if they are of several.
        renamed: number of rows of this snapshot with the title of a paper known under another
            key of the same kind (see `Identities.renamed`).
        restored: the database was restored from a backup, so papers announced after the
            backup are unknown.
    """

    sizes: Sequence[int] = ()
    renamed: int = 0
    restored: bool = False
    feed_sizes: Sequence[int] | None = None


def of_one_feed(
    format: str, origin: str, before: Sequence[tuple[str, str, int]]
) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the sizes to compare with in a source that has captures of several feeds.

    Captures that were named one by one belong to one source, whatever they are of. Those of one
    feed have the same format, and paths or URLs that differ only in numbers, such as the date.

    Args:
        format: of the snapshot that is compared.
        origin: its path or URL.
        before: format, origin and size of earlier snapshots.

    Returns:
        The sizes of those of the same format, and of those of the same feed.
    """
    alike = [(_without_numbers(place), size) for name, place, size in before if name == format]
    feed = _without_numbers(origin)
    return [size for _, size in alike], [size for place, size in alike if place == feed]


def _without_numbers(origin: str) -> str:
    return re.sub(r"\d+", "", origin)


def remark(snapshot: Snapshot, history: History) -> str | None:
    """Returns a remark about a snapshot that is accepted nevertheless, or `None`."""
    sizes = history.sizes if history.feed_sizes is None else history.feed_sizes
    usual = [size for size in sizes if size]
    rows = len(snapshot.papers)
    if len(usual) >= ENOUGH_HISTORY and rows * FEW < median(usual):
        return f"{plural(rows, 'paper')}, where {median(usual):,.0f} are usual"
    return None


def reason_to_hold(snapshot: Snapshot, history: History) -> str | None:
    """Returns why this snapshot must be reviewed before it is announced, or `None`."""
    rows = len(snapshot.papers)
    usual = [size for size in history.sizes if size]
    if history.restored and rows:
        return (
            "the database is a backup: papers announced since it was made are not known; "
            "release it to announce what is new to the backup, or use `release --silent`"
        )
    if rows > LARGEST:
        return f"{rows:,} papers, more than any list of a day, week or month: it may be an archive"
    if snapshot.doubts:
        return snapshot.doubts[0]
    if len(usual) >= ENOUGH_HISTORY and rows > FLOOD * median(usual):
        return (
            f"{plural(rows, 'paper')}, more than {FLOOD} times the usual {median(usual):,.0f} "
            "of this source: it may be an archive"
        )
    if rows >= ENOUGH_ROWS and 2 * history.renamed > rows:
        return (
            f"{history.renamed} of {rows} papers have the title of a known paper and "
            "another id: the source may have changed its ids"
        )
    return None


def reason_to_hold_edition(papers: int, sizes: Sequence[int]) -> str | None:
    """Returns why an edition must be reviewed before it is sent, or `None`.

    Args:
        papers: number of its papers that the operator has not released already.
        sizes: numbers of papers in earlier editions.
    """
    if len(sizes) >= ENOUGH_HISTORY and papers > FLOOD * median(sizes):
        return f"{plural(papers, 'paper')}, more than {FLOOD} times the usual {median(sizes):,.0f}"
    return None
