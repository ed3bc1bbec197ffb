"""Reads a web page with BeautifulSoup on lxml, strained to the elements that a format asks for.

A whole tree of a hostile page takes quadratic time in BeautifulSoup where text is nested deeply,
and half a kilobyte for each tag. So elements that are not wanted are left out while the page is
parsed, and wanted ones never nest in others of the same name: time and memory stay linear.

Slow to import: import it where a page is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bs4 import BeautifulSoup
from bs4.builder import LXMLTreeBuilder  # type: ignore[attr-defined]  # registered at run time

Wanted = Callable[[str, Mapping[str, str]], dict[str, str] | None]
"""Given the name and attributes of an element, returns the attributes to keep, or `None`."""

_INVISIBLE = frozenset({"script", "style", "noscript", "template", "svg"})
_END = "end-of-the-capture"


@dataclass(frozen=True, slots=True)
class Page:
    """A web page.

    Attributes:
        soup: the wanted elements, and the visible texts between tags.
        whole: whether all of it was read. If not, its rest was swallowed by a tag, comment or
            invisible element that does not end, or the parser gave up.
        hidden: the kept attributes of wanted elements inside invisible ones.
    """

    soup: BeautifulSoup
    whole: bool
    hidden: list[dict[str, str]]


def strained(html: str, wanted: Wanted, *, texts: bool = True) -> Page:
    """Reads the wanted elements of a page, and with `texts` also the texts between all tags."""
    builder = _Strained(wanted, texts)
    markup = html.replace("\0", " ") + f"<{_END}>"
    soup = BeautifulSoup(markup.encode(), builder=builder)
    return Page(soup, builder.whole, builder.hidden)


class _Strained(LXMLTreeBuilder):  # type: ignore[misc]
    """Takes lxml's events, and passes on those of wanted elements and of visible text.

    Attributes:
        whole: whether the mark behind the page was read as an element.
        hidden: see `Page`.
    """

    def __init__(self, wanted: Wanted, texts: bool) -> None:
        super().__init__(huge_tree=True, multi_valued_attributes=None)
        self.whole = False
        self.hidden: list[dict[str, str]] = []
        self._wanted = wanted
        self._texts = texts
        self._depth = 0
        self._hidden = 0  # the depth of the invisible element that is open, if any
        self._kept: dict[str, int] = {}  # the wanted elements that are open, and their depths

    def prepare_markup(self, markup: bytes, *_: Any, **__: Any) -> Iterator[tuple[Any, ...]]:
        """Says that the bytes are UTF-8, whatever the page declares."""
        yield markup, "utf-8", None, False

    def start(self, tag: str, attrib: Mapping[str, str], *_: object) -> None:
        """Begins an element."""
        self._depth += 1
        if self._hidden:
            if kept := self._wanted(tag, attrib):
                self.hidden.append(kept)
            return
        self.soup.endData()
        if tag in _INVISIBLE:
            self._hidden = self._depth
        elif tag == _END:
            self.whole = True
        elif (kept := self._wanted(tag, attrib)) is not None:
            self._close(tag)
            self._kept[tag] = self._depth
            super().start(tag, kept)

    def end(self, tag: str) -> None:
        """Ends an element."""
        if self._hidden == self._depth:
            self._hidden = 0
        elif not self._hidden:
            self.soup.endData()
            if self._kept.get(tag) == self._depth:
                self._close(tag)
        self._depth -= 1

    def _close(self, tag: str) -> None:
        """Ends the wanted element of that name, if it is open, and those inside it."""
        while tag in self._kept:
            name, _ = self._kept.popitem()
            super().end(name)

    def data(self, data: str) -> None:
        """Takes text. Only a tag ends it: comments are left out."""
        if self._texts and not self._hidden:
            super().data(data)

    def comment(self, text: str) -> None:
        """Leaves out a comment."""

    def pi(self, target: str, data: str) -> None:
        """Leaves out a processing instruction."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        """Leaves out the document type."""
