"""Decodes XML by its declared encoding, and refuses harmful XML before it is parsed.

Fetches nothing.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Document

_HEAD = 65_536
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""")
_TRUSTED = re.compile(
    r"utf-?8|us-ascii|ascii|(?:iso-?8859|latin|windows|cp|koi8|gb|big5|shift|s?jis|euc)[\w-]*"
)
_LATIN = re.compile(r"iso-?8859-?1|latin-?1|us-ascii|ascii")
# Each alternative is atomic: once its end is found, it is not searched for another one.
_PROLOG = re.compile(
    r"\ufeff?\s*+(?:(?><\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*+(?:\[.*?\]\s*+(?=>))?>)\s*+)*+",
    re.IGNORECASE | re.DOTALL,
)
_DECLARATION = re.compile(r"\ufeff?\s*<\?xml\b[^>]*\?>", re.IGNORECASE)
_ROOT = re.compile(r"<([A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?)(?=[\s/>])")
_NAMESPACE = re.compile(r"xmlns:([\w.-]+)")
_LONG_TAG = re.compile(r"<[^<>]{5000,}")
_CATEGORY = re.compile(r"<(?:[\w.-]+:)?(?:category|subject|keywords|tags?)\b")
_ITEM = re.compile(r"<(?:[\w.-]+:)?(?:item|entry)\b")
_MANY = 1_000
_MANY_TAGS = 100_000
_SHORTEST_TAG = 8
"""Characters for each tag on average, with the text behind it. Feeds have several times as many."""


def head(document: Document) -> str:
    """Returns the beginning, decoded leniently, for recognition only. Never raises."""
    start = document.data[:_HEAD]
    return start.decode(_encoding_by_mark(start) or "latin-1", "ignore")


def root(text: str) -> str | None:
    """Returns the name of the first element, or `None` if the text does not begin like XML."""
    if not text[:1_000].lstrip("\ufeff \t\r\n").startswith("<"):
        return None
    prolog = _PROLOG.match(text)
    found = _ROOT.match(text, prolog.end() if prolog else 0)
    return found[1] if found else None


def decoded(data: bytes) -> str:
    """Decodes XML and removes its declaration.

    Raises:
        SnapshotUnreadable: it is not in the encoding that it declares.
    """
    declared = _DECLARED.match(data[:500])
    named = declared[1].decode().lower().replace("_", "-") if declared else "utf-8"
    encoding = _encoding_by_mark(data) or _known(named)
    unicode = encoding.startswith("utf")
    try:
        text = data.decode(encoding, "strict" if unicode else "replace")
    except UnicodeDecodeError as exc:
        name = encoding.removesuffix("-sig").upper()
        raise SnapshotUnreadable(
            f"not {name} text (byte {exc.start:,} is not valid)", hint="capture it again"
        ) from exc
    declaration = _DECLARATION.match(text)
    return text[declaration.end() if declaration else 0 :]


def _encoding_by_mark(data: bytes) -> str | None:
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _known(named: str) -> str:
    """Returns the codec: for Latin-1 the one browsers use, and never one that is no charset."""
    if _LATIN.fullmatch(named):
        return "windows-1252"
    if not _TRUSTED.fullmatch(named):
        raise SnapshotUnreadable(f"in an encoding we do not read ({named})", hint="save as UTF-8")
    try:
        b"".decode(named)
    except LookupError as exc:
        raise SnapshotUnreadable(
            f"in an encoding we do not know ({named})", hint="save as UTF-8"
        ) from exc
    return named


def refuse_harm(text: str) -> None:
    """Refuses what costs XML parsers more than linear time, none of which a feed needs.

    Raises:
        SnapshotUnreadable: the text defines entities, which can expand without bound, or has
            implausibly many tags, namespaces, attributes or categories.
    """
    first = re.search(r"<\w", text)
    if re.search("<!ENTITY", text[: first.start() if first else None], re.IGNORECASE):
        raise _harmful("it defines XML entities of its own")
    if text.count("xmlns:") > _MANY and len(set(_NAMESPACE.findall(text))) > _MANY:
        raise _harmful("it names too many XML namespaces")
    tags = text.count("<")
    if tags > _MANY_TAGS and len(text) < tags * _SHORTEST_TAG:
        raise _harmful("it consists of tags and hardly any text")
    if any(tag[0].count("=") > _MANY for tag in _LONG_TAG.finditer(text)):
        raise _harmful("it has an element with too many attributes")
    if len(_CATEGORY.findall(text)) > _MANY and any(
        len(_CATEGORY.findall(item)) > _MANY for item in _ITEM.split(text)
    ):
        raise _harmful("it has an item with too many categories")


def _harmful(what: str) -> SnapshotUnreadable:
    return SnapshotUnreadable(what, hint="no feed needs that: it may be an attack, look at it")


def fault(text: str) -> str | None:
    """Returns where and how the XML is broken, or `None` if it is well-formed."""
    parser = expat.ParserCreate("utf-8")
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as exc:
        return f"line {exc.lineno}: {expat.ErrorString(exc.code)}"
    return None


def _no_entities(name: str, *_: object) -> None:
    raise SnapshotUnreadable(f"it defines an XML entity ({name[:20]})", hint="look at it")
