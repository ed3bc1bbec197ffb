"""A plain list of arXiv ids or addresses, one on each line, with `#` for comments."""

from __future__ import annotations

import re

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import arxiv_feed
from newsletter.formats.base import Document, Format
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean
from newsletter.text.counted import plural

NAME = "id-list"
_COMMENT = re.compile(r"(?:^|\s)#.*")
_MONTH = r"(?:0[1-9]|1[0-2])"
_DATED = re.compile(
    rf"(?:0[7-9]|1[0-4]){_MONTH}\.\d{{4}}|(?:1[5-9]|[2-8]\d){_MONTH}\.\d{{5}}"
    rf"|[a-z-]+(?:\.[A-Z]{{2}})?/\d\d{_MONTH}\d{{3}}"
)
"""Four digits until 2014 and five since, so that a truncated id is rejected."""


def recognise(document: Document) -> str | None:
    """Recognises text whose first lines are arXiv ids or URLs, comments or empty."""
    head = document.text[:4096]
    if len(document.text) > len(head):
        head = head.rpartition("\n")[0]
    lines = _lines(head)
    return "a list of arXiv ids" if lines and all(_id(line) for line in lines) else None


def parse(document: Document) -> Snapshot:
    """Returns a paper for each id, in order, without duplicates. Their titles are not known."""
    lines = _lines(document.text)
    ids = dict.fromkeys(found for line in lines if (found := _id(line)))
    if not ids:
        raise SnapshotUnreadable("no arXiv ids in the list", hint="write one on each line")
    papers = tuple(
        Paper(title=f"arXiv:{found}", arxiv_id=found, url=arxiv_feed.PAPER_PAGE + found)
        for found in ids
    )
    notes = [f"titles are not known: {plural(len(papers), 'paper')} listed by id"]
    if missing := sum(_id(line) is None for line in lines):
        notes.append(f"{plural(missing, 'line is not an id', 'lines are not ids')} and left out")
    cut = f"the last line is not an arXiv id (“{lines[-1][:40]}”); the list may be cut"
    return Snapshot(NAME, papers, tuple(notes), () if _id(lines[-1]) else (cut,))


def _lines(text: str) -> list[str]:
    lines = (clean(_COMMENT.sub("", line)) for line in text.split("\n"))
    return [line for line in lines if line]


def _id(line: str) -> str | None:
    if len(line) > urls.LONGEST or ("://" in line and not line.startswith("http")):
        return None
    found = urls.arxiv_id(line)
    return found if found and _DATED.fullmatch(found) else None


FORMAT = Format(NAME, recognise, parse, arxiv_feed.CREDIT)
