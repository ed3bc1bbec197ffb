"""Invented captures of every format, from a list of invented papers.

`CAPTURES` has the writers of each format, by its name. A capture contains the papers' titles
in their order, and their abstracts.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from newsletter.models import Paper
from tests.support.format_captures import CAPTURES as OTHERS

Builder = Callable[[Sequence[Paper]], bytes]

MADE = (
    Paper(
        "Sparse Lanterns: Routing Light through Learned Landmarks",
        "Lanterns are usually lit all at once, which wastes oil on nights with a moon. "
        "We introduce Sparse Lanterns, a routing layer that lights a handful of landmarks "
        "and leaves the others dark. In three harbours it saves half of the oil, and no ship "
        "took longer to find the quay.",
        arxiv_id="2611.01234",
    ),
    Paper(
        "Why Röbots Drop Things: 共感覚 Touch under <1 Lux & No Moon",
        "This paper asks why grasping policies fail when the hand hides the lamp. It shows that "
        "O(√n) samples of touch are enough to recover most of the lost success, in rooms with "
        "less light than a candle gives, and it gives the questions away. Is that enough? "
        "For the harbour it was.",
        arxiv_id="2611.04321",
    ),
    Paper(
        "Oil",
        "Oil is the oldest of the harbour's questions, and no one has asked it in this way before. "
        "We study (1) how it burns, (2) who pays for it, and (3) what the keepers say at night; "
        'the answers differ, and the keepers call them "good enough" for a first winter.',
        arxiv_id="2611.00042",
    ),
)
"""Three invented papers."""


def made(*titles: str) -> list[Paper]:
    """Returns papers with these titles, each with an abstract of typical length."""
    return [
        Paper(
            title,
            f"We introduce lamp number {number} and light it on every night of one long winter. "
            "The keepers of two harbours answer forty questions about it, in the order in which "
            "they were asked. Ships arrive sooner, and the oil lasts until the first of March.",
            arxiv_id=f"2611.{number:05}",
        )
        for number, title in enumerate(titles, 1)
    ]


def text_with_blank_lines(papers: Sequence[Paper]) -> bytes:
    """The page's text with a header of five lines, a day without a year, and blank lines."""
    header = (
        "new",
        "Get trending papers in your email inbox!",
        "Subscribe",
        "byAK and the research community",
        "Nov 20",
    )
    lines = [*header, *(line for paper in papers for line in (paper.title, paper.abstract or ""))]
    return _bytes("\n\n".join(lines))


def text_without_blank_lines(papers: Sequence[Paper]) -> bytes:
    """The page's text with a banner of two lines and `Subscribe` joined to the first title."""
    header = (
        "Get trending papers in your email inbox once a day!",
        "Get trending papers in your email inbox!",
    )
    lines = [line for paper in papers for line in (paper.title, paper.abstract or "")]
    return _bytes("\n".join([*header, "Subscribe" + lines[0], *lines[1:]]))


def api_json(papers: Sequence[Paper]) -> bytes:
    """The API's array of rows, everything in ASCII."""
    return json.dumps([_row(paper) for paper in papers]).encode()


def api_json_indented(papers: Sequence[Paper]) -> bytes:
    """The same, indented by hand and in UTF-8, with a final newline."""
    rows = json.dumps([_row(paper) for paper in papers], ensure_ascii=False, indent=1)
    return _bytes(f"{rows}\n")


def daily_papers_page(papers: Sequence[Paper]) -> bytes:
    """The web page: other hydrated parts, then the list as JSON, then a card for each paper."""
    props = {
        "canSubmit": False,
        "dailyPapers": [{**_row(paper), "upvoted": False} for paper in papers],
        "date": "2026-11-20T00:00:00.000Z",
        "dateString": "2026-11-20",
        "periodType": "day",
        "publisher": {"name": "akhaliq"},
    }
    cards = "\n".join(map(_card, papers))
    return _bytes(
        "<!doctype html>\n"
        '<html class="">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1.0">\n'
        "<title>Daily Papers - Hugging Face</title>\n"
        '<script>window.hubConfig = {"features": {"x": true}};</script>\n</head>\n'
        '<body class="flex flex-col">\n'
        f"{_hydrated('MainHeader', {'isWide': False, 'classNames': ''})}<header></header></div>\n"
        "<main>\n"
        f"{_hydrated('DailyPapersBannerSubscribe', {'isLoggedIn': False})}</div>\n"
        f'{_hydrated("DailyPapers", props)}<section class="container"><!--[0-->\n'
        '<a href="/papers/date/2026-11-19">Previous</a> <time datetime="2026-11-20">Nov 20</time>\n'
        f"<div>{cards}</div>\n"
        "</section></div>\n</main>\n<footer><a href='/papers/trending'>Trending</a></footer>\n"
        "</body>\n</html>\n"
    )


CAPTURES: Mapping[str, tuple[Builder, ...]] = {
    "text-capture": (text_with_blank_lines, text_without_blank_lines),
    "api-json": (api_json, api_json_indented),
    "daily-papers-html": (daily_papers_page,),
    **OTHERS,
}


def _bytes(text: str) -> bytes:
    # A lone surrogate becomes the invalid bytes that some programs write for it.
    return text.encode("utf-8", "surrogatepass")


def _row(paper: Paper) -> dict[str, Any]:
    listed = "2026-11-20T00:00:00.000Z"
    return {
        "paper": {
            "id": paper.arxiv_id,
            "authors": [
                {"_id": f"{number:024x}", "name": name, "hidden": False}
                for number, name in enumerate(paper.authors or ("Mira Okafor", "Ana Beltrán"))
            ],
            "publishedAt": "2026-11-18T17:20:01.000Z",
            "submittedOnDailyAt": listed,
            "title": paper.title,
            "submittedOnDailyBy": {"fullname": "Yuki Tanaka", "name": "yuki", "type": "user"},
            "summary": paper.abstract,
            "upvotes": 7,
            "githubRepo": "https://github.com/lamps/harbour",
        },
        "publishedAt": "2026-11-18T12:20:01.000Z",
        "title": paper.title,
        "summary": paper.abstract,
        "thumbnail": f"https://cdn.example.org/{paper.arxiv_id}.png",
        "numComments": 2,
    }


def _hydrated(target: str, props: Mapping[str, Any]) -> str:
    value = html.escape(json.dumps(props, ensure_ascii=False))
    return f'<div class="SVELTE_HYDRATER contents" data-target="{target}" data-props="{value}">'


def _card(paper: Paper) -> str:
    page = f"/papers/{paper.arxiv_id}"
    return (
        f'<article class="relative"><a href="{page}"><img src="/x/{paper.arxiv_id}.png" alt=""></a>'
        f'<a href="/login?next=%2Fpapers%2F{paper.arxiv_id}"><div class="leading-none">7</div></a>'
        f'<h3><a href="{page}">{html.escape(paper.title)}</a></h3>'
        f'<a href="{page}#community">2</a></article>'
    )
