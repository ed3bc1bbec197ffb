"""The check every edition passes before anyone gets it: tags, links, size, and the same
papers in HTML and text.

A theme may be the operator's own, and papers come from anywhere; this is where a
mistake in either is caught.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from urllib.parse import urlsplit

from newsletter.compose import Content
from newsletter.errors import EditionFaulty
from newsletter.message import encoded_size
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.text import without_isolates

MAX_ENCODED = 95_000
"""Bytes of the encoded HTML; from about 102,000 on, Gmail hides the end."""

_TAGS = frozenset({
    "html", "head", "title", "meta", "style", "xml", "noscript", "body", "main", "center",
    "div", "span", "table", "tbody", "thead", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6",
    "p", "br", "hr", "ul", "ol", "li", "blockquote", "a", "b", "strong", "em", "i", "small",
    "sup", "sub",
})  # fmt: skip
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOADS = re.compile(r"url\(|expression\(|@import", re.IGNORECASE)
_URL_ATTRIBUTES = ("href", "src", "background", "action", "poster")


def fits(rendered: Rendered) -> bool:
    """Whether the encoded HTML stays below what mailboxes show whole.

    The recipient's links are still to be put in, so some room is left for them.
    """
    return encoded_size(rendered.html.replace(UNSUBSCRIBE, "x" * 250)) < MAX_ENCODED


def check(content: Content, rendered: Rendered) -> None:
    """Raises what is wrong with an edition.

    Raises:
        EditionFaulty: a forbidden tag, link or size, or papers that are not all there.
    """
    faults = list(_faults(content, rendered))
    if faults:
        raise EditionFaulty("; ".join(faults[:3]), where="edition", hint="look at its theme")


def _faults(content: Content, rendered: Rendered) -> Iterator[str]:
    page = _Page()
    page.feed(rendered.html)
    page.close()
    yield from page.faults
    if not fits(rendered):
        yield f"its HTML is over {MAX_ENCODED:,} bytes"
    if UNSUBSCRIBE not in page.links or UNSUBSCRIBE not in rendered.text:
        yield "no unsubscribe link"
    for name, text in (("HTML", "".join(page.text)), ("text", without_isolates(rendered.text))):
        missing = _first_missing(content.titles, " ".join(text.split()))
        if missing:
            yield f"the {name} lacks “{missing}”, or has it out of order"
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


class _Page(HTMLParser):
    """Collects the visible text and everything that should not be there."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.faults: list[str] = []
        self.links: set[str] = set()
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Tags and attributes against what is allowed."""
        if tag not in _TAGS and not tag.startswith(("o:", "v:")):
            self.faults.append(f"a tag <{tag}>")
        self._hidden += tag in ("style", "title")
        self.links |= {value for name, value in attrs if name == "href" and value}
        for name, value in attrs:
            if name == "http-equiv" and (value or "").lower() == "refresh":
                self.faults.append("a page that leads elsewhere by itself")
            elif name.startswith("on") or name == "srcset":
                self.faults.append(f"an attribute {name} in <{tag}>")
            elif name in _URL_ATTRIBUTES and not _allowed(tag, name, value or ""):
                self.faults.append(f"a link to “{(value or '')[:80]}”")
            elif name == "style" and _LOADS.search(value or ""):
                self.faults.append(f"a style that loads something, in <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        """Leaves hidden text."""
        self._hidden -= tag in ("style", "title")

    def handle_comment(self, data: str) -> None:
        """What only some programs see is checked like the rest."""
        if data.startswith("[if"):
            inner = _Page()
            inner.feed(data.partition(">")[2].removesuffix("<![endif]"))
            self.faults += inner.faults

    def handle_data(self, data: str) -> None:
        """Visible text, and what style sheets load."""
        if not self._hidden:
            self.text.append(data)
        elif _LOADS.search(data):
            self.faults.append("a style sheet that loads something")


def _allowed(tag: str, name: str, value: str) -> bool:
    if tag != "a" or name != "href":
        return False
    if value == UNSUBSCRIBE or value.startswith(("https://", "mailto:")):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in _LOOPBACK
