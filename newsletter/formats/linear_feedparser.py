"""feedparser's parsers in linear time, for text that is already decoded and checked.

Its function `parse` searches the prolog, the authors and the addresses of a feed with patterns
that take quadratic time, so the parsers are called directly. Fetches nothing, sanitises nothing and
resolves no links inside texts.
"""

from __future__ import annotations

import io
import re
import xml.sax
from typing import Any
from xml.sax import handler, xmlreader

from feedparser.api import LooseFeedParser, StrictFeedParser

from newsletter.text import urls

_DECLARATION = "<?xml version='1.0' encoding='utf-8'?>\n"
_ELEMENT = re.compile(r"<\w")
_LONG_BASE = re.compile(
    r"""(?<=\s)(?:xml:)?base\s*+=\s*+(?:"[^"<]{1000,}+"|'[^'<]{1000,}+')""", re.IGNORECASE
)
_LONGEST_BASE = 250
_WORD = re.compile(r"\S{500,}")
"""A run of so many characters is no name and no address of an author."""


class _Bounded:
    """What both parsers do differently: names and addresses that are too long are not searched."""

    _base = ""

    @property
    def baseuri(self) -> str:
        """The address that relative ones are resolved against."""
        return self._base

    @baseuri.setter
    def baseuri(self, value: str) -> None:
        if len(value) <= _LONGEST_BASE:
            self._base = value

    def resolve_uri(self, uri: str) -> str:
        """Makes an address absolute; one with an impossible host stays as it is."""
        return urls.joined(self._base, uri) or uri

    def _sync_author_detail(self, key: str = "author") -> None:
        context = self._get_context()  # type: ignore[attr-defined]
        if isinstance(name := context.get(key), str):
            context[key] = _WORD.sub("…", name)
        super()._sync_author_detail(key)  # type: ignore[misc]


class _Strict(_Bounded, StrictFeedParser):  # type: ignore[misc]
    """For well-formed XML."""


class _Loose(_Bounded, LooseFeedParser):  # type: ignore[misc]
    """For everything else."""


def parsed(text: str) -> Any:
    """Parses a feed. Returns feedparser's parser, with `entries`, `feeddata` and `version`."""
    first = _ELEMENT.search(text)
    data = _DECLARATION + _LONG_BASE.sub("", text[first.start() if first else 0 :])
    try:
        return _strict(data.encode("utf-8", "replace"))
    except xml.sax.SAXException:
        made = _configured(_Loose("", None, "utf-8", {}))
        made.feed(data)
        return made


def _strict(data: bytes) -> Any:
    made = _configured(_Strict("", None, "utf-8"))
    reader = xml.sax.make_parser()  # noqa: S317 - `xml_text.refuse_harm` refused entities
    reader.setFeature(handler.feature_namespaces, True)
    reader.setFeature(handler.feature_external_ges, False)
    reader.setContentHandler(made)
    reader.setErrorHandler(made)
    source = xmlreader.InputSource()
    source.setByteStream(io.BytesIO(data))
    reader.parse(source)
    return made


def _configured(parser: Any) -> Any:
    parser.resolve_relative_uris = parser.sanitize_html = False
    return parser
