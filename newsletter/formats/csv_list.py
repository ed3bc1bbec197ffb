"""CSV or TSV with one paper per line; the header line may use its own column names."""

from __future__ import annotations

import csv
import io

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Document, Format
from newsletter.formats.field_names import find, names_field, snapshot_of
from newsletter.models import Snapshot

NAME = "csv-list"
_DELIMITERS = "\t", ",", ";"
_LONGEST_HEADER = 4096


def recognise(document: Document) -> str | None:
    """Recognises a header line that names a title, and an abstract, a link or an id."""
    return "a header line with a title" if _delimiter(document.text) else None


def parse(document: Document) -> Snapshot:
    """Parses the lines below the header, in order.

    Raises:
        SnapshotUnreadable: there is no such header, a quote is not closed, or no line is a paper.
    """
    delimiter = _delimiter(document.text)
    if not delimiter:
        raise SnapshotUnreadable(
            "no header line names a title, and an abstract, a link or an id",
            hint="is it the right file?",
        )
    lines = io.StringIO(document.text.lstrip("\n"))
    try:
        rows = [
            row
            for row in csv.DictReader(lines, delimiter=delimiter, strict=True)
            if any(str(value or "").strip() for value in row.values())
        ]
    except csv.Error as exc:
        raise SnapshotUnreadable(f"the table is broken: {exc}", hint="capture it again") from exc
    found = [paper for row in rows if (paper := find(_named(row), None, document.day))]
    if not found:
        raise SnapshotUnreadable("no line of the table is a paper", hint="is it the right file?")
    snapshot = snapshot_of(NAME, found, len(rows))
    if None in rows[-1].values() or not document.text.rstrip(" ").endswith("\n"):
        doubt = "the last line does not end: the table may have been cut"
        return Snapshot(NAME, snapshot.papers, snapshot.notes, (*snapshot.doubts, doubt))
    return snapshot


def _named(row: dict[str | None, str | None]) -> dict[str, str]:
    return {key: value for key, value in row.items() if key and isinstance(value, str)}


def _delimiter(text: str) -> str | None:
    header = text.lstrip("\n")[:_LONGEST_HEADER].partition("\n")[0]
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            continue
        has_title = any(names_field(name, "title") for name in names)
        if has_title and any(names_field(name, "abstract", "url", "pdf", "id") for name in names):
            return delimiter
    return None


FORMAT = Format(NAME, recognise, parse)
