"""JSON Feed, rows of older archivers, BibTeX and lists of ids."""

from __future__ import annotations

import json
from datetime import date

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.models import Snapshot
from tests.support import format_captures as captures
from tests.support.captures import MADE


def read(data: bytes | str | object) -> Snapshot:
    """Parses bytes, text, or values as JSON."""
    if isinstance(data, str):
        data = data.encode()
    return formats.parse(data if isinstance(data, bytes) else json.dumps(data).encode())


def feed(*items: object, **fields: object) -> dict[str, object]:
    """Returns a JSON Feed of these items."""
    return {"version": "https://jsonfeed.org/version/1", "items": list(items), **fields}


def test_an_item_of_a_json_feed() -> None:
    """Relative addresses, one author, HTML, a day."""
    item = {
        "id": "1",
        "url": "/abs/2611.00001",
        "title": "Lamps &lt;think&gt; <think>",
        "content_html": "<p>Oil &amp; <b>wicks</b></p>",
        "author": {"name": "Mira Okafor"},
        "tags": ["harbour", "harbour", 3],
        "date_published": "2026-11-18T23:00:00-08:00",
    }
    (paper,) = read(feed(item, home_page_url="https://arxiv.org/")).papers
    assert (paper.title, paper.abstract) == ("Lamps &lt;think&gt; <think>", "Oil & wicks")
    assert (paper.arxiv_id, paper.authors) == ("2611.00001", ("Mira Okafor",))
    assert (paper.categories, paper.published_on) == (("harbour",), date(2026, 11, 18))


def test_versions_of_json_feed() -> None:
    """An unknown one is read with a note; the version may be the last key."""
    empty = read({"items": [], "title": "x", "version": "https://jsonfeed.org/version/7"})
    assert (empty.format, empty.papers) == ("json-feed", ())
    assert "version we do not know (7)" in empty.notes[0]
    assert read(feed()).notes == ()


@pytest.mark.parametrize(
    "broken",
    [
        feed(title=["x"]),
        feed(home_page_url={}),
        feed("x"),
        {"version": "https://jsonfeed.org/version/1"},
        {"version": "https://jsonfeed.org/version/1", "items": {}},
        feed({"id": "1"}),
        feed({"title": 1000, "content_text": ["x"], "url": 1.2, "authors": "x"}),
    ],
)
def test_invalid_json_feeds_are_unreadable(broken: object) -> None:
    """They are held for review."""
    with pytest.raises(SnapshotUnreadable):
        read(broken)


def test_items_with_wrong_types() -> None:
    """Values of the wrong type are dropped; the other items are read."""
    odd = {
        "title": "Oil",
        "authors": [None, {"name": 3}, {"name": "A"}],
        "url": "https://[",
        "tags": 1,
    }
    (paper,) = read(feed(odd, home_page_url="https://[bad")).papers
    assert (paper.title, paper.authors, paper.url) == ("Oil", ("A",), None)


def test_legacy_rows_are_read_as_rows() -> None:
    """With the wrapper's day; rows may be of both kinds."""
    wrapped = read(captures.legacy_wrapped(MADE))
    assert {paper.listed_on for paper in wrapped.papers} == {date(2026, 11, 20)}
    assert {paper.upvotes for paper in wrapped.papers} == {7}
    bare = read(captures.legacy_rows(MADE))
    assert {paper.listed_on for paper in bare.papers} == {None}
    row = {"paper": {"id": "2611.00001"}, "title": "Lamps"}
    both = read({"status": "success", "count": 2, "data": [row, repr(row)]})
    assert [paper.title for paper in both.papers] == ["Lamps", "Lamps"]
    assert read({"count": 0, "data": []}) == Snapshot("api-legacy-json", ())


@pytest.mark.parametrize(
    "row",
    [
        "{'a': " + "(" * 50_000,
        "{'a': " + "[" * 90 + "]" * 90 + "}",
        "{'a': " + "-" * 50_000 + "1}",
        "{'a': " + "1+" * 50_000 + "1}",
        "{'a': __import__('os').system('true')}",
        "{'a': [x for x in 'abc']}",
        "{'a': {}: 1}",
        "{'a': {[]: 1}}",
        "{'a': '" + "x" * 1_000_000 + "'}",
        "{'a': '\\d \\N{BULLET}' f''}",
    ],
)
def test_rows_that_are_not_literals_are_left_out(row: str) -> None:
    """Nothing is executed, and the time is proportional to the length."""
    sound = "{'title': 'Lamps'}"
    snapshot = read([sound, row])
    assert [paper.title for paper in snapshot.papers] == ["Lamps"]
    assert "1 of 2 rows" in snapshot.notes[0]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "Sorry, we can't find the page you are looking for."},
        {"status": "error", "count": 0, "data": [], "error": "x"},
        {"data": [{"externalIds": {"ArXiv": "2611.00001"}}]},
        {"status": 200, "data": []},
        ["{'error': 'x'}"],
        [1, 2],
    ],
)
def test_other_json_is_unreadable(answer: object) -> None:
    """An error message, and JSON of another kind."""
    with pytest.raises(SnapshotUnreadable):
        read(answer)


def test_bibtex() -> None:
    """Braces, quotes, names in either order, ids in their usual fields."""
    (paper, other, third) = read(
        """% mine
@string{h = "Harbour"}
@article{lamps,
  title = {{Lamps} for the {LAMP}: $x_{i}$ and \\emph{light}},
  author = "Okafor, Mira and Jonas Lindqvist and {The Harbour Team} and others",
  journal = {arXiv preprint arXiv:2611.00001},
  year = 2026, month = nov,
  abstract = {Oil,
     wicks = {both}.}
}
@misc(oil, title="Oil", eprint={hep-th/0301050}, archiveprefix={arXiv}, date={2026-11-18})
@inproceedings{w, title={Wicks}, doi={10.1234/W.5}, eprint={x}, eprinttype={hal},
  url={https://openreview.net/forum?id=abc}}
"""
    ).papers
    assert paper.title == "Lamps for the LAMP: $x_{i}$ and \\emph{light}"
    assert paper.authors == ("Mira Okafor", "Jonas Lindqvist", "The Harbour Team")
    assert (paper.arxiv_id, paper.abstract) == ("2611.00001", "Oil, wicks = both.")
    assert (other.arxiv_id, other.published_on) == ("hep-th/0301050", date(2026, 11, 18))
    assert (third.doi, third.openreview_id, third.arxiv_id) == ("10.1234/w.5", "abc", None)


def test_an_unterminated_entry_is_held() -> None:
    """The complete ones are kept, and the line of the other is named."""
    snapshot = read("@misc{a, title={Lamps}}\n\n@misc{b, title={Oil\n")
    assert [paper.title for paper in snapshot.papers] == ["Lamps"]
    assert snapshot.doubts == ("line 3: an entry that does not end; the capture may be cut",)


def test_a_list_of_ids() -> None:
    """Each once; a note says that their titles are unknown."""
    snapshot = read(
        "# to read\n2611.00001\nhttps://arxiv.org/pdf/2611.00002v3.pdf # soon\n\n"
        "arXiv:2611.00001v2\nhep-th/0301050\nhttps://huggingface.co/papers/2611.00003\n"
    )
    assert [paper.arxiv_id for paper in snapshot.papers] == [
        "2611.00001", "2611.00002", "hep-th/0301050", "2611.00003",
    ]  # fmt: skip
    assert snapshot.papers[0].title == "arXiv:2611.00001"
    assert "titles are not known" in snapshot.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "1234.56789\n4567.12345\n",
        "2611.0000\n",
        "2611.00001 is a paper\n",
        "# Lamps\n\nSee 2611.00001.\n",
        "https://lamps.example.org/\n",
        "#\n",
    ],
)
def test_other_lists_are_not_recognised(text: str) -> None:
    """Numbers that are no ids, truncated ids, prose."""
    with pytest.raises(SnapshotUnreadable):
        read(text)
