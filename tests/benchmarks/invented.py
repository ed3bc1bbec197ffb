"""Any number of invented papers, the same in every run, and captures of them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any
from xml.sax.saxutils import escape

DAY = date(2026, 11, 19)
_SYLLABLES = ("ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "xa", "ze", "dri", "flo", "gra")
_SMALL = ("of", "for", "with", "on", "in", "from", "and", "to", "by", "under", "as", "via")


def _vocabulary(size: int) -> list[str]:
    random = Random(1)  # the same words in every run
    return ["".join(random.choices(_SYLLABLES, k=random.randint(2, 4))) for _ in range(size)]


_WORDS = _vocabulary(2000)


@dataclass(frozen=True, slots=True)
class Invented:
    """An invented paper."""

    arxiv_id: str
    title: str
    abstract: str
    authors: tuple[str, ...]
    votes: int

    @property
    def page(self) -> str:
        """Its URL."""
        return f"https://huggingface.co/papers/{self.arxiv_id}"


def papers(first: int, count: int) -> list[Invented]:
    """Returns `count` papers from number `first` on; each number is one paper."""
    return [_paper(number) for number in range(first, first + count)]


def _paper(number: int) -> Invented:
    random = Random(number)  # the same paper in every run
    name = random.choice(_WORDS).capitalize()
    before = [_sentence(random) for _ in range(2)]
    behind = [_sentence(random) for _ in range(4)]
    return Invented(
        arxiv_id=f"26{number // 90_000 + 1:02}.{number % 90_000 + 10_000:05}",
        title=f"{name}{number}: {_phrase(random, 8).title()}",
        abstract=" ".join([*before, f"We present {name}, {_phrase(random, 32)}.", *behind]),
        authors=tuple(_person(random) for _ in range(random.randint(2, 9))),
        votes=random.randint(0, 300),
    )


def _phrase(random: Random, words: int) -> str:
    chosen = random.choices(_WORDS, k=words)
    chosen[2::4] = random.choices(_SMALL, k=len(chosen[2::4]))
    return " ".join(chosen)


def _sentence(random: Random) -> str:
    return f"{_phrase(random, random.randint(18, 30)).capitalize()}."


def _person(random: Random) -> str:
    return " ".join(word.capitalize() for word in random.choices(_WORDS, k=2))


def api_rows(papers: Iterable[Invented], day: date = DAY, more_votes: int = 0) -> list[Any]:
    """Returns the papers as rows of the API."""
    return [_api_row(paper, day, more_votes) for paper in papers]


def _api_row(paper: Invented, day: date, more_votes: int) -> dict[str, Any]:
    listed = f"{day}T00:00:00.000Z"
    return {
        "paper": {
            "id": paper.arxiv_id,
            "authors": [
                {"_id": f"{number:024x}", "name": name, "hidden": False}
                for number, name in enumerate(paper.authors)
            ],
            "publishedAt": listed,
            "submittedOnDailyAt": listed,
            "title": paper.title,
            "submittedOnDailyBy": {"fullname": paper.authors[0], "name": "keeper", "type": "user"},
            "summary": paper.abstract,
            "upvotes": paper.votes + more_votes,
            "githubRepo": f"https://github.com/example/{paper.arxiv_id}",
        },
        "publishedAt": listed,
        "title": paper.title,
        "summary": paper.abstract,
        "numComments": 1,
    }


def api_json(papers: Iterable[Invented], day: date = DAY, more_votes: int = 0) -> bytes:
    """Returns a response of the API; `more_votes` changes its bytes."""
    return json.dumps(api_rows(papers, day, more_votes)).encode()


def page(papers: Sequence[Invented], day: date = DAY) -> bytes:
    """Returns the web page: the rows as JSON in an attribute, and a card for each paper."""
    props = {"dailyPapers": api_rows(papers, day), "date": str(day), "periodType": "day"}
    attribute = html.escape(json.dumps(props))
    cards = "\n".join(map(_card, papers))
    return (
        "<!doctype html>\n<html><head><title>Daily Papers</title></head><body><main>\n"
        f'<div class="SVELTE_HYDRATER" data-target="DailyPapers" data-props="{attribute}">\n'
        f"<section>{cards}</section></div></main></body></html>\n"
    ).encode()


def _card(paper: Invented) -> str:
    people = "".join(
        f'<li class="flex items-center"><img class="size-5" alt="" src="/avatars/{name}.svg"></li>'
        for name in paper.authors
    )
    return (
        f'<article class="relative flex flex-col"><a class="cursor-pointer" href="{paper.page}">'
        f'<img class="object-cover" alt="" src="/thumbnails/{paper.arxiv_id}.png"></a>'
        f'<div class="flex p-4"><div class="leading-none">{paper.votes}</div><h3 class="mb-1">'
        f'<a class="line-clamp-3" href="{paper.page}">{html.escape(paper.title)}</a></h3>'
        f'<ul class="flex">{people}</ul></div></article>'
    )


def text_capture(papers: Iterable[Invented], day: date = DAY) -> bytes:
    """Returns the saved text of the page: a header, then titles and abstracts alternately."""
    header = (
        "new",
        "Get trending papers in your email inbox!",
        "Subscribe",
        "byAK and the research community",
        f"{day:%b} {day.day}",
    )
    lines = [*header, *(line for paper in papers for line in (paper.title, paper.abstract))]
    return ("\n\n".join(lines) + "\n").encode()


def feed(papers: Iterable[Invented], edition: int) -> bytes:
    """Returns an RSS feed; `edition` changes only its description."""
    items = "\n".join(
        f"<item><title>{escape(paper.title)}</title><link>{paper.page}</link>"
        f'<guid isPermaLink="true">{paper.page}</guid>'
        f"<description>{escape(paper.abstract)}</description></item>"
        for paper in papers
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel>'
        f"<title>Papers</title><link>https://example.org/</link>"
        f"<description>Edition {edition:06}</description>\n{items}\n</channel></rss>\n"
    ).encode()
