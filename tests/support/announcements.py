"""Captures of sources that announce, revise and withdraw invented, numbered papers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from newsletter.models import Capture, Paper
from newsletter.text.fingerprint import fingerprint
from tests.support.captures import text_without_blank_lines

FIRST = date(2026, 11, 2)
"""A Monday: the first day of all captures."""
WITHDRAWN = "This paper has been withdrawn by the authors due to an error in a table."
_NAMES = ("Amber", "Birch", "Cobalt", "Dusk", "Ember", "Fjord", "Garnet", "Heath", "Indigo")

Kind = Literal["new", "replace", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a capture says about a paper."""

    number: int
    kind: Kind = "new"

    @property
    def paper(self) -> Paper:
        """Returns the paper as written in a capture."""
        name = _NAMES[self.number % len(_NAMES)]
        abstract = (
            f"{name} lanterns are lit {self.number + 2} times a night. ".ljust(230, "x") + "."
        )
        return Paper(
            title=title_of(self.number),
            abstract=WITHDRAWN if self.kind == "withdrawn" else abstract,
            arxiv_id=f"2611.{self.number:05}",
        )


def title_of(number: int) -> str:
    """Returns the title of the paper with this number."""
    return f"{_NAMES[number % len(_NAMES)]} Lanterns, Part {number}"


def numbers_of(titles: Sequence[str]) -> list[int]:
    """Returns the numbers of the papers with these titles."""
    known = {fingerprint(title_of(number)): number for number in range(100)}
    return [known[fingerprint(title)] for title in titles]


Builder = Callable[[Sequence[Row], int, int], Capture]
"""Builds the capture of a day, counted from `FIRST`; the serial number makes its bytes unique."""


def arxiv(rows: Sequence[Row], day: int, serial: int) -> Capture:
    """The list of an arXiv category: it distinguishes new papers from new versions."""
    when = f"{FIRST + timedelta(days=day):%a, %d %b %Y} 00:00:00 -0500"
    items = "".join(
        f"<item><title>{row.paper.title}</title>"
        f"<link>https://arxiv.org/abs/{row.paper.arxiv_id}</link>"
        f"<description>arXiv:{row.paper.arxiv_id}v2 Announce Type: {_announced(row)} \n"
        f"Abstract: {row.paper.abstract}</description>"
        f"<pubDate>{when}</pubDate>"
        f"<arxiv:announce_type>{_announced(row)}</arxiv:announce_type></item>"
        for row in rows
    )
    data = (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<rss xmlns:arxiv="http://arxiv.org/schemas/atom" version="2.0"><channel>'
        "<title>cs.LG updates on arXiv.org</title><link>http://rss.arxiv.org/rss/cs.LG</link>"
        f"<description>Number {serial}</description><pubDate>{when}</pubDate>"
        f"{items}</channel></rss>"
    )
    return _capture(data.encode(), f"{serial}.xml", day)


def _announced(row: Row) -> str:
    return "new" if row.kind == "new" else "replace"


def daily(rows: Sequence[Row], day: int, serial: int) -> Capture:
    """The list of Daily Papers as its API returns it."""
    listed = f"{FIRST + timedelta(days=day)}T00:00:00.000Z"
    found = []
    for row in rows:
        inner = {"id": row.paper.arxiv_id, "title": row.paper.title, "summary": row.paper.abstract}
        found.append(
            {
                "paper": inner | {"submittedOnDailyAt": listed},
                "title": row.paper.title,
                "numComments": serial,
            }
        )
    return _capture(json.dumps(found).encode(), f"{serial}.json", day)


def text(rows: Sequence[Row], day: int, serial: int) -> Capture:
    """The text of a page, without ids and days, and with numbers replaced by words."""
    data = text_without_blank_lines([row.paper for row in rows]) + b"\n" * (serial + 1)
    return _capture(data, f"{serial}.txt", day)


def _capture(data: bytes, name: str, day: int) -> Capture:
    at = datetime.combine(FIRST + timedelta(days=day), time(7), UTC)
    return Capture(data, name, at)
