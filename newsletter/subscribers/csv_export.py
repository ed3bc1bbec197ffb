"""Subscriber rows → CSV, from which `csv_import` reads the same rows.

Cells are guarded so that no spreadsheet treats one as a formula. Pure.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from newsletter.subscribers.csv_columns import COLUMNS, TOPIC_SEPARATOR, SubscriberRow, guarded


def write(rows: Iterable[SubscriberRow]) -> Iterator[str]:
    """Yields the lines of the file, the header first."""
    writer = csv.writer(_Echo())
    yield str(writer.writerow(COLUMNS))
    for row in rows:
        cells = [row.address.display, row.cadence, row.time_zone or "", row.send_at or ""]
        # Each topic is guarded: where ";" separates cells, any of them may begin a cell.
        listed = TOPIC_SEPARATOR.join(map(guarded, row.topics))
        yield str(writer.writerow([*map(guarded, cells), listed]))


class _Echo:
    """A file that returns what is written to it, because `csv.writer` needs a file."""

    def write(self, text: str) -> str:
        return text
