"""Parses captures into papers. The format of a capture is recognised by its bytes, not its name.

To add a format, write a module here with a `FORMAT`, and add it to `FORMATS`. The first format
that recognises a capture reads it. The contract test in `tests/contracts` covers the whole table.
Does not fetch, and does not decide what is new.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date

from newsletter.errors import NewsletterError, SnapshotUnreadable, UsageError
from newsletter.formats import (
    api_json,
    api_legacy_json,
    arxiv_api,
    arxiv_feed,
    bibtex,
    csv_list,
    daily_papers_cards,
    daily_papers_html,
    europe_pmc,
    feed,
    id_list,
    json_feed,
    json_list,
    openreview,
    search_text,
    text_capture,
)
from newsletter.formats.base import Credit, Document, Format
from newsletter.models import DatedBy, Snapshot
from newsletter.text.clean import clean

FORMATS: tuple[Format, ...] = (
    # XML declares its own encoding, so these read bytes, and all others read text.
    arxiv_feed.FORMAT,
    arxiv_api.FORMAT,
    feed.FORMAT,
    search_text.FORMAT,
    text_capture.FORMAT,
    json_feed.FORMAT,
    europe_pmc.FORMAT,
    openreview.FORMAT,
    api_legacy_json.FORMAT,
    api_json.FORMAT,
    json_list.FORMAT,
    daily_papers_html.FORMAT,
    daily_papers_cards.FORMAT,
    bibtex.FORMAT,
    id_list.FORMAT,
    csv_list.FORMAT,
)

__all__ = [
    "FORMATS",
    "Credit",
    "Document",
    "Format",
    "Reading",
    "credit_of",
    "parse",
    "read",
    "sniff",
]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from a capture.

    Attributes:
        format: the name of the format that read it.
        sign: the sign by which that was recognised.
        snapshot: its papers.
    """

    format: str
    sign: str
    snapshot: Snapshot


def parse(
    data: bytes,
    *,
    day: date | None = None,
    dated_by: DatedBy | None = DatedBy.NAME,
    format: str | None = None,
) -> Snapshot:
    """Parses the papers in `data`; see `read`."""
    return read(data, day=day, dated_by=dated_by, format=format).snapshot


def read(
    data: bytes,
    *,
    day: date | None = None,
    dated_by: DatedBy | None = DatedBy.NAME,
    format: str | None = None,
) -> Reading:
    """Recognises the format of `data` and parses its papers.

    Args:
        data: the bytes as captured.
        day: the day that the capture is known to be of, or near.
        dated_by: where that day is from.
        format: the name of a format, to skip recognition.

    Raises:
        SnapshotUnreadable: no format recognises the data, or no list of papers is found.
        UsageError: there is no format with that name.
        MemoryError: parsing needs more memory than the process may use.
    """
    document = Document(data, day, dated_by)
    try:
        chosen, sign = (named(format), "asked for") if format else sniff(document)
        return Reading(chosen.name, sign, chosen.parse(document))
    except (NewsletterError, MemoryError):
        raise
    except RecursionError as exc:
        raise SnapshotUnreadable("nested too deeply", hint="capture it again") from exc
    except Exception as exc:  # a bug in a parser holds one capture, never all
        raise SnapshotUnreadable(
            f"our reader failed on it ({type(exc).__name__}: {exc})", hint="please report it"
        ) from exc


def sniff(document: Document) -> tuple[Format, str]:
    """Returns the format of a document, and the sign by which it was recognised.

    Raises:
        SnapshotUnreadable: no format recognises it; the message says what it looks like.
    """
    if not document.data.strip():
        raise SnapshotUnreadable("the file is empty", hint="capture it again")
    for candidate in FORMATS:
        if sign := candidate.recognise(document):
            return candidate, sign
    raise SnapshotUnreadable(
        f"not a capture of papers in a known format: {_looks_like(document)}",
        hint="`newsletter formats` lists the known formats",
    )


def named(name: str) -> Format:
    """Returns the format with that name.

    Raises:
        UsageError: there is no such format.
    """
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    known = ", ".join(f.name for f in FORMATS)
    raise UsageError(f"there is no format “{name}”", hint=f"choose one of {known}")


def credit_of(name: str) -> Credit | None:
    """Returns the credit for papers of that format, or `None` if it has none."""
    return next((f.credit for f in FORMATS if f.name == name), None)


def _looks_like(document: Document) -> str:
    text = document.text
    if document.is_html:
        title = re.search(r"<title[^<>]*>([^<]{1,200})", text[:50_000], re.IGNORECASE)
        page = f"“{' '.join(title[1].split())[:60]}”" if title else "without a title"
        return f"a web page {page} without a list of papers"
    if text.lstrip().startswith("{"):
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and "error" in answer:
            return f"an error answer saved as data (“{clean(str(answer['error']))[:80]}”)"
    return f"it begins “{clean(text[:60])}”"
