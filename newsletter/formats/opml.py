"""OPML: lists of feeds as exported by feed readers, with names and URLs."""

from __future__ import annotations

from xml.parsers import expat

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import xml_text
from newsletter.masks import masked_url
from newsletter.text.clean import clean


def sources(data: bytes) -> list[tuple[str, str]]:
    """Returns the name and URL of each feed in an OPML file, in order, each URL once.

    Raises:
        SnapshotUnreadable: the file is not OPML.
    """
    text = xml_text.decoded(data)
    xml_text.refuse_harm(text)
    if xml_text.root(text) != "opml":
        raise SnapshotUnreadable("not an OPML file", hint="export the list of feeds again")
    found: dict[str, str] = {}

    def started(name: str, attributes: dict[str, str]) -> None:
        url = clean(attributes.get("xmlUrl", ""))
        if name == "outline" and url:
            called = attributes.get("title") or attributes.get("text") or url
            # Some readers write the URL as the title. A name is shown everywhere.
            found.setdefault(url, masked_url(clean(called) or url))

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = started
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as exc:
        raise SnapshotUnreadable(
            f"the OPML is broken at line {exc.lineno}", hint="export the list of feeds again"
        ) from exc
    return [(name, url) for url, name in found.items()]
