"""One paper as an edition shows it: title, byline, excerpt and links.

Which papers an edition has, and how much is shown of each, is the work of `compose`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from newsletter.editions.content import Block, Detail, Link
from newsletter.models import Paper
from newsletter.text import urls
from newsletter.text.clean import clean, cut, isolate, width
from newsletter.text.excerpt import excerpt
from newsletter.text.tex import to_unicode

META_COLUMNS = 66
TITLE_COLUMNS = 500
NAME_COLUMNS = 60
ADDRESS_COLUMNS = 200
ORGANISATION_COLUMNS = 40


def title_of(paper: Paper) -> str:
    """Returns the title as shown: in full, unless it is absurdly long."""
    return cut(clean(to_unicode(paper.title)) or paper.title, TITLE_COLUMNS)


def alone(paper: Paper, characters: int) -> Block:
    """Returns one paper for search results and feeds; its excerpt has at most `characters`."""
    return block_of(paper, 0, Detail(1, characters, characters), brief=False)


def block_of(paper: Paper, number: int, detail: Detail, *, brief: bool) -> Block:
    """Returns the paper as number `number` of an edition; with `brief`, without an excerpt."""
    lead = number == 1 and not brief
    votes = paper.upvotes or 0
    organisation = cut(clean(to_unicode(paper.organisation or "")), ORGANISATION_COLUMNS)
    authors = [cut(clean(to_unicode(author)), NAME_COLUMNS) for author in paper.authors]
    taken = width(f"▲ {votes:,} · ") * bool(votes) + (width(organisation) + 3) * bool(organisation)
    limit = detail.lead if lead else detail.excerpt
    return Block(
        number=number,
        title=title_of(paper),
        url=page_of(paper),
        votes=votes,
        byline=_first_of(authors) if brief else byline(authors, META_COLUMNS - taken),
        organisation=isolate(organisation),
        submitter=isolate(cut(clean(paper.submitter or ""), ORGANISATION_COLUMNS)),
        excerpt="" if brief else excerpt(clean(to_unicode(paper.abstract or "")), limit),
        links=tuple(_links(paper)),
        lead=lead,
        brief=brief,
    )


def byline(authors: Sequence[str], columns: int) -> str:
    """Returns up to three authors in full; of more, the first two, the last and their number.

    The second author is left out if the line would not fit into `columns`.
    """
    names = [isolate(author) for author in authors]
    if len(names) <= 3:
        return ", ".join(names)
    short = f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"
    return short if width(short) <= columns else f"{names[0]} … {names[-1]} ({len(names)})"


def _first_of(authors: Sequence[str]) -> str:
    if len(authors) < 2:
        return isolate("".join(authors))
    return f"{isolate(authors[0])} +{len(authors) - 1}"


def page_of(paper: Paper) -> str | None:
    """Returns the URL for the title: the paper's page at its source, else arXiv, else its DOI."""
    return (
        urls.safe(paper.url)
        or (f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else None)
        or (urls.safe(f"https://doi.org/{paper.doi}") if paper.doi else None)
    )


def _links(paper: Paper) -> Iterable[Link]:
    page = page_of(paper)
    if paper.arxiv_id:
        abstract = f"https://arxiv.org/abs/{paper.arxiv_id}"
        if page != abstract:
            yield Link("arXiv", abstract)
    elif paper.doi and (doi := urls.safe(f"https://doi.org/{paper.doi}")) and page != doi:
        yield Link("doi.org", doi)
    pdf = urls.safe(paper.pdf_url)
    if not pdf and paper.arxiv_id:
        pdf = f"https://arxiv.org/pdf/{paper.arxiv_id}"
    code = urls.safe(paper.code_url) or urls.code_in(paper.abstract or "")
    for label, url in (("PDF", pdf), ("Code", code), ("Project", urls.safe(paper.project_url))):
        if url and url != page:
            yield Link(label, url)
    for url in (paper.url, paper.code_url, paper.project_url):
        if url and not urls.safe(url) and re.match(r"https?://", url):
            yield Link(cut(clean(url), ADDRESS_COLUMNS), None)
