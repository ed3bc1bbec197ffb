"""JSON with a list of papers, as archives of such pages keep it; field names may differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Document, Format, iso_day, load_json
from newsletter.formats.field_names import Found, find, normal, snapshot_of
from newsletter.models import Snapshot

NAME = "json-list"
_TITLE = re.compile(r'"(?:paper|article)?[_ -]?title"\s*:', re.IGNORECASE)
_DAYS = ("date", "day", "listedon", "snapshotdate", "digestdate")
_DEPTH = 4
"""Levels of objects in which a list is looked for."""


@dataclass(frozen=True, slots=True)
class _List:
    """A list of objects that may be papers, and the day that stands beside it."""

    items: Sequence[tuple[str | None, Mapping[str, Any]]]
    day: date | None


def recognise(document: Document) -> str | None:
    """Recognises JSON that has a title in it."""
    text = document.text
    is_json = text[:4096].lstrip().startswith(("{", "["))
    return "JSON with titles" if is_json and _TITLE.search(text) else None


def parse(document: Document) -> Snapshot:
    """Parses the objects of the only list of papers, in order.

    Raises:
        SnapshotUnreadable: it is not JSON, or has no list of papers.
    """
    value = _loaded(document.text)
    lists = [*_lists(value, document.day, _DEPTH)]
    found = [(papers, one) for one in lists if (papers := _papers(one))]
    if not found and isinstance(value, Mapping):  # a single paper
        alone = _List([(None, value)], document.day)
        found = [(papers, alone) for papers in [_papers(alone)] if papers]
    if not found:
        raise SnapshotUnreadable(
            "the JSON has no list of objects with a title and an abstract, a link or an id",
            hint="is it the right file?",
        )
    papers, chosen = max(found, key=lambda pair: len(pair[0]))
    return snapshot_of(NAME, papers, len(chosen.items), others=len(found) - 1)


def _loaded(text: str) -> Any:
    """Returns the JSON; objects on lines of their own are a list."""
    lines = text.strip().split("\n")
    if len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines):
        return [load_json(line, "a line of the JSON") for line in lines]
    return load_json(text, "the JSON")


def _lists(value: Any, day: date | None, depth: int) -> Iterator[_List]:
    """Yields the lists of objects in a JSON value, and objects of objects, from the top."""
    if isinstance(value, list):
        items = [(None, one) for one in value if isinstance(one, Mapping)]
        if items:
            yield _List(items, day)
    elif isinstance(value, Mapping) and depth:
        day = _day(value) or day
        objects = [(key, one) for key, one in value.items() if isinstance(one, Mapping)]
        if len(objects) > 1 and len(objects) == len(value):
            yield _List(objects, day)
        for one in value.values():
            yield from _lists(one, day, depth - 1)


def _day(value: Mapping[str, Any]) -> date | None:
    days = (iso_day(one) for key, one in value.items() if normal(str(key)) in _DAYS)
    return next((day for day in days if day), None)


def _papers(one: _List) -> list[Found]:
    found = (find(item, key, one.day) for key, item in one.items)
    return [paper for paper in found if paper]


FORMAT = Format(NAME, recognise, parse)
