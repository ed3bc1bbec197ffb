"""Hostile text of any size: repeated pieces, alone and inside captures of every format.

A family is one piece at one place, in several sizes, so that the growth of its CPU time reveals a
pattern that takes more than linear time. A format is covered if it has a capture in `captures`, a
function over text if it has a line in `FUNCTIONS`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from newsletter.errors import NewsletterError, SnapshotUnreadable
from newsletter.formats import (
    Document,
    base,
    feed_reader,
    markup,
    page_cards,
    parse,
    xml_text,
)
from newsletter.models import Paper, Snapshot
from newsletter.text import (
    clean,
    colour,
    dates,
    excerpt,
    fingerprint,
    tex,
    tex_formulas,
    urls,
)
from tests.support.captures import CAPTURES

PIECES = (
    # tags, attributes, comments and declarations
    "<", "<a ", "<a b", "<a b=", '<a "', "<a '", "a", "a ", 'a="', "a='", 'a="b" ', "=", '"', "'",
    "<p>", "</p>", "<b>", "<b></b>", "<div>", "<div><a>", "</div>", "<!---->", "<!--", "-->", "<!",
    "<?", "<?xml encoding='", "<![CDATA[", "<![CDATA[a]]>", "]]>", "<script>", "<script", "<title",
    "<meta ", '<link rel="canonical" href="/papers?">', "<author>", "<author>a</author>",
    "<author><name>a", "<item>", "<item><title>a</title></item>", "<entry>", "</rss>", "</rss><!--",
    "<category>a</category>", '<link rel="self" href="a"/>', "<content>", "\n<!DOCTYPE",
    "\n<!ENTITY",
    "<!DOCTYPE [", "<x{n}>", "<x{n}/>", "<x:y{n}/>", " x{n}='1'", "&", "&#", "&#97;", "&amp;", "&a",
    "<sub>", '<a href="http://a">',
    # TeX, BibTeX, brackets
    "{", "}", "{}", "{a", "\\", "\\ ", "\\a", "\\$", "$", "$a", "$ ", "\\frac{", "\\emph{",
    "\\text ",
    "\\(", "\\[", "\\'", "\\'{", "{\\em ", "^", "_{", "``", "''", "`", "a=a ", "[", "]", "(", ")",
    "()", "[]", "@misc{", "\n@misc{a,", "\n@misc{a, title={b}}", "title={", " and ", "and ", "%",
    # addresses and lists
    "://", "http://", "http://a ", "http://a.b/c)", "a.a.", "www.", "/abs/", "/papers?",
    "?q=", "&q=",
    "v1", "10.1/", "arXiv:", "(arXiv:", "2611.00001 ", "2611.{n} ", "%41", "a@", "@a.", "#", "- ",
    "](http://a)", "[a](http://a) ", "![", "![](", "][1", "\n[1] http://a",
    "\n### [a][{n}]", "\n# [",
    "\nhttps://huggingface.co/papers/2611.{n}\n",
    # sentences
    "We ", "we propose ", "this paper ", "We. ", "We a we. ", "this paper a. ", "Code available. ",
    "e.g. ", "et al. ", "A. ", "\u3002", "a\u3002",
    # JSON
    ",", ":", '{"a":', '{"a":[', '"a",', '{"title":"a"},', '{"url":"a","title":"b"},', "[[", "'a'",
    # numbers, spaces, signs, letters of various scripts
    "0", "1", "1.", "1,", "-", ".", "..", ". ", "!", "!? ", " ", "  ", "\t", "\n", "\n\n",
    "\r", " \n",
    "\u00a0", "\u3000", "\u65e5", "\u65e5 ", "\u0301", "\u0301\u0323", "a\u0301\u0323", "\u200b",
    "\u200d", "\u202e", "\u00ad", "\u0130", "\u00df", "\ufdfa", "\uac00", "\u05d0", "\U0001f600",
    "\x00", "Nov 20\n", "Subscribe\n", "Jan", "authors ", "1 authors\n",
)  # fmt: skip
"""`{n}` in a piece is replaced by increasing numbers."""

HEADS = (
    "", "http://", "https://a.b/", "https://arxiv.org/abs/2611.00001v", "10.1234/", "doi:", "We ",
    "$", "\\(", "\\[", "<a ", "<p>a</p><a ", "<!--", "{", "\\emph{", "a", "://", "<", "&", "Nov "
)  # fmt: skip
"""Text before the pieces, for a function over text."""

TAILS = ("", " x", "</p>", "\x00.1")
"""Text after them."""

_FIELDS = re.compile(
    rb"Lamps|lamp number|Okafor|2611\.00001|https?://|20\d\d-|Nov 20|, 20 Nov|<\w+(?=[ >])"
    rb"|[{\[](?=\")|(?<=\n)(?=@)"
)
"""Places in an invented capture: its titles, abstracts, authors, ids, links, days and tags."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a capture, given by the function that builds it and the bytes before it."""

    way: str
    at: int
    before: bytes
    after: bytes

    def filled(self, piece: str, size: int) -> bytes:
        """Returns the capture with `size` bytes of the piece at this place."""
        return self.before + repeated(piece, size).encode() + self.after


def repeated(piece: str, size: int) -> str:
    """Returns the piece repeated to at least `size` bytes."""
    if "{n}" not in piece:
        return piece * (size // len(piece.encode()) + 1)
    length = len(piece) + len(str(size))
    return "".join(piece.replace("{n}", str(n)) for n in range(size // length + 1))


def places() -> Iterator[tuple[str, Place]]:
    """Yields the places of every capture, its ends and its fields, with the format's name."""
    paper = Paper(
        "Lamps",
        "We introduce lamp number 1 and light it on every night of one long winter. "
        "The keepers of two harbours answer forty questions about it, in the order in which "
        "they were asked. Ships arrive sooner, and the oil lasts until the first of March.",
        arxiv_id="2611.00001",
    )
    for name, ways in CAPTURES.items():
        for build in ways:
            data, seen = build([paper, paper]), set[bytes]()
            yield name, Place(build.__name__, 0, b"", data)
            yield name, Place(build.__name__, len(data), data, b"")
            for found in _FIELDS.finditer(data):
                mark = data[max(0, found.start() - 6) : found.end()]
                if mark not in seen:
                    seen.add(mark)
                    at = found.end()
                    yield name, Place(build.__name__, at, data[:at], data[at:])


def in_captures() -> Iterator[tuple[str, Place, str]]:
    """Yields every piece once for every writer of a format, at varying places."""
    ways: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places():
        ways.setdefault(place.way, []).append((name, place))
    for number, way in enumerate(ways.values()):
        for index, piece in enumerate(PIECES):
            yield (*way[(index + number) % len(way)], piece)


def in_texts() -> Iterator[tuple[str, str, str]]:
    """Yields every piece alone and with text around it, as head, piece and tail."""
    for index, piece in enumerate(PIECES):
        yield "", piece, ""
        yield HEADS[index % len(HEADS)], piece, TAILS[index % len(TAILS)]


def read(data: bytes, name: str | None) -> Snapshot | SnapshotUnreadable:
    """Parses a capture. Returns the snapshot, or the error for which it would be held."""
    try:
        return parse(data, format=name)
    except SnapshotUnreadable as held:
        return held


def _quietly(check: Callable[[str], object]) -> Callable[[str], None]:
    def run(text: str) -> None:
        with contextlib.suppress(NewsletterError):
            check(text)

    return run


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "clean.clean": clean.clean,
    "clean.clean_or_none": clean.clean_or_none,
    "clean.is_plain": clean.is_plain,
    "clean.isolate": clean.isolate,
    "clean.without_isolates": clean.without_isolates,
    "clean.width": clean.width,
    "clean.cut": lambda text: clean.cut(text, 80),
    "clean.wrap": lambda text: clean.wrap(text, 72),
    "colour.is_colour": colour.is_colour,
    "dates.day_in": dates.day_in,
    "excerpt.sentences": excerpt.sentences,
    "excerpt.excerpt": lambda text: excerpt.excerpt(text, 400),
    "fingerprint.comparable": fingerprint.comparable,
    "fingerprint.fingerprint": fingerprint.fingerprint,
    "fingerprint.share_words": lambda text: fingerprint.share_words(text, text[1:]),
    "tex.to_unicode": tex.to_unicode,
    "tex_formulas.plain_formula": lambda text: tex_formulas.plain_formula(text, text),
    "urls.arxiv_id": urls.arxiv_id,
    "urls.canonical": urls.canonical,
    "urls.code_in": urls.code_in,
    "urls.doi": urls.doi,
    "urls.found_in": urls.found_in,
    "urls.joined": lambda text: urls.joined(f"https://a.example/{text}", text),
    "urls.openreview_id": urls.openreview_id,
    "urls.safe": urls.safe,
    "base.iso_day": base.iso_day,
    "base.is_html": lambda text: Document(text.encode("utf-8", "replace")).is_html,
    "base.load_json": _quietly(lambda text: base.load_json(text, "it")),
    "feed_reader.is_feed": feed_reader.is_feed,
    "feed_reader.names_in": feed_reader.names_in,
    "markup.text_of": markup.text_of,
    "markup.unescaped": markup.unescaped,
    "page_cards.votes_in": page_cards.votes_in,
    "page_cards.written_day": page_cards.written_day,
    "xml_text.decoded": _quietly(lambda text: xml_text.decoded(text.encode("utf-8", "replace"))),
    "xml_text.fault": _quietly(xml_text.fault),
    "xml_text.refuse_harm": _quietly(xml_text.refuse_harm),
    "xml_text.root": xml_text.root,
}
"""The functions over untrusted text, by module and name."""
