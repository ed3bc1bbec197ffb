"""Captures of sources that announce, revise and withdraw invented papers, told apart by number."""

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
"""A Monday: the first day of anything."""
WITHDRAWN = "This paper has been withdrawn by the authors due to an error in a table."
_NAMES = ("Amber", "Birch", "Cobalt", "Dusk", "Ember", "Fjord", "Garnet", "Heath", "Indigo")

Kind = Literal["new", "replace", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a capture says of a paper."""

    number: int
    kind: Kind = "new"

    @property
    def paper(self) -> Paper:
        """The paper as it is written in a capture."""
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
    """The title of the paper with this number."""
    return f"{_NAMES[number % len(_NAMES)]} Lanterns, Part {number}"


def numbers_of(titles: Sequence[str]) -> list[int]:
    """The numbers of papers with these titles."""
    known = {fingerprint(title_of(number)): number for number in range(100)}
    return [known[fingerprint(title)] for title in titles]


Builder = Callable[[Sequence[Row], int, int], Capture]
"""Makes the capture of a day, counted from `FIRST`; its serial number makes its bytes its own."""


def arxiv(rows: Sequence[Row], day: int, serial: int) -> Capture:
    """The list of a category of arXiv: it says what is new and what is a new version."""
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
    """The list of Daily Papers as its API gives it."""
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
    """The text of a page: no ids, no days, and a machine's word for each number."""
    data = text_without_blank_lines([row.paper for row in rows]) + b"\n" * (serial + 1)
    return _capture(data, f"{serial}.txt", day)


def _capture(data: bytes, name: str, day: int) -> Capture:
    at = datetime.combine(FIRST + timedelta(days=day), time(7), UTC)
    return Capture(data, name, at)
