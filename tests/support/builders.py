"""Builds invented papers and entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from newsletter.models import Entry, EntryKind, Paper

DAY = date(2026, 11, 20)
"""A Friday."""


ABSTRACT = (
    "Lighthouse keepers have long guessed at the weather by the colour of the evening. "
    "We introduce {name}, a small set of {number} lamps that answer one question each. "
    "In two harbours the keepers needed a third of the time and made no more mistakes. "
    "The lamps, the questions and the logs of both harbours are given to anyone who asks."
)

HOSTILE = (
    "Let's <think> about Lamps",
    "LMK > CLS: a Tale of Two Tokens",
    "{{7*7}} and {% raw %} in a Title [[ look.name ]]",
    "Closing ]]> a Section",
    "A \ufffe Character that Is None",
    "Right \u202eto left\u202c and \u2067back\u2069 again",
    "A \x00 Bell \x07 and \x1b[31m Red",
    "Report =?UTF-8?Q?=0ABcc:_x@y?= to No One",
    "\"Quoted\" & 'Ticked' <script>alert(1)</script>",
    "&lt;b&gt; &amp;amp; &#60; written out",
    "\x1aunsubscribe\x1a me",
    "שלום עולם: Lamps from Right to Left",
    "灯台守のための小さなランプとその問いに答える方法についての長い報告",
    "Lamps 🏮🏮 and a Family 👩‍👩‍👧",
    "$\\mathcal{O}(n\\log n)$ Lamps for \\textbf{Everyone",
    "-- ",
    ".",
)
"""Titles that break something if any step does not escape or clean them."""


def day(offset: int) -> date:
    """Returns the day `offset` days after `DAY`."""
    return DAY + timedelta(days=offset)


def paper(number: int = 1, **fields: Any) -> Paper:
    """Returns an invented paper; fields that are not given follow from its number."""
    values: dict[str, Any] = {
        "title": f"Lamp {number}: Answering Question {number} in the Harbour",
        "abstract": ABSTRACT.format(name=f"Lamp {number}", number=number),
        "authors": (f"Mira Okafor {number}", "Jonas Lindqvist"),
        "arxiv_id": f"2611.{number:05}",
        "url": f"https://huggingface.co/papers/2611.{number:05}",
        "listed_on": DAY,
    }
    return Paper(**values | fields)


def bare(title: str, **fields: Any) -> Paper:
    """Returns a paper with only a title and the given fields."""
    return Paper(title=title, **fields)


def entry(position: int, of: Paper | None = None, **fields: Any) -> Entry:
    """Returns an entry of the paper log."""
    one = of if of is not None else paper(position, **fields)
    return Entry(position, EntryKind.NEW, one, source="harbour", format="api-json")


def entries(papers: Sequence[Paper]) -> list[Entry]:
    """Returns the papers as entries of the paper log, in their order."""
    return [entry(position, one) for position, one in enumerate(papers, 1)]
