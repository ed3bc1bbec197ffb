"""Web pages as BeautifulSoup and lxml read them: wholly, or with a doubt that holds them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from bs4 import BeautifulSoup

from newsletter import formats
from newsletter.formats import web_page
from newsletter.models import Snapshot
from tests.support.captures import MADE, daily_papers_page
from tests.support.format_captures import cards_of_2024, cards_of_2026

IDS = [paper.arxiv_id for paper in MADE]
CUT = "it may be cut"
DEEP = 20_000


def ids(snapshot: Snapshot) -> list[str | None]:
    """The ids of the papers, in order."""
    return [paper.arxiv_id for paper in snapshot.papers]


def cards(old: str = "", new: str = "") -> str:
    """A page of cards, with the first place changed."""
    page = cards_of_2024(MADE).decode()
    assert old in page
    return page.replace(old, new, 1)


def read(page: str) -> Snapshot:
    """What a page holds."""
    return formats.parse(page.encode())


@pytest.mark.parametrize(
    "encoded",
    [
        lambda page: page.encode(),
        lambda page: page.encode("utf-8-sig"),
        lambda page: page.encode("utf-16"),
        lambda page: page.replace("<head>", '<head><meta charset="iso-8859-1">').encode(),
        lambda page: page.replace("<head>", '<head><meta charset="utf-16">').encode("utf-8-sig"),
        lambda page: page.replace(
            "<head>", '<head><meta http-equiv="content-type" content="text/html; charset=koi8-r">'
        ).encode("utf-16"),
    ],
    ids=["UTF-8", "BOM", "UTF-16", "as Latin-1", "as UTF-16", "as KOI8-R"],
)
@pytest.mark.parametrize("build", [cards_of_2024, cards_of_2026, daily_papers_page])
def test_the_declared_encoding_does_not_count(
    build: Callable[..., bytes], encoded: Callable[[str], bytes]
) -> None:
    """Bytes that are valid UTF-8, or UTF-16 with a BOM, are that."""
    page = build(MADE).decode().replace(MADE[0].title, "Šumava ☂ 灯台 Ж")
    snapshot = formats.parse(encoded(page))
    assert snapshot.papers[0].title == "Šumava ☂ 灯台 Ж"
    assert (ids(snapshot), snapshot.doubts) == (IDS, ())


@pytest.mark.parametrize(
    "inserted",
    [
        "<base href='https://elsewhere.example/'>",
        "<![CDATA[ <a href=/nowhere> ]]>",
        "<script>'<a href=\"/enterprise\"><article>' + '</div>'</script>",
        "<style><!-- <a> </style>",
        "<template><a href='/enterprise'>x</a></template>",
        "<!-- <article> -- > -->",
        "<svg/><svg><title>x</title></svg>",
        "<table><tr><td><table>",
        "<form><button><select><option>",
        "</div></p></article></section>",
        "<p><b><i><div>",
        "\0",
        "&#0;&#xD800;&bogus;&amp",
    ],
)
@pytest.mark.parametrize("at", ["<article", "</article>", "<h3>", "</main>"])
def test_what_a_browser_reads_past(inserted: str, at: str) -> None:
    """Every paper is there, and nothing else."""
    snapshot = read(cards(at, inserted + at))
    assert (ids(snapshot), snapshot.doubts) == (IDS, ())


@pytest.mark.parametrize(
    "opened", ["<!--", "<a href='", '<p x="', "<script>", "<textarea>", "<plaintext>", "<?", "<"]
)
@pytest.mark.parametrize("at", ["</article>", "</main>"])
def test_a_page_that_ends_inside_something_is_held(opened: str, at: str) -> None:
    """Even where its last tag of all was seen before, in a script."""
    page = cards("<article", "<script>'</body>'</script><article")
    cut = page[: page.index(at)] + opened
    assert CUT in " ".join(read(cut).doubts)


@pytest.mark.parametrize(
    "opened", ["<template>", "<svg>", "<noscript>", "<!-- ", "<textarea>", "<p x='"]
)
def test_a_paper_that_is_swallowed_holds_the_page(opened: str) -> None:
    """By what does not end, or ends with the element around it."""
    for build in (cards_of_2024, cards_of_2026):
        page = re.sub("<!--.*?-->", "", build(MADE).decode())
        second = page.index("<article", page.index("<article") + 1)
        snapshot = read(page[:second] + opened + page[second:])
        assert set(IDS) - set(ids(snapshot))
        assert snapshot.doubts


def test_a_link_without_a_card_is_named() -> None:
    """An image is no title."""
    page = cards("</main>", '<a href="/papers/2611.09999"><img src="a.png" alt="Oil"></a></main>')
    (doubt,) = read(page).doubts
    assert doubt == "it links to 1 paper that has no card (2611.09999)"


@pytest.mark.parametrize(
    ("opened", "closed"),
    [("<b>", "</b>"), ("<article>", "</article>"), ("<a href=x>", "</a>"), ("<h3>", "</h3>"),
     ("<a href=x><h2>", "</h2></a>"), ("<x{n} data-props=dailyPapers>", "</x{n}>")],
)  # fmt: skip
def test_deep_elements_with_text(opened: str, closed: str) -> None:
    """In a whole tree, BeautifulSoup climbs from each text to the root: here, for minutes."""
    starts = "".join(opened.replace("{n}", str(n)) for n in range(DEEP))
    ends = "x".join(closed.replace("{n}", str(n)) for n in reversed(range(DEEP)))
    page = cards("</main>", f"{starts}x{ends}</main>")
    assert ids(read(page)) == IDS
    whole = web_page.strained(page, lambda *_: None)
    assert whole.whole
    assert web_page.strained(page, lambda *_: None, texts=False).soup.contents == []


def test_wanted_elements_never_nest_in_their_own_kind() -> None:
    """The inner one ends the outer one, and what is inside that."""
    page = "<main><a id=1>x<b><a id=2>y</b></a>z</main></a><a id=3>"
    found = web_page.strained(page, lambda tag, _: {} if tag in ("a", "main") else None)
    assert str(found.soup) == "<main><a>x</a><a>y</a>z</main><a></a>"
    assert found.whole


def test_the_first_of_two_attributes_counts() -> None:
    """As in browsers."""
    found = web_page.strained("<a href=b HREF='c' hrefs=d>", lambda _, given: dict(given))
    assert dict(found.soup.a.attrs if found.soup.a else {}) == {"href": "b", "hrefs": "d"}


def test_the_list_of_the_largest_page() -> None:
    """lxml gives up an attribute of more than 10 MB if it is not told otherwise."""
    page = daily_papers_page(MADE)
    more = b"&quot;more&quot;: &quot;" + b"lamps " * 1_800_000 + b"&quot;, &quot;dailyPapers&quot;"
    page = page.replace(b"&quot;dailyPapers&quot;", more, 1)
    assert len(page) > 10 * 2**20
    snapshot = formats.parse(page)
    assert (snapshot.format, ids(snapshot)) == ("daily-papers-html", IDS)


def test_the_builder_overrides_what_beautifulsoup_calls() -> None:
    """A release that renames one of these would read pages without straining them."""
    base = web_page._Strained.__mro__[1]
    for name in ("prepare_markup", "start", "end", "data", "comment", "pi", "doctype"):
        assert hasattr(base, name), f"BeautifulSoup's builder on lxml has no {name} any more"
    assert hasattr(BeautifulSoup, "endData"), "BeautifulSoup has no endData any more"
