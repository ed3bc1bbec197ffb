"""Feeds of papers and editions, read back by independent feed readers."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import formats
from newsletter.text.clean import clean
from newsletter.web.feeds import FEEDS, Feed, Item
from tests.support.builders import HOSTILE

NOON = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
HOME = "https://letters.example.org"
NAMES = {"a": "http://www.w3.org/2005/Atom", "dc": "http://purl.org/dc/elements/1.1/"}
ENDINGS = ("xml", "rss", "json")
XML = ("xml", "rss")

ANYTHING = st.text(st.characters())  # surrogates, controls and non-characters among them
TERMS = st.lists(ANYTHING.filter(bool), max_size=3).map(tuple)
TIMES = st.timedeltas(timedelta(days=-20_000), timedelta(days=60_000)).map(NOON.__add__)


def made(number: int = 1, **fields: Any) -> Item:
    """Returns an invented item; everything follows from its number unless given."""
    values: dict[str, Any] = {
        "id": f"tag:letters.example.org,2026:paper/{number}",
        "title": f"Lamp {number} in the Harbour",
        "url": f"https://arxiv.org/abs/2611.{number:05}",
        "html": f"<p>Lamp {number} is <em>bright</em> &amp; small.</p>",
        "text": f"Lamp {number} is bright & small.",
        "authors": ("Mira Okafor", "Jonas Lindqvist"),
        "published": NOON - timedelta(hours=number),
        "updated": NOON - timedelta(minutes=number),
        "categories": ("cs.LG", "cs.RO"),
    }
    return Item(**values | fields)


def feed_of(*items: Item, **fields: Any) -> Feed:
    """Returns a feed of the items."""
    values: dict[str, Any] = {
        "title": "Harbour Letters",
        "home_url": f"{HOME}/",
        "feed_url": f"{HOME}/feed",
        "language": "en",
        "updated": NOON,
        "author": "The Harbour Lab",
        "items": items,
    }
    return Feed(**values | fields)


def written(ending: str, *items: Item, **fields: Any) -> bytes:
    """Returns the bytes of a feed of the items."""
    return FEEDS[ending].write(feed_of(*items, **fields))


def parsed(data: bytes) -> Any:
    """Returns the feed as `feedparser` reads it, which must find nothing wrong with it."""
    found = feedparser.parse(data, sanitize_html=False, resolve_relative_uris=False)
    assert not found.bozo, found.bozo_exception
    return found


def texts(parent: ElementTree.Element, path: str) -> list[str]:
    """Returns the texts of the elements at that path, unchanged."""
    return [found.text or "" for found in parent.findall(path, NAMES)]


def in_xml(text: str) -> str:
    """Returns what XML 1.0 can represent of a text (section 2.2), with normalised line ends
    (2.11).
    """
    ranges = ((9, 10), (13, 13), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c if any(first <= ord(c) <= last for first, last in ranges) else "\ufffd" for c in lines
    )


def read_atom(data: bytes) -> list[tuple[Any, ...]]:
    """Returns id, title, body, authors, terms and time of each Atom entry."""
    return [
        (
            *texts(entry, "a:id"),
            *texts(entry, "a:title"),
            *texts(entry, "a:content"),
            tuple(texts(entry, "a:author/a:name")),
            tuple(tag.get("term") for tag in entry.findall("a:category", NAMES)),
            datetime.fromisoformat(*texts(entry, "a:published")),
        )
        for entry in ElementTree.fromstring(data).findall("a:entry", NAMES)
    ]


def read_rss(data: bytes) -> list[tuple[Any, ...]]:
    """Returns id, title, body, authors, terms and time of each RSS item."""
    return [
        (
            *texts(item, "guid"),
            *texts(item, "title"),
            *texts(item, "description"),
            tuple(texts(item, "dc:creator")),
            tuple(texts(item, "category")),
            parsedate_to_datetime(*texts(item, "pubDate")),
        )
        for item in ElementTree.fromstring(data).findall("channel/item")
    ]


def read_json(data: bytes) -> list[tuple[Any, ...]]:
    """Returns id, title, body, authors, terms and time of each item of a JSON Feed."""
    return [
        (
            item["id"],
            item["title"],
            item["content_html"],
            tuple(who["name"] for who in item.get("authors", ())),
            tuple(item.get("tags", ())),
            datetime.fromisoformat(item["date_published"]),
        )
        for item in json.loads(data)["items"]
    ]


READERS = {"xml": read_atom, "rss": read_rss, "json": read_json}


@st.composite
def feeds(draw: st.DrawFn) -> Feed:
    """Generates feeds of arbitrary text whose items have distinct ids."""
    items = [
        made(
            number,
            title=draw(ANYTHING),
            html=draw(ANYTHING),
            text=draw(ANYTHING),
            authors=draw(TERMS),
            categories=draw(TERMS),
            published=draw(TIMES),
            updated=draw(TIMES),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    return feed_of(*items, title=draw(ANYTHING), author=draw(ANYTHING))


@pytest.mark.parametrize("ending", ENDINGS)
@given(feed=feeds())
def test_feeds_round_trip(ending: str, feed: Feed) -> None:
    """Text that XML can represent is read back equal, in the given order, each id once."""
    back = READERS[ending](FEEDS[ending].write(feed))
    assert back == [
        (
            item.id,
            in_xml(item.title),
            in_xml(item.html),
            tuple(map(in_xml, item.authors)),
            tuple(map(in_xml, item.categories)),
            item.published.replace(microsecond=0),
        )
        for item in feed.items
    ]
    assert len({found[0] for found in back}) == len(feed.items)


@given(feed=feeds())
def test_the_text_of_a_json_item_comes_back(feed: Feed) -> None:
    """Only JSON Feed has the body as plain text as well."""
    found = json.loads(FEEDS["json"].write(feed))
    assert found["title"] == in_xml(feed.title)
    assert [item["content_text"] for item in found["items"]] == [
        in_xml(item.text) for item in feed.items
    ]


@pytest.mark.parametrize("ending", ENDINGS)
@given(feed=feeds())
def test_the_bytes_are_always_the_same(ending: str, feed: Feed) -> None:
    """Equal feeds give equal bytes, also if their times are given in another zone."""
    zone = timezone(timedelta(hours=5, minutes=30))
    elsewhere = dataclasses.replace(
        feed,
        updated=feed.updated.astimezone(zone),
        items=tuple(
            dataclasses.replace(
                item,
                published=item.published.astimezone(zone),
                updated=item.updated.astimezone(zone),
            )
            for item in feed.items
        ),
    )
    data = FEEDS[ending].write(feed)
    assert data == FEEDS[ending].write(feed) == FEEDS[ending].write(elsewhere)
    data.decode()


@pytest.mark.parametrize("ending", XML)
def test_a_reader_finds_papers_in_xml(ending: str) -> None:
    """`feedparser` finds the fields of an item, in the given order."""
    found = parsed(written(ending, made(2), made(1)))
    first = found.entries[0]
    assert [entry.title for entry in found.entries] == [made(2).title, made(1).title]
    assert first.id == made(2).id
    assert first.link == made(2).url
    assert [who.name for who in first.authors] == ["Mira Okafor", "Jonas Lindqvist"]
    assert [tag.term for tag in first.tags] == ["cs.LG", "cs.RO"]
    assert first.published_parsed[:6] == (2026, 11, 20, 10, 0, 5)
    body = first.content[0] if ending == "xml" else first.summary_detail
    assert (body.type, body.value) == ("text/html", made(2).html)


@pytest.mark.parametrize(("ending", "version"), [("xml", "atom10"), ("rss", "rss20")])
def test_a_reader_finds_the_feed_itself(ending: str, version: str) -> None:
    """`feedparser` finds its name, language, page, own address and time."""
    found = parsed(written(ending, made()))
    (own,) = (link for link in found.feed.links if link.rel == "self")
    assert found.version == version
    assert found.encoding == "utf-8"
    assert found.feed.title == "Harbour Letters"
    assert found.feed.language == "en"
    assert found.feed.link == f"{HOME}/"
    assert found.feed.author == "The Harbour Lab"
    assert (own.href, own.type) == (f"{HOME}/feed", FEEDS[ending].media_type)
    assert found.feed.updated_parsed[:6] == (2026, 11, 20, 12, 0, 5)


def test_atom_has_what_its_rfc_demands() -> None:
    """Ids, titles and times in UTC; text is marked as text, and bodies as HTML."""
    root = ElementTree.fromstring(written("xml", made()))
    assert root.tag == f"{{{NAMES['a']}}}feed"
    assert texts(root, "a:id") == [f"{HOME}/feed"]
    assert texts(root, "a:updated") == ["2026-11-20T12:00:05Z"]
    assert texts(root, "a:entry/a:published") == ["2026-11-20T11:00:05Z"]
    assert texts(root, "a:entry/a:updated") == ["2026-11-20T11:59:05Z"]
    (entry,) = root.findall("a:entry", NAMES)
    assert texts(entry, "a:title[@type='text']") == [made().title]
    assert texts(entry, "a:content[@type='html']") == [made().html]
    assert [link.attrib for link in entry.findall("a:link", NAMES)] == [
        {"rel": "alternate", "href": made().url}
    ]


def test_rss_has_what_its_readers_need() -> None:
    """A guid that is not a permalink, and times in the format of mail."""
    root = ElementTree.fromstring(written("rss", made(published=datetime(2026, 1, 2, tzinfo=UTC))))
    assert (root.tag, root.attrib) == ("rss", {"version": "2.0"})
    assert texts(root, "channel/description") == ["Harbour Letters"]
    assert texts(root, "channel/lastBuildDate") == ["Fri, 20 Nov 2026 12:00:05 GMT"]
    assert texts(root, "channel/item/pubDate") == ["Fri, 02 Jan 2026 00:00:00 GMT"]
    assert texts(root, "channel/item/guid[@isPermaLink='false']") == [made().id]


def test_a_json_feed_has_its_names() -> None:
    """Its keys are those of JSON Feed 1.1, at the top level and in the items."""
    found = json.loads(written("json", made()))
    (item,) = found.pop("items")
    assert found == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Harbour Letters",
        "home_page_url": f"{HOME}/",
        "feed_url": f"{HOME}/feed",
        "language": "en",
        "authors": [{"name": "The Harbour Lab"}],
    }
    assert item == {
        "id": made().id,
        "url": made().url,
        "title": made().title,
        "content_html": made().html,
        "content_text": made().text,
        "date_published": "2026-11-20T11:00:05Z",
        "date_modified": "2026-11-20T11:59:05Z",
        "authors": [{"name": "Mira Okafor"}, {"name": "Jonas Lindqvist"}],
        "tags": ["cs.LG", "cs.RO"],
    }


@pytest.mark.parametrize("title", HOSTILE)
@pytest.mark.parametrize("ending", ENDINGS)
def test_hostile_titles_stay_text(ending: str, title: str) -> None:
    """A title comes back unchanged, and so does the text beside it."""
    items = (made(1, title=title, authors=(title,), categories=(title,)), made(2))
    first, second = READERS[ending](written(ending, *items))
    assert first[1] == in_xml(title)
    assert first[3] == first[4] == (in_xml(title),)
    assert second[1] == made(2).title


@pytest.mark.parametrize("title", HOSTILE)
def test_a_reader_shows_hostile_titles(title: str) -> None:
    """`feedparser` honours Atom's declaration of text and shows no title as markup."""
    (entry,) = parsed(written("xml", made(title=title))).entries
    assert entry.title == in_xml(title).strip()


@pytest.mark.parametrize("ending", XML)
def test_xml_declares_itself(ending: str) -> None:
    """It begins with an XML declaration and defines no entities."""
    data = written(ending, made())
    assert re.match(rb"<\?xml version='1\.0' encoding='utf-8'\?>\n<(feed|rss) ", data)
    assert b"<!" not in data


@pytest.mark.parametrize("ending", ENDINGS)
def test_other_scripts_are_written_as_they_are(ending: str) -> None:
    """As UTF-8, not as character references, which are twice as long."""
    assert "灯台".encode() in written(ending, made(title="灯台"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_feed_may_be_empty(ending: str) -> None:
    """Before the first paper it is a valid feed."""
    data = written(ending)
    assert READERS[ending](data) == []
    assert formats.parse(data).papers == ()


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_fields_are_left_out(ending: str) -> None:
    """No empty element stands for a missing page, author, category or language."""
    item = made(url=None, authors=(), categories=())
    data = written(ending, item, language="", author="")
    assert READERS[ending](data)[0][3:5] == ((), ())
    assert not re.search(rb'lang|category|tags|creator|"url"|"authors"', data)
    assert data.count(b"<link") == {"xml": 2, "rss": 1, "json": 0}[ending]


def test_atom_always_names_an_author() -> None:
    """Its RFC requires one: without a named author, the feed itself."""
    assert parsed(written("xml", author="")).feed.author == "Harbour Letters"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_time_without_a_zone_is_refused(ending: str) -> None:
    """It would mean another instant on each machine."""
    bare = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="needs a zone"):
        written(ending, made(published=bare), updated=bare)
    with pytest.raises(ValueError, match="needs a zone"):
        written(ending, made(published=bare))


@pytest.mark.parametrize("ending", ENDINGS)
def test_another_newsletter_can_read_it(ending: str) -> None:
    """Our own formats recognise the feed and find its papers."""
    found = formats.parse(written(ending, made(1), made(2)))
    assert found.format == {"xml": "feed", "rss": "feed", "json": "json-feed"}[ending]
    assert [paper.title for paper in found.papers] == [made(1).title, made(2).title]
    assert [paper.arxiv_id for paper in found.papers] == ["2611.00001", "2611.00002"]
    assert found.papers[0].authors == made(1).authors
    assert found.papers[0].categories == made(1).categories
    assert found.papers[0].abstract == made(1).text
    assert not found.doubts


@pytest.mark.parametrize("title", ["Let's <think>", "{{7*7}} ]]> [[ x ]]", "a < b & c > d"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_our_reader_keeps_special_characters_in_titles(ending: str, title: str) -> None:
    """A title passes from one newsletter to the next unchanged."""
    (paper,) = formats.parse(written(ending, made(title=title))).papers
    assert paper.title == clean(title)


def test_each_writer_says_its_media_type() -> None:
    """It is used in the Content-Type header and in links on pages."""
    assert {ending: writer.media_type for ending, writer in FEEDS.items()} == {
        "xml": "application/atom+xml",
        "rss": "application/rss+xml",
        "json": "application/feed+json",
    }
