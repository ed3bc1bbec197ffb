"""The row in which Hugging Face describes a paper, in its API and in its pages alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Credit, iso_day
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none
from newsletter.text.counted import plural

CREDIT = Credit(
    "Hugging Face Daily Papers, by AK and the research community", "https://huggingface.co/papers"
)
PAPER_PAGE = "https://huggingface.co/papers/"


def snapshot_of(name: str, rows: Sequence[object], day: date | None) -> Snapshot:
    """Returns a snapshot of the papers of a list of rows, in order.

    Args:
        name: the format's name.
        rows: the decoded list.
        day: the day of the list, used for rows without one.

    Raises:
        SnapshotUnreadable: there are rows, but none of them is a paper.
    """
    papers = [paper for row in rows if (paper := paper_of(row, day))]
    if rows and not papers:
        raise SnapshotUnreadable(
            f"none of the {len(rows)} rows describes a paper", hint="is it the right address?"
        )
    notes, missing = [], len(rows) - len(papers)
    if missing:
        of_rows = plural(len(rows), "row")
        notes.append(f"{missing} of {of_rows} left out for having neither title nor id")
    if bare := sum(paper.abstract is None for paper in papers):
        notes.append(f"{bare} of {plural(len(papers), 'paper')} came without an abstract")
    return Snapshot(name, tuple(papers), tuple(notes))


def paper_of(row: object, day: date | None) -> Paper | None:
    """Returns the paper of one row, or `None` if it has neither a title nor an id.

    The title of the row itself is preferred, because `paper.title` may be hard-wrapped or have
    lost its TeX. The abstract of `paper` is preferred, because the other is often missing.
    """
    if not isinstance(row, Mapping):
        return None
    inner = _mapping(row.get("paper")) or row
    raw_id = clean_or_none(inner.get("id"))
    title = clean_or_none(row.get("title")) or clean_or_none(inner.get("title"))
    if not title and not raw_id:
        return None
    submitter = _mapping(inner.get("submittedOnDailyBy")) or _mapping(row.get("submittedBy"))
    organisation = _mapping(inner.get("organization")) or _mapping(row.get("organization"))
    return Paper(
        title=title or f"Untitled ({raw_id})",
        untitled=not title,
        abstract=clean_or_none(inner.get("summary")) or clean_or_none(row.get("summary")),
        authors=_authors(inner.get("authors")),
        arxiv_id=urls.arxiv_id(raw_id) if raw_id else None,
        url=_page(raw_id),
        code_url=clean_or_none(inner.get("githubRepo")),
        project_url=clean_or_none(inner.get("projectPage")),
        organisation=_name(organisation),
        submitter=_name(submitter),
        published_on=iso_day(inner.get("publishedAt")),
        upvotes=_count(inner.get("upvotes")),
        listed_on=iso_day(inner.get("submittedOnDailyAt")) or day,
    )


def _page(raw_id: str | None) -> str | None:
    """Returns the paper's page; if the id is itself a URL, that URL."""
    if not raw_id:
        return None
    arxiv = urls.arxiv_id(raw_id)
    if arxiv or re.fullmatch(r"[\w-][\w.-]*", raw_id):
        return PAPER_PAGE + quote(arxiv or raw_id, safe="/")
    return raw_id if "://" in raw_id else None


def _authors(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    people = (_mapping(author) for author in value)
    names = (clean_or_none(person.get("name")) for person in people if not person.get("hidden"))
    return tuple(name.removeprefix("and ") for name in names if name)


def _name(who: Mapping[str, Any]) -> str | None:
    return clean_or_none(who.get("fullname")) or clean_or_none(who.get("name"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < 2**31 else None
