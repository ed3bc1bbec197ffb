"""The check every edition must pass before it is sent: tags, links, size, and the same
papers in HTML and text.

Themes may be the operator's own and papers are untrusted input; mistakes in either are
caught here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Comment, Tag

from newsletter.config.values import LOOPBACK
from newsletter.editions.content import Content
from newsletter.errors import EditionFaulty
from newsletter.messages.mime import encoded_size
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.text.clean import without_isolates

MAX_ENCODED = 95_000
"""Maximum bytes of the encoded HTML; Gmail clips messages from about 102,000 on."""

_TAGS = frozenset({
    "html", "head", "title", "meta", "style", "xml", "noscript", "body", "main", "center",
    "div", "span", "table", "tbody", "thead", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6",
    "p", "br", "hr", "ul", "ol", "li", "blockquote", "a", "b", "strong", "em", "i", "small",
    "sup", "sub",
})  # fmt: skip
_LOADS = re.compile(r"url\(|expression\(|@import", re.IGNORECASE)
_URL_ATTRIBUTES = ("href", "src", "background", "action", "poster")


def fits(rendered: Rendered) -> bool:
    """Returns whether the encoded HTML is small enough not to be clipped by mailboxes.

    Leaves room for the recipient's links, which are not in it yet.
    """
    return encoded_size(rendered.html.replace(UNSUBSCRIBE, "x" * 250)) < MAX_ENCODED


def check(content: Content, rendered: Rendered) -> None:
    """Validates an edition.

    Raises:
        EditionFaulty: it has a forbidden tag or link, is too large, or lacks papers, the
            unsubscribe link or a subject.
    """
    faults = list(_faults(content, rendered))
    if faults:
        raise EditionFaulty("; ".join(faults[:3]), where="edition", hint="check its theme")


def _faults(content: Content, rendered: Rendered) -> Iterator[str]:
    page = _Page(rendered.html)
    yield from page.faults()
    if not fits(rendered):
        yield f"its HTML is over {MAX_ENCODED:,} bytes"
    if UNSUBSCRIBE not in page.links or UNSUBSCRIBE not in rendered.text:
        yield "no unsubscribe link"
    for name, text in (("HTML", page.text), ("text", without_isolates(rendered.text))):
        missing = _first_missing(content.titles, " ".join(text.split()))
        if missing:
            yield f"the {name} lacks “{missing}”, or has it in the wrong order"
    if not rendered.subject:
        yield "no subject"


def _first_missing(titles: Sequence[str], text: str) -> str | None:
    at = 0
    for title in titles:
        found = text.find(" ".join(title.split()), at)
        if found < 0:
            return title
        at = found + len(title)
    return None


class _Page:
    """The finished HTML, parsed independently of the tools that produced it."""

    def __init__(self, html: str) -> None:
        self._soup = BeautifulSoup(html, "html.parser")
        self.links = {str(link["href"]) for link in self._soup.select("a[href]")}

    @property
    def text(self) -> str:
        """The visible text."""
        for element in self._soup(["style", "title"]):
            element.extract()
        return self._soup.get_text()

    def faults(self) -> Iterator[str]:
        """Yields all forbidden content, including that in conditional comments."""
        for element in self._soup.find_all(True):
            yield from _faults_of(element)
        for comment in self._soup.find_all(string=lambda text: isinstance(text, Comment)):
            if comment.startswith("[if"):
                yield from _Page(comment.partition(">")[2].removesuffix("<![endif]")).faults()


def _faults_of(element: Tag) -> Iterator[str]:
    tag = element.name
    if tag not in _TAGS and not tag.startswith(("o:", "v:")):
        yield f"a tag <{tag}>"
    if tag == "style" and _LOADS.search(element.get_text()):
        yield "a style sheet that loads something"
    for name, given in element.attrs.items():
        value = given if isinstance(given, str) else " ".join(given)
        if name == "http-equiv" and value.lower() == "refresh":
            yield "a page that redirects"
        elif name.startswith("on") or name == "srcset":
            yield f"an attribute {name} in <{tag}>"
        elif name in _URL_ATTRIBUTES and not _allowed(tag, name, value):
            yield f"a link to “{value[:80]}”"
        elif name == "style" and _LOADS.search(value):
            yield f"a style that loads something, in <{tag}>"


def _allowed(tag: str, name: str, value: str) -> bool:
    if tag != "a" or name != "href":
        return False
    if value.partition("#")[0] == UNSUBSCRIBE or value.startswith(("https://", "mailto:")):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in LOOPBACK
