"""The columns of a subscriber CSV, and how their cells are parsed.

Reading files is the work of `csv_import`, writing them that of `csv_export`. Command-line
options and web forms use the same columns. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from newsletter.config import values
from newsletter.planning.cadence import Cadence
from newsletter.subscribers.address import Address, parse_address
from newsletter.subscribers.other_services import Record
from newsletter.text.clean import clean, clean_or_none

DAILY = "daily"
"""The default cadence."""
MOST_TOPICS = 50
"""Maximum number of topics of one subscriber."""
LONGEST_TOPIC = 200
"""Maximum characters of a topic."""
TOPIC_SEPARATOR = ";"

# Beginnings of a cell that spreadsheets treat as a formula, including full-width characters.
# Quotation marks before them count because they may be lost where ";" separates cells;
# apostrophes count so that `unguarded` removes exactly those that `guarded` adds.
_RUN = re.compile(r"""['" ]*[=+\-@\t\r＝＋－＠﹦﹢﹣﹫]""")


@dataclass(frozen=True, slots=True)
class SubscriberRow:
    """The CSV row of one subscriber.

    Attributes:
        cadence: text form of a `Cadence`.
        time_zone: a time zone name, or `None` for that of the newsletter.
        send_at: a time such as `07:30`, or `None` for that of the newsletter.
        topics: as returned by `topics`.
        record: what another service recorded, if the row is from its export.
    """

    address: Address
    cadence: str = DAILY
    time_zone: str | None = None
    send_at: str | None = None
    topics: tuple[str, ...] = ()
    record: Record | None = None


def topics(text: str) -> tuple[str, ...]:
    """Returns the topics of a list such as `agents; speech`, without duplicates.

    Raises:
        ValueError: one is too long, or there are too many.
    """
    found = tuple(dict.fromkeys(filter(None, map(clean_or_none, text.split(TOPIC_SEPARATOR)))))
    if len(found) > MOST_TOPICS:
        raise ValueError(f"write at most {MOST_TOPICS} topics")
    if any(len(topic) > LONGEST_TOPIC for topic in found):
        raise ValueError(f"write topics of at most {LONGEST_TOPIC} characters")
    return found


def parse_column(column: str, text: str) -> object:
    """Parses the text of a column into the value of the `SubscriberRow` field of that name.

    Raises:
        ValueError: it is not valid; the message says what to write instead.
    """
    return COLUMNS[column](text.strip())


def _address(cell: str) -> Address:
    return parse_address(unguarded(cell))


# A large file has few distinct values; errors are not cached.
@lru_cache(maxsize=1_000)
def _cadence(cell: str) -> str:
    return str(Cadence.parse(unguarded(cell) or DAILY))


@lru_cache(maxsize=1_000)
def _time_zone(cell: str) -> str | None:
    return values.zone(unguarded(cell)) if cell else None


@lru_cache(maxsize=1_000)
def _send_at(cell: str) -> str | None:
    return f"{values.time_of_day(unguarded(cell)):%H:%M}" if cell else None


def _topics(cell: str) -> tuple[str, ...]:
    if not cell:
        return ()
    return topics(
        TOPIC_SEPARATOR.join(unguarded(clean(topic)) for topic in cell.split(TOPIC_SEPARATOR))
    )


COLUMNS: dict[str, Callable[[str], object]] = {
    "address": _address,
    "cadence": _cadence,
    "time_zone": _time_zone,
    "send_at": _send_at,
    "topics": _topics,
}
"""The parser of each column, in the order of the exported file."""


def guarded(cell: str) -> str:
    """Returns the cell, with an apostrophe before it if a spreadsheet would read a formula."""
    return f"'{cell}" if _RUN.match(cell) else cell


def unguarded(cell: str) -> str:
    """Reverses `guarded`."""
    return cell[1:] if cell[:1] == "'" and _RUN.match(cell) else cell
