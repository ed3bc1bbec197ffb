"""Feeds: safety, encodings, and the rules of each kind."""

from __future__ import annotations

import contextlib
import socket
import time
from datetime import date

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.formats import opml
from newsletter.models import Paper, Snapshot
from tests.support import format_captures as captures
from tests.support.captures import MADE


def only(data: bytes | str) -> Paper:
    """Returns the only paper of a feed."""
    (paper,) = read(data).papers
    return paper


def read(data: bytes | str) -> Snapshot:
    """Parses the bytes."""
    return formats.parse(data.encode() if isinstance(data, str) else data)


def rss(item: str, channel: str = "") -> str:
    """Returns a channel with one item."""
    return (
        f'<rss version="2.0"><channel><title>x</title>{channel}<item>{item}</item></channel></rss>'
    )


PUBMED = """<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
<title>lamps: Latest results from PubMed</title><link>https://pubmed.ncbi.nlm.nih.gov/rss-feed/?feed_id=lamps</link><item>
<title>Lamps in harbours</title>
<link>https://pubmed.ncbi.nlm.nih.gov/40000001/?utm_medium=rss&amp;ff=20261118020000&amp;v=2.18</link>
<description>CONCLUSION: A moon saves oil.</description>
<content:encoded><![CDATA[<p>J Lamps. 2026 Nov 17. doi: 10.1234/lamps.1.</p>]]></content:encoded>
<guid isPermaLink="false">pubmed:40000001</guid><pubDate>Tue, 17 Nov 2026 06:00:00 -0500</pubDate>
<dc:creator>Mira Okafor</dc:creator><dc:creator>Jonas Lindqvist</dc:creator>
<dc:identifier>pmid:40000001</dc:identifier><dc:identifier>doi:10.1234/lamps.1</dc:identifier>
</item></channel></rss>"""


def test_a_feed_of_a_pubmed_search_is_read() -> None:
    """Its papers have a DOI, their authors, the abstract and the day of their entry."""
    paper = only(PUBMED)
    assert paper.doi == "10.1234/lamps.1"
    assert paper.authors == ("Mira Okafor", "Jonas Lindqvist")
    assert paper.abstract == "CONCLUSION: A moon saves oil."
    assert paper.published_on == date(2026, 11, 17)


# arXiv


def test_an_arxiv_list_has_ids_authors_categories_and_its_own_day() -> None:
    """The day is New York's, and all authors are in one string."""
    for build in (captures.arxiv_rss, captures.arxiv_atom):
        paper = read(build(MADE)).papers[0]
        assert paper.arxiv_id == "2611.01234"
        assert paper.url == "https://arxiv.org/abs/2611.01234"
        assert paper.authors[:2] == ("Mira Okafor", "Jonas Lindqvist")
        assert paper.categories[:1] == ("cs.LG",)
        assert paper.listed_on == date(2026, 11, 20)
        assert not paper.revision


@pytest.mark.parametrize(
    ("kind", "revision"),
    [("new", False), ("cross", False), ("replace", True), ("replace-cross", True)],
)
def test_replacements_are_revisions(kind: str, revision: bool) -> None:
    """By the element, or by the description alone, folded or not."""
    data = captures.arxiv_rss(MADE[:1]).decode()
    typed = data.replace("Type: new", f"Type: {kind}")
    for text in (
        typed.replace("type>new<", f"type>{kind}<"),
        typed.replace("<arxiv:announce_type>new</arxiv:announce_type>", ""),
        typed.replace("<arxiv:announce_type>new</arxiv:announce_type>", "").replace(
            " \nAbstract", " Abstract"
        ),
    ):
        paper = only(text)
        assert paper.revision is revision
        assert paper.abstract == MADE[0].abstract


def test_titles_before_2024_lose_their_id() -> None:
    """`(arXiv:… [cs.LG] UPDATED)` is removed from the title and evaluated."""
    data = captures.arxiv_before_2024(MADE[:1]).decode()
    assert only(data).authors == ("Mira Okafor", "Jonas Lindqvist")
    assert only(data).listed_on == date(2026, 11, 20)
    paper = only(data.replace(" (arXiv", ". (arXiv").replace("v1 [cs.LG])", "v4 [cs.LG] UPDATED)"))
    assert (paper.title, paper.arxiv_id) == (MADE[0].title, "2611.01234")
    assert paper.revision


def test_a_weekend_without_items_is_valid() -> None:
    """Zero items are an empty list."""
    assert read(captures.arxiv_rss([])) == Snapshot("arxiv-feed", ())


def test_a_response_of_the_api() -> None:
    """Ids without version, DOI, PDF, the day of the first version and no listing day."""
    paper = read(captures.arxiv_api(MADE)).papers[0]
    assert paper.arxiv_id == "2611.01234"
    assert paper.doi == "10.1234/lamps.2611.01234"
    assert paper.pdf_url == "https://arxiv.org/pdf/2611.01234v2"
    assert paper.published_on == date(2026, 11, 17)
    assert paper.authors == ("Mira Okafor", "Jonas Lindqvist")
    assert paper.listed_on is None
    assert paper.code_url is None
    assert not paper.revision


def test_old_ids_and_empty_responses_of_the_api() -> None:
    """`cs/0503050v1` is an id, and a response without entries is no error."""
    data = captures.arxiv_api([Paper("Lamps", "Oil.", arxiv_id="cs/0503050")])
    assert only(data).arxiv_id == "cs/0503050"
    assert read(captures.arxiv_api([])) == Snapshot("arxiv-api", ())


def test_an_error_of_the_api_is_no_paper() -> None:
    """It is an entry whose id is an error URL; its message is shown."""
    data = captures.arxiv_api(MADE[:1]).replace(
        b"http://arxiv.org/abs/2611.01234v2", b"https://arxiv.org/api/errors#incorrect_id"
    )
    with pytest.raises(SnapshotUnreadable, match=r"answered with an error .*wastes oil"):
        read(data)


# Any feed


def test_a_feed_of_the_page_has_labels() -> None:
    """Authors, votes and abstract by label; the item's time is its publication."""
    paper = read(captures.page_rss(MADE)).papers[1]
    assert paper.authors == ("Mira Okafor", "Jonas Lindqvist")
    assert (paper.upvotes, paper.abstract) == (7, MADE[1].abstract)
    assert (paper.published_on, paper.listed_on) == (date(2026, 11, 18), None)


def test_one_time_for_all_items_is_the_day_of_the_list() -> None:
    """With a note; for a single item this cannot be known."""
    data = captures.rss(MADE).replace(b"17:01:00", b"17:00:00").replace(b"17:02:00", b"17:00:00")
    snapshot = read(data)
    assert {p.listed_on for p in snapshot.papers} == {date(2026, 11, 18)}
    assert {p.published_on for p in snapshot.papers} == {None}
    assert any("2026-11-18" in note for note in snapshot.notes)
    assert only(captures.rss(MADE[:1])).listed_on is None


def test_links_are_made_absolute_by_the_feed() -> None:
    """By its own link or address; a link that stays relative is dropped."""
    assert read(captures.atom(MADE)).papers[1].url == "https://lamps.example.org/1.html"
    assert only(rss("<title>x</title><link>/a</link>")).url is None
    assert only(rss("<title>x</title><link>a</link>", "<link>https://h.org/</link>")).url == (
        "https://h.org/a"
    )


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("https://tldr.takara.ai/p/2611.00042", "2611.00042"),
        ("http://rss.arxiv.org/abs/2611.00042", "2611.00042"),
        ("https://lamps.example.org/2611.00042", None),
    ],
)
def test_ids_are_found_in_links(link: str, found: str | None) -> None:
    """Of sites whose addresses contain ids."""
    assert only(rss(f"<title>x</title><link>{link}</link>")).arxiv_id == found


def test_an_item_without_a_title() -> None:
    """Its text begins the title; an item with neither is left out and counted."""
    snapshot = read(rss("<description>Lamps in short</description></item><item>"))
    assert [(p.title, p.abstract) for p in snapshot.papers] == [("Lamps in short", None)]
    assert "1 of 2 items had neither title nor text" in snapshot.notes
    with pytest.raises(SnapshotUnreadable, match="none of the 1 items"):
        read(rss(""))


def test_broken_xml_is_read_leniently() -> None:
    """A bare `&` or a character that XML forbids gives a note."""
    bare = read(rss("<title>Lamps & Oil <1 GB</title>"))
    assert [p.title for p in bare.papers] == ["Lamps & Oil <1 GB"]
    assert any("broken" in note for note in bare.notes)
    belled = read(rss("<title>Lamps \x07 Oil \ufffe</title>"))
    assert [p.title for p in belled.papers] == ["Lamps Oil \ufffd"]
    assert belled.notes[0] == "characters that XML forbids were replaced"


def test_a_truncated_feed_is_held() -> None:
    """Its complete items are kept, with a doubt; without any it is unreadable."""
    data = captures.rss(MADE)
    snapshot = read(data[: data.rindex(b"<description>")])
    assert [p.title for p in snapshot.papers] == [p.title for p in MADE[:2]]
    assert "may be cut" in snapshot.doubts[0]
    with pytest.raises(SnapshotUnreadable, match="was cut"):
        read(data[: data.index(b"<description>")])


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16", "koi8-r"])
def test_the_declared_encoding_counts(encoding: str) -> None:
    """The one in the XML declaration."""
    title = "Лампы" if encoding == "koi8-r" else "Röbots"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + rss(f"<title>{title}</title>")
    assert only(text.encode(encoding)).title == title


@pytest.mark.parametrize("encoding", ["punycode", "hex", "utf-7", "unicode_escape", "nonsense"])
def test_other_encodings_are_refused(encoding: str) -> None:
    """Codecs that are no charset are never applied."""
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + rss("<title>x</title>")
    with pytest.raises(SnapshotUnreadable, match="encoding"):
        read(text)


# Hostile feeds

ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lamp"}">' for n in range(12))


@pytest.mark.parametrize(
    "subset",
    [
        ENTITIES,
        '<!ENTITY e9 SYSTEM "file:///etc/hostname">',
        '<!entity % e9 SYSTEM "http://[::1]/">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(subset: str, encoding: str) -> None:
    """Before any parser sees them, in any encoding."""
    text = f"<!DOCTYPE rss [{subset}]>" + rss("<title>&e9;</title>")
    with pytest.raises(SnapshotUnreadable, match="attack"):
        read(text.encode(encoding))
    with pytest.raises(SnapshotUnreadable):
        opml.sources(text.replace("rss", "opml").encode(encoding))


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither DTDs nor names that look like URLs or files."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "socket", refuse)
    doctype = '<!DOCTYPE rss SYSTEM "http://lamps.example.org/rss.dtd">'
    assert only(doctype + rss("<title>x</title>")).title == "x"
    for data in (b"http://lamps.example.org/feed", b"/etc/hostname"):
        with pytest.raises(SnapshotUnreadable):
            formats.parse(data, format="feed")


N = 20_000
COSTLY = {
    "depth": "<a>" * N + "</a>" * N,
    "depth, cut": "<a>" * N,
    "brackets": "<" * N,
    "namespaces": "".join(f'<a{n}:b xmlns:a{n}="u{n}"/>' for n in range(N)),
    "attributes": "<b " + " ".join(f'a{n}="x"' for n in range(N)) + "/>",
    "categories": "".join(f"<category>c{n}</category>" for n in range(N)),
    "comments": "<!--" * N,
    "sections": "<![CDATA[" * N,
}


@pytest.mark.parametrize("item", COSTLY.values(), ids=COSTLY)
def test_costly_feeds_end_soon(item: str) -> None:
    """Parsed or refused, in time proportional to their length."""
    began = time.perf_counter()
    with contextlib.suppress(SnapshotUnreadable):
        read(rss(f"<title>x</title>{item}"))
    assert time.perf_counter() - began < 10


# Lists of feeds


def test_opml_gives_names_and_addresses() -> None:
    """In order, each address once, nested or not; OPML is no format of papers."""
    data = (
        b'<?xml version="1.0"?><opml version="2.0"><body><outline text="Folder">'
        b'<outline text="Lamps" xmlUrl="https://l.example/feed?a=1&amp;b=2"/></outline>'
        b'<outline xmlUrl="https://o.example/"/><outline text="Again" xmlUrl="https://o.example/"/>'
        b"</body></opml>"
    )
    assert opml.sources(data) == [
        ("Lamps", "https://l.example/feed?a=1&b=2"),
        ("https://o.example/", "https://o.example/"),
    ]
    with pytest.raises(SnapshotUnreadable, match="not a capture of papers"):
        read(data)
    for broken in (data[:-9], b"<rss/>", b""):
        with pytest.raises(SnapshotUnreadable):
            opml.sources(broken)
