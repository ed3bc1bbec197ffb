"""Submissions of a venue as the API of OpenReview lists them, saved from a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Credit, Document, Format
from newsletter.models import Paper, Snapshot
from newsletter.text.clean import clean_or_none

NAME = "openreview"
_SITE = "https://openreview.net"
_FORUM = re.compile(r"[\w-]{1,40}")
_START = 65_536


def recognise(document: Document) -> str | None:
    """Recognises a JSON object with notes, which have a forum and a content."""
    start = document.text[:_START]
    signs = ('"notes"', '"forum"', '"content"', '"invitation')
    found = start.lstrip().startswith("{") and all(sign in start for sign in signs)
    return "notes of the OpenReview API" if found else None


def parse(document: Document) -> Snapshot:
    """Parses the notes that are submissions, in order; replies such as reviews have no abstract.

    Raises:
        SnapshotUnreadable: it has no list of notes, or none is a submission.
    """
    answer = document.json
    notes = answer.get("notes") if isinstance(answer, Mapping) else None
    if not isinstance(notes, list) or not all(isinstance(note, Mapping) for note in notes):
        raise SnapshotUnreadable("the answer of OpenReview has no list of notes", hint="look at it")
    papers = tuple(paper for note in notes if (paper := _paper(note)))
    if notes and not papers:
        raise SnapshotUnreadable(
            f"none of the {len(notes)} notes is a submission", hint="is it the right address?"
        )
    remarks = []
    if missing := len(notes) - len(papers):
        remarks.append(f"{missing} of {len(notes)} notes are no submissions")
    return Snapshot(NAME, papers, tuple(remarks))


def _paper(note: Mapping[str, Any]) -> Paper | None:
    content = note.get("content")
    fields = content if isinstance(content, Mapping) else {}
    title, abstract = (clean_or_none(_value(fields, key)) for key in ("title", "abstract"))
    forum = note.get("forum")
    if not (title and abstract and isinstance(forum, str) and _FORUM.fullmatch(forum)):
        return None
    has_pdf = isinstance(_value(fields, "pdf"), str)
    return Paper(
        title=title,
        abstract=abstract,
        authors=_texts(fields, "authors"),
        openreview_id=forum,
        url=f"{_SITE}/forum?id={forum}",
        pdf_url=f"{_SITE}/pdf?id={forum}" if has_pdf else None,
        categories=_texts(fields, "keywords"),
        published_on=_day(note),
    )


def _value(fields: Mapping[str, Any], key: str) -> object:
    """Returns a field of version 2 of the API, `{"value": …}`, or of version 1."""
    found = fields.get(key)
    return found.get("value") if isinstance(found, Mapping) else found


def _texts(fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = _value(fields, key)
    texts = (clean_or_none(one) for one in found) if isinstance(found, list) else ()
    return tuple(text for text in texts if text)


def _day(note: Mapping[str, Any]) -> date | None:
    """Returns the day on which it was published, else created; milliseconds since 1970."""
    at = note.get("pdate") or note.get("cdate")
    if not isinstance(at, int) or isinstance(at, bool) or not 0 < at < 10**14:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).date()


FORMAT = Format(NAME, recognise, parse, Credit("OpenReview", "https://openreview.net/"))
