"""Results of the Europe PMC API, which has all of PubMed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import markup
from newsletter.formats.base import Credit, Document, Format, iso_day
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none

NAME = "europe-pmc"
_START = 8192
_FULL_STOP = re.compile(r"(?<!\.\w)(?<=[\w\])])\.$")
"""The full stop that PubMed adds to a title, but not that of "the U.S."."""


def recognise(document: Document) -> str | None:
    """Recognises a JSON object with the API's names for the count and the list of results."""
    start = document.text[:_START]
    found = start.lstrip().startswith("{") and '"hitCount"' in start and '"resultList"' in start
    return "results of the Europe PMC API" if found else None


def parse(document: Document) -> Snapshot:
    """Parses the results, in order.

    Raises:
        SnapshotUnreadable: it has no list of results.
    """
    results = _results(document.json)
    papers = tuple(paper for result in results if (paper := _paper(result)))
    if results and not papers:
        raise SnapshotUnreadable(
            f"none of the {len(results)} results has a title", hint="is resultType=core missing?"
        )
    notes = []
    if missing := len(results) - len(papers):
        notes.append(f"{missing} of {len(results)} results had no title")
    return Snapshot(NAME, papers, tuple(notes))


def _results(answer: Any) -> list[Mapping[str, Any]]:
    listed = answer.get("resultList") if isinstance(answer, Mapping) else None
    results = listed.get("result") if isinstance(listed, Mapping) else None
    if not isinstance(results, list) or not all(isinstance(one, Mapping) for one in results):
        raise SnapshotUnreadable(
            "the answer of Europe PMC has no list of results", hint="is it the right address?"
        )
    return results


def _paper(result: Mapping[str, Any]) -> Paper | None:
    title = markup.text_of(_string(result, "title"))
    if _FULL_STOP.search(title):
        title = title[:-1]
    if not title:
        return None
    doi = urls.doi(_string(result, "doi"))
    return Paper(
        title=title,
        abstract=markup.text_of(_string(result, "abstractText")) or None,
        authors=tuple(_authors(result)),
        arxiv_id=urls.arxiv_id(_string(result, "doi")),
        doi=doi,
        url=_url(result, doi),
        categories=tuple(_terms(result)),
        published_on=_published(result),
    )


def _authors(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields full names; without a list of authors, those of `authorString`: "Ada B, Cole D."."""
    listed = result.get("authorList")
    people = listed.get("author") if isinstance(listed, Mapping) else None
    if not isinstance(people, list):
        names = _string(result, "authorString").removesuffix(".")
        people = [{"fullName": name} for name in names.split(",")]
    for one in people:
        given, family, full, group = (
            clean_or_none(one.get(key)) if isinstance(one, Mapping) else None
            for key in ("firstName", "lastName", "fullName", "collectiveName")
        )
        if name := f"{given} {family}" if given and family else full or group:
            yield name


def _terms(result: Mapping[str, Any]) -> Iterator[str]:
    listed = result.get("keywordList")
    words = listed.get("keyword") if isinstance(listed, Mapping) else None
    for word in words if isinstance(words, list) else ():
        if term := clean_or_none(word):
            yield term


def _url(result: Mapping[str, Any], doi: str | None) -> str | None:
    """Returns the page on PubMed, else the one of the DOI, else the one on Europe PMC."""
    source, number = _string(result, "source"), _string(result, "id")
    pmid = _string(result, "pmid")
    if pmid.isascii() and pmid.isdigit():
        return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"
    if doi:
        return f"https://doi.org/{doi}"
    known = source.isalnum() and number.isalnum() and (source + number).isascii()
    return f"https://europepmc.org/article/{source}/{number}" if known else None


def _published(result: Mapping[str, Any]) -> date | None:
    return iso_day(result.get("firstPublicationDate"))


def _string(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


FORMAT = Format(NAME, recognise, parse, Credit("Europe PMC", "https://europepmc.org/"))
