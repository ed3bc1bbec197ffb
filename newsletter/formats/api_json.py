"""The answer of `GET https://huggingface.co/api/daily_papers`: a JSON array of rows."""

from __future__ import annotations

import re

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face
from newsletter.formats.base import Document, Format
from newsletter.models import Snapshot

NAME = "api-json"
_ARRAY_OF_ROWS = re.compile(r"\s*\[\s*(?:\{|\]|$)")
_PAPER = re.compile(r'"paper"\s*:\s*\{')
_TITLE = re.compile(r'"(?:\w{1,20}[_ -])?title"\s*:', re.IGNORECASE)
_BEGINNING = 65_536


def recognise(document: Document) -> str | None:
    """Recognises a JSON array of objects with a paper in each, or an empty one.

    Without a paper but with titles it is a list of another kind.
    """
    text = document.text[:_BEGINNING]
    is_other = _TITLE.search(text) and not _PAPER.search(text)
    is_array = _ARRAY_OF_ROWS.match(text[:4096])
    return "a JSON array of rows" if is_array and not is_other else None


def parse(document: Document) -> Snapshot:
    """Parses the rows, in order. A row without a day gets the day in the capture's name."""
    rows = document.json
    if not isinstance(rows, list):
        raise SnapshotUnreadable("the JSON is no array of rows", hint="is it the right address?")
    return hugging_face.snapshot_of(NAME, rows, document.day)


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
