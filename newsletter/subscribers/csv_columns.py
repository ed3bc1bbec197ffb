"""The columns of a subscriber CSV: what a cell may say, and what it means.

Reading files is the work of `csv_import`, writing them that of `csv_export`; options and
web forms use the same columns. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from newsletter.config import values
from newsletter.planning.cadence import Cadence
from newsletter.subscribers.address import Address, parse_address
from newsletter.text.clean import clean, clean_or_none

DAILY = "daily"
"""The cadence of a subscriber for whom none is written."""
MOST_TOPICS = 50
"""Topics one subscriber may have."""
LONGEST_TOPIC = 200
"""Characters of the longest topic."""
TOPIC_SEPARATOR = ";"

# With what a cell begins that a spreadsheet runs, full width among them. Quotation marks
# before it may be lost where ";" separates cells. Apostrophes before it count too, so that
# each one written is one taken off.
_RUN = re.compile(r"""['" ]*[=+\-@\t\r＝＋－＠﹦﹢﹣﹫]""")


@dataclass(frozen=True, slots=True)
class SubscriberRow:
    """The row of one subscriber.

    Attributes:
        cadence: as `Cadence` writes it.
        time_zone: `None` for the newsletter's own.
        send_at: such as `07:30`; `None` for the newsletter's own.
        topics: as `topics` gives them.
    """

    address: Address
    cadence: str = DAILY
    time_zone: str | None = None
    send_at: str | None = None
    topics: tuple[str, ...] = ()


def topics(text: str) -> tuple[str, ...]:
    """The topics of a list such as `agents; speech`, each once and as first written.

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
    """What is written in a column of this name, as `SubscriberRow` has it.

    Raises:
        ValueError: it is none; says what to write instead.
    """
    return COLUMNS[column](text.strip())


def _address(cell: str) -> Address:
    return parse_address(unguarded(cell))


# Few are written a million times; what is wrong is not kept.
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
"""The columns, in the order in which they are written."""


def guarded(cell: str) -> str:
    """The cell with an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{cell}" if _RUN.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if cell[:1] == "'" and _RUN.match(cell) else cell
