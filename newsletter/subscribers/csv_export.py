"""Rows of subscribers → CSV that `csv_import` reads the same from.

No spreadsheet that opens it takes a cell for a formula. Pure.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from newsletter.subscribers.csv_columns import COLUMNS, TOPIC_SEPARATOR, SubscriberRow, guarded


def write(rows: Iterable[SubscriberRow]) -> Iterator[str]:
    """The lines of a file, the names of the columns first."""
    writer = csv.writer(_Echo())
    yield str(writer.writerow(COLUMNS))
    for row in rows:
        cells = [row.address.display, row.cadence, row.time_zone or "", row.send_at or ""]
        # Each topic is guarded: where ";" separates cells, any may begin one.
        listed = TOPIC_SEPARATOR.join(map(guarded, row.topics))
        yield str(writer.writerow([*map(guarded, cells), listed]))


class _Echo:
    """A file that hands back what is written to it, for a writer that needs a file."""

    def write(self, text: str) -> str:
        return text
