"""Reading a capture always ends, however hostile it is: it is parsed or held.

These tests would run into their time limit: a quadratic pattern takes minutes or hours for the
inputs of the named tests. The growth of CPU time is measured by `make bench` (`hostile`).
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module

import pytest

import newsletter.text
from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.formats import page_cards, xml_text
from newsletter.models import Paper, Snapshot
from newsletter.text import excerpt, fingerprint, tex_formulas, urls
from newsletter.text.clean import normalised
from tests.support import hostile
from tests.support.captures import made
from tests.support.format_captures import arxiv_rss, bibtex, cards_of_2026, json_feed, rss
from tests.support.soak import SOAK

SIZE = 1_000_000 if SOAK else 16_000
HUGE = 1_000_000
WAYS = sorted({place.way for _, place in hostile.places()})


@pytest.mark.parametrize("way", WAYS)
def test_every_piece_in_every_format_is_parsed_or_held(way: str) -> None:
    """With the format recognised, and with the format named."""
    families = [family for family in hostile.in_captures() if family[1].way == way]
    assert len(families) == len(hostile.PIECES)
    for name, place, piece in families:
        data = place.filled(piece, SIZE)
        result = hostile.read(data, None)
        if not isinstance(result, Snapshot) or result.format != name:
            result = hostile.read(data, name)
        assert isinstance(result, Snapshot | SnapshotUnreadable)


@pytest.mark.parametrize("name", hostile.FUNCTIONS)
def test_every_piece_in_every_function_comes_to_an_end(name: str) -> None:
    """Alone, and surrounded by other text."""
    families = list(hostile.in_texts())
    assert len(families) == 2 * len(hostile.PIECES)
    for head, piece, tail in families:
        hostile.FUNCTIONS[name](head + hostile.repeated(piece, SIZE) + tail)


def test_every_function_over_text_is_in_the_table() -> None:
    """A new one is tested by its line in `tests/support/hostile.py`."""
    taken = set[str]()
    for module in pkgutil.iter_modules(newsletter.text.__path__):
        for name, function in vars(import_module(f"newsletter.text.{module.name}")).items():
            if inspect.isfunction(function) and function.__module__.endswith(f".{module.name}"):
                first = next(iter(inspect.signature(function).parameters.values()), None)
                if not name.startswith("_") and first is not None and "str" in first.annotation:
                    taken.add(f"{module.name}.{name}")
    of_ours = {"colour.contrast", "colour.readable", "dates.month_number"}
    of_ours |= {"tex_symbols.table", "tex_symbols.words", "clean.normalised", "zones.in_words"}
    assert taken
    assert taken - of_ours <= set(hostile.FUNCTIONS)


def put(build: Callable[[list[Paper]], bytes], place: bytes, text: str) -> bytes:
    """Returns a capture of two papers with a text inserted at the first such place."""
    data = build(made("Lamps", "Oil"))
    assert place in data
    return data.replace(place, text.encode(), 1)


def titles(data: bytes, format_: str | None = None) -> list[str]:
    """Returns the titles in a capture."""
    return [paper.title for paper in formats.parse(data, format=format_).papers]


@pytest.mark.parametrize(
    ("end", "tail", "whole"),
    [
        ("</channel></rss>", "", True),
        ("</channel></rss>", " x", False),
        ("</channel></rss>", "<!--", False),
        ("</channel>", "", False),
    ],
)
def test_comments_behind_the_channel(end: str, tail: str, whole: bool) -> None:
    """A feed of 564 bytes took exponential time where comments followed the channel."""
    feed = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>A</title>'
        f"<item><title>Lamps</title></item>{end}"
    )
    comments = "<!---->" * ((564 - len(feed) - len(tail)) // 7)
    snapshot = formats.parse(f"{feed}{comments}{tail}".ljust(564).encode())
    assert [paper.title for paper in snapshot.papers] == ["Lamps"]
    assert (snapshot.doubts == ()) == whole


@pytest.mark.parametrize("text", ["a" * HUGE, "a." * (HUGE // 2), "a@" * (HUGE // 2)])
@pytest.mark.parametrize(
    "place", [b"<dc:creator>Mira Okafor, Jonas Lindqvist", b"<pubDate>Fri, 20 Nov"]
)
def test_a_long_word_in_an_author_or_a_day(place: bytes, text: str) -> None:
    """The papers stay, with the name shortened."""
    tag, _, _ = place.partition(b">")
    data = put(arxiv_rss, place, tag.decode() + ">" + text)
    assert titles(data) == ["Lamps", "Oil"]
    assert all(len(name) < 600 for p in formats.parse(data).papers for name in p.authors)


@pytest.mark.parametrize("words", [300, 3_000])
def test_a_long_list_of_authors_is_whole(words: int) -> None:
    """Only a single word can be too long, never the list."""
    names = ", ".join(f"Mira Okafor{number}" for number in range(words))
    data = put(arxiv_rss, b"Mira Okafor, Jonas Lindqvist", names)
    assert len(formats.parse(data).papers[0].authors) == words + 1


@pytest.mark.parametrize(
    "head",
    [
        "\n" * HUGE + "<!DOCTYPE rss>",
        "<!DOCTYPE rss" + "\n" * HUGE + ">",
        "\n<!DOCTYPE" * (HUGE // 10),
        "<!-- no title and no link -->" * (HUGE // 29),
        "<?" + "encoding='" * 900 + "'" * HUGE + "?>",
    ],
    ids=["newlines", "newlines inside", "several", "comments", "encodings"],
)
def test_a_long_prolog(head: str) -> None:
    """What precedes the first element is not searched for papers."""
    assert titles(put(rss, b"<rss", head + "<rss"), "feed") == ["Lamps", "Oil"]


@pytest.mark.parametrize("place", [b"<link>", b"<guid>"])
@pytest.mark.parametrize("marks", ["\u0301\u0323", "&#769;&#803;"])
def test_marks_in_the_host_of_a_link(place: bytes, marks: str) -> None:
    """An invalid URL does not lose its paper."""
    data = rss(made("Lamps", "Oil")).replace(b"https://", b"https://" + marks.encode() * 100_000, 1)
    assert titles(data) == ["Lamps", "Oil"]


def test_many_addresses_of_the_feed_and_many_items() -> None:
    """They are not combined with each other."""
    links = '<link rel="self" href="a"/>' * 10_000
    items = "<item><title>Lamps</title><link>b</link></item>" * 10_000
    feed = f'<rss version="2.0"><channel>{links}{items}</channel></rss>'
    assert len(titles(feed.encode())) == 10_000


def test_addresses_that_grow_with_the_depth() -> None:
    """Each element would lengthen the base URL."""
    base = "<x xml:base='http://a.example/'>" + "<x xml:base='a/'>" * 50_000
    feed = f'<rss version="2.0"><channel>{base}<item><title>Lamps</title></item></channel></rss>'
    assert titles(feed.encode()) == ["Lamps"]


@pytest.mark.parametrize("attribute", [' xml:base="', ' base = "'])
def test_a_long_address_of_the_feed(attribute: str) -> None:
    """It is dropped, and the papers stay."""
    base = f'<channel{attribute}http://{"&#769;&#803;" * 50_000}">'
    assert titles(put(rss, b"<channel>", base)) == ["Lamps", "Oil"]


def test_a_long_address_of_a_json_feed() -> None:
    """It is not joined with the address of every item."""
    base = '"home_page_url": "https://a/' + "a/" * 250_000 + '", "items": ['
    data = put(json_feed, b'"items": [', base)
    item = b'{"id": "1", "url": "a", "title": "Oil"}, '
    assert len(titles(data.replace(b'"items": [', b'"items": [' + item * 20_000))) == 20_002


def test_a_feed_of_nothing_but_tags_is_held() -> None:
    """Parsing a tag costs far more than its bytes."""
    with pytest.raises(SnapshotUnreadable, match="consists of tags"):
        formats.parse(put(rss, b"<item>", "<b>" * 300_000 + "<item>"))


def test_spaces_between_the_authors_of_bibtex() -> None:
    """The pattern allowed spaces on both sides of a word."""
    spaces = " " * HUGE
    data = put(bibtex, b"Mira Okafor and", f"Mira{spaces}Okafor {spaces}and{spaces}")
    assert formats.parse(data).papers[0].authors == ("Mira Okafor", "Jonas Lindqvist")


@pytest.mark.parametrize("sign", [".", ",", ".,"])
def test_dots_where_people_are_counted(sign: str) -> None:
    """The text of a link to a paper is its title or the number of its authors."""
    cards = page_cards.Cards()
    url = "https://huggingface.co/papers/2611.00001"
    for text in ("Lamps", sign * HUGE, "\u00b7 12,345 authors", "1.2k authors"):
        cards.take(page_cards.Piece(text, url))
    (card,) = cards.all
    assert card.title == "Lamps"


@pytest.mark.parametrize("piece", ["://", "a.a.", "a.aa/", "a..", "a-."])
def test_an_abstract_that_does_not_end(piece: str) -> None:
    """Only the end of the last abstract is examined, not every URL in it."""
    lines = [
        "Get trending papers in your email inbox!",
        "Lamps",
        piece * (HUGE // len(piece)) + " x",
    ]
    assert titles("\n".join(lines).encode()) == ["Lamps"]


def test_the_canonical_link_of_a_page() -> None:
    """A search page has no day."""
    link = '<link rel="canonical" href="https://huggingface.co/' + "/papers?" * (HUGE // 8) + '">'
    data = put(cards_of_2026, b"<head>", "<head>" + link)
    assert titles(data, "daily-papers-cards") == ["Lamps", "Oil"]


def test_the_version_of_an_arxiv_id() -> None:
    """What follows the digits was examined once for each digit."""
    assert urls.arxiv_id(f"https://arxiv.org/abs/2611.00001v{'1' * HUGE}.1") == "2611.00001"


def test_marks_are_sorted_in_short_runs() -> None:
    """A text of usual length is normalised exactly as Unicode defines."""
    zalgo = "a" + "\u0301\u0323" * 250_000
    assert fingerprint.fingerprint(zalgo) == "a"
    assert fingerprint.comparable(zalgo) == fingerprint.comparable(zalgo)
    assert normalised("NFC", "a" + "\u0301\u0323" * 15) == "\u1ea1" + "\u0323" * 14 + "\u0301" * 15
    assert normalised("NFKC", "\uff76\uff9e") == "\u30ac"
    normalised("NFKC", "\uff9e\u0323" * 250_000)


def test_a_long_formula_stays_as_it_is() -> None:
    """No real formula is as long."""
    assert tex_formulas.plain_formula("a = " * HUGE, "as written") == "as written"


def test_an_excerpt_of_a_book() -> None:
    """Only the beginning is read."""
    assert excerpt.excerpt("We light lamps. " * HUGE, 20) == "We light lamps."


def test_the_root_behind_a_prolog_that_does_not_end() -> None:
    """No root element is found."""
    assert xml_text.root("<!DOCTYPE" + "\n" * HUGE) is None
    assert xml_text.root("<!DOCTYPE [" + "]\n" * HUGE) is None
    assert xml_text.root("<!DOCTYPE rss [ <!-- ] --> ]\n>\n<!-- a --><rss>") == "rss"
