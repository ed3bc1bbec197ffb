"""Finds the fields of a paper in an object whose keys are not known beforehand. Pure.

Archives call the same field `abstract`, `Summary` or `paper_abstract`. Keys are compared without
case, spaces, hyphens and underscores, with a table of synonyms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from newsletter.formats.base import iso_day
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none

_SYNONYMS = {
    "title": ("title", "papertitle", "articletitle", "headline"),
    "abstract": ("abstract", "abstracttext", "paperabstract", "summary", "description"),
    "authors": ("authors", "author", "authorlist", "authornames", "creators", "creator"),
    "id": ("arxivid", "arxiv", "doi", "openreviewid", "paperid", "externalids", "id", "identifier"),
    "url": ("url", "link", "paperurl", "absurl", "arxivurl", "abstracturl", "pageurl", "href"),
    "pdf": ("pdfurl", "pdf", "pdflink"),
    "code": ("codeurl", "code", "githuburl", "github", "githubrepo", "repourl", "repository"),
    "project": ("projecturl", "projectpage", "project", "homepage", "website"),
    "upvotes": ("upvotes", "votes", "likes"),
    "categories": ("categories", "category", "tags", "keywords", "subjects", "primarycategory"),
    "published": (
        "publishedon",
        "publishedat",
        "published",
        "publicationdate",
        "date",
        "submitted",
    ),
    "organisation": ("organization", "organisation", "affiliation"),
    "submitter": ("submittedby", "submitter"),
}
_NAMES = ("fullname", "displayname", "name")
_AUTHOR_BREAK = re.compile(r";| and ")
_TERM_BREAK = re.compile(r"[;,|]")
_MANY = 1_000
"""Values of a list that are read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A paper, and how sure it is that it is one.

    Attributes:
        paper: what was found.
        is_scholarly: whether it has an abstract that is called so, or an identifier of papers.
    """

    paper: Paper
    is_scholarly: bool


def normal(key: str) -> str:
    """Returns a key as it is compared."""
    return re.sub(r"[\s_-]+", "", key[:80]).lower()


def names_field(key: str, *fields: str) -> bool:
    """Returns whether a key is a name of one of these fields."""
    return any(normal(key) in _SYNONYMS[field] for field in fields)


def find(item: Mapping[str, Any], key: str | None, day: date | None) -> Found | None:
    """Returns the paper that an object describes.

    `None` if it has no title, or neither an abstract nor a link nor an identifier.

    Args:
        item: the object; its fields may be in an object called `paper` within it.
        key: the key under which the object itself was, which may be an identifier.
        day: the day of the list.
    """
    fields = _fields(item)
    title = clean_or_none(fields.get("title"))
    abstract = clean_or_none(fields.get("abstract"))
    links = [link for name in ("url", "pdf") for link in _texts(fields.get(name))]
    ids = [*_identifiers([*fields.get("id", []), key]), *links]
    arxiv, doi = _first(urls.arxiv_id, ids), _first(urls.doi, ids)
    openreview = _first(urls.openreview_id, links)
    if not title or not (abstract or links or arxiv or doi):
        return None
    paper = Paper(
        title=title,
        abstract=abstract if abstract != title else None,
        authors=_authors(fields.get("authors")),
        arxiv_id=arxiv,
        doi=doi,
        openreview_id=openreview,
        url=_link(fields.get("url")),
        pdf_url=_link(fields.get("pdf")),
        code_url=_link(fields.get("code")),
        project_url=_link(fields.get("project")),
        organisation=_name(fields.get("organisation")),
        submitter=_name(fields.get("submitter")),
        categories=_terms(fields.get("categories")),
        published_on=iso_day(fields.get("published")),
        upvotes=_count(fields.get("upvotes")),
        listed_on=day,
    )
    named_so = any(normal(name) in ("abstract", "paperabstract", "abstracttext") for name in item)
    return Found(paper, bool(arxiv or doi or openreview or (abstract and named_so)))


def snapshot_of(name: str, found: list[Found], many: int, *, others: int = 0) -> Snapshot:
    """Returns a snapshot of papers that were found by the names of their fields.

    Args:
        name: the format.
        found: the papers.
        many: the number of objects among which they were found.
        others: the number of further lists that might be meant.
    """
    notes, doubts = [], []
    if missing := many - len(found):
        notes.append(f"{missing} of {many} objects have no title, or nothing beside it")
    if 2 * len(found) < many:
        doubts.append(f"only {len(found)} of {many} objects look like papers")
    scholarly = sum(one.is_scholarly for one in found)
    if 2 * scholarly < len(found):
        doubts.append(
            f"{len(found) - scholarly} of {len(found)} have neither an abstract nor an id of a "
            "paper: it may be a list of something else"
        )
    if others:
        doubts.append(f"it has {others + 1} lists of papers, and only the longest was read")
    return Snapshot(name, tuple(one.paper for one in found), tuple(notes), tuple(doubts))


def _fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the value of each field by the first of its synonyms that has one."""
    inner = item.get("paper")
    values: dict[str, Any] = {}
    for part in (item, inner if isinstance(inner, Mapping) else {}):
        for key, value in part.items():
            if value not in (None, "", [], {}):
                values.setdefault(normal(str(key)), value)
    found = {}
    for field, names in _SYNONYMS.items():
        given = [values[name] for name in names if name in values]
        if given:
            found[field] = given if field == "id" else given[0]
    return found


def _identifiers(values: object) -> list[str]:
    """Returns all texts that may be identifiers, those within objects too."""
    found: list[str] = []
    for value in values if isinstance(values, list) else ():
        parts = value.values() if isinstance(value, Mapping) else [value]
        texts = (clean_or_none(part) for part in parts if isinstance(part, str) and len(part) < 300)
        found += (text for text in texts if text)
    return found


def _first(kind: Any, texts: Sequence[str]) -> str | None:
    return next((found for text in texts if (found := kind(text))), None)


def _texts(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        text = clean_or_none(one.get("url") if isinstance(one, Mapping) else one)
        if text and text.startswith(("http://", "https://")):
            yield text


def _link(value: object) -> str | None:
    return next(_texts(value), None)


def _authors(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        # A comma separates authors, unless a semicolon does: "Okafor, Mira; Lindqvist, Jonas".
        breaks = _AUTHOR_BREAK if ";" in value else re.compile(r", and |,| and ")
        names = [clean_or_none(name) for name in breaks.split(value[:100_000])]
    else:
        names = [_name(one) for one in value[:_MANY]] if isinstance(value, list) else []
    return tuple(name for name in names if name)


def _name(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return clean_or_none(value)
    known = {normal(str(key)): part for key, part in value.items()}
    given, family = (
        known.get("given") or known.get("first"),
        known.get("family") or known.get("last"),
    )
    both = f"{given} {family}" if isinstance(given, str) and isinstance(family, str) else None
    names = (clean_or_none(known.get(name)) for name in _NAMES)
    return next((name for name in names if name), clean_or_none(both))


def _terms(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        parts: Sequence[object] = _TERM_BREAK.split(value[:10_000])
        if len(parts) == 1 and re.fullmatch(
            r"[a-z-]+(\.[A-Za-z-]+)?( [a-z-]+(\.[A-Za-z-]+)?)+", value
        ):
            parts = value.split()  # arXiv writes "cs.CL cs.LG"
    else:
        parts = value[:_MANY] if isinstance(value, list) else []
    return tuple(dict.fromkeys(term for part in parts if (term := _name(part))))


def _count(value: object) -> int | None:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else value
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return number if 0 <= number < 2**31 else None
