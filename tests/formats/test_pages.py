"""The papers page without its list: by its cards, and as text with links."""

from __future__ import annotations

import re
from datetime import date

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.formats.page_cards import votes_in
from newsletter.models import Paper, Snapshot
from tests.support import format_captures as captures
from tests.support.captures import MADE, daily_papers_page


def read(data: bytes | str, day: date | None = None) -> Snapshot:
    """What the bytes hold."""
    return formats.parse(data.encode() if isinstance(data, str) else data, day=day)


def titles(snapshot: Snapshot) -> list[str]:
    """The titles in order."""
    return [paper.title for paper in snapshot.papers]


def test_cards_of_2024() -> None:
    """Id, votes, submitter and the page's day."""
    snapshot = read(captures.cards_of_2024(MADE))
    assert titles(snapshot) == [paper.title for paper in MADE]
    assert snapshot.papers[0] == Paper(
        MADE[0].title,
        arxiv_id="2611.01234",
        url="https://huggingface.co/papers/2611.01234",
        submitter="yuki",
        upvotes=7,
        listed_on=date(2026, 11, 20),
    )


def test_cards_of_2026() -> None:
    """Each once, though each is shown twice; the machine's summary is no abstract."""
    snapshot = read(captures.cards_of_2026(MADE))
    assert titles(snapshot) == [paper.title for paper in MADE]
    assert snapshot.papers[0] == Paper(
        MADE[0].title,
        arxiv_id="2611.01234",
        url="https://huggingface.co/papers/2611.01234",
        code_url="https://github.com/lamps/harbour",
        organisation="Harbour Lab",
        submitter="yuki",
        published_on=date(2026, 11, 18),
        upvotes=1200,
    )
    assert snapshot.notes[0].startswith("read by its cards")
    assert snapshot.notes[-1] == "3 of 3 papers came without an abstract"


def test_classes_and_tags_do_not_matter() -> None:
    """Only addresses do."""
    page = captures.cards_of_2026(MADE).decode()
    plain = re.sub(r' class="[^"]*"', "", page).replace("<p>", "<span>").replace("article", "li")
    assert titles(read(plain)) == [paper.title for paper in MADE]


def test_a_page_whose_list_cannot_be_used_is_read_by_its_cards() -> None:
    """The same papers in the same order, without their abstracts."""
    page = daily_papers_page(MADE)
    for broken in (
        re.sub(rb'data-props="[^"]*"', b"", page),
        page.replace(b"&quot;dailyPapers&quot;: [", b"&quot;dailyPapers&quot;: [["),
        page.replace(b"&quot;dailyPapers&quot;", b"&quot;papersOfTheDay&quot;"),
    ):
        snapshot = read(broken)
        assert snapshot.format == "daily-papers-cards"
        assert [(p.arxiv_id, p.title) for p in snapshot.papers] == [
            (p.arxiv_id, p.title) for p in MADE
        ]


@pytest.mark.parametrize(
    ("old", "new", "day"),
    [
        ("", "", date(2026, 11, 20)),
        ('co/papers"', 'co/papers/date/2026-11-18"', date(2026, 11, 18)),
        ('<time datetime="2026-11-20T00:00:00.000Z">', "<time>", date(2026, 11, 20)),
        ('co/papers"', 'co/papers/week/2026-W47"', None),
        ('co/papers"', 'co/papers/month/2026-11"', None),
        ('co/papers"', 'co/papers?q=lamps"', None),
    ],
)
def test_the_day_of_a_page(old: str, new: str, day: date | None) -> None:
    """From its address, its time, or the days it links to; other views have none."""
    snapshot = read(captures.cards_of_2024(MADE).decode().replace(old, new))
    assert {paper.listed_on for paper in snapshot.papers} == {day}
    assert not day or any(f"its day, {day}" in note for note in snapshot.notes)


def test_the_year_may_come_from_the_one_day_linked_to() -> None:
    """The newest page has no next one: what it shows, after the day before it."""
    page = captures.cards_of_2024(MADE).decode()
    page = page.replace('<time datetime="2026-11-20T00:00:00.000Z">', "<time>")
    page = page.replace('<a href="/papers?date=2026-11-21"></a>', "")
    assert read(page).papers[0].listed_on == date(2026, 11, 20)


@pytest.mark.parametrize(
    "page",
    [
        '<title>Paper page - Lamps</title><a href="/papers/2611.00001">Lamps</a>',
        '<title>Log in - Hugging Face</title><a href="/login?next=%2Fpapers%2F2611.00001">x</a>',
        '<title>Daily Papers - Hugging Face</title><a href="/papers/trending">Trending</a>'
        '<a href="/papers/date/2026-11-20">Next</a><a href="/papers/2611.00001#community">3</a>',
    ],
)
def test_other_pages_are_none(page: str) -> None:
    """A paper's own page, a log-in, and a page of papers without any."""
    with pytest.raises(SnapshotUnreadable):
        read(f"<!doctype html><html><head>{page}</html>")


def test_a_page_cut_in_its_cards_waits() -> None:
    """With a doubt."""
    page = captures.cards_of_2026(MADE)
    assert "may be cut" in read(page[: page.rindex(b"<article>")]).doubts[0]


@pytest.mark.parametrize(
    "piece", ["<div>", "</div>", "<a ", '<a x="', "<p x='\"", "<!--", "</", "<svg>", "<a href=x>"]
)
def test_deep_and_broken_pages_are_read_in_one_pass(piece: str) -> None:
    """Thirty thousand of anything, without a `RecursionError`."""
    page = captures.cards_of_2026(MADE[:1]).decode()
    snapshot = read(page.replace("</article>", "</article>" + piece * 30_000, 1))
    assert titles(snapshot) == [MADE[0].title]


@pytest.mark.parametrize(
    ("text", "votes"),
    [("94", 94), ("Upvote 57", 57), ("[-] 5", 5), ("[-] -", 0), ("-", 0), ("1.2k", 1200),
     ("Upvote", None), ("", None), ("1.2.3", None)],
)  # fmt: skip
def test_votes(text: str, votes: int | None) -> None:
    """As buttons show them."""
    assert votes_in(text) == votes


# As text


@pytest.mark.parametrize(
    "build", [captures.search_markdown, captures.search_lines, captures.search_footnotes]
)
def test_text_with_links_keeps_ids_votes_and_days(build: captures.Builder) -> None:
    """In each rendering; a day without a year takes it from when it was captured."""
    papers = read(build(MADE)).papers
    assert [paper.arxiv_id for paper in papers] == [paper.arxiv_id for paper in MADE]
    assert {paper.published_on for paper in papers} == {date(2026, 11, 18)}
    assert {paper.upvotes for paper in papers} <= {12, 5, 9}
    assert {paper.listed_on for paper in papers} == {None}


def test_the_organisation_of_a_card() -> None:
    """Where it links to one."""
    papers = read(captures.search_markdown(MADE)).papers
    assert {paper.organisation for paper in papers} == {"Harbour Lab"}


def test_footnotes_that_are_cut_off_leave_papers_without_ids() -> None:
    """Said in a note; a text that says it was truncated is no doubt."""
    data = captures.search_footnotes(MADE, whole=False)
    snapshot = read(data)
    assert titles(snapshot) == [paper.title for paper in MADE]
    assert {paper.arxiv_id for paper in snapshot.papers} == {None}
    assert "3 of 3 papers came without an id" in snapshot.notes
    cut = data[: data.rindex(b"][12]")] + b"\n\n[Content truncated]\n"
    assert [p.abstract for p in read(cut).papers] == [MADE[0].abstract, MADE[1].abstract, None]
    assert read(cut).doubts == ()
    assert read(data[: data.rindex(b"][12]")]).doubts


def test_damaged_titles_stay_as_they_are() -> None:
    """What a search glued together is not taken apart."""
    paper = Paper("Lamps**with oil**burning ( Quietly)", MADE[0].abstract, arxiv_id="2611.00001")
    for build in (captures.search_markdown, captures.search_lines, captures.search_footnotes):
        assert titles(read(build([paper]))) == [paper.title]


def test_years_may_come_from_the_name() -> None:
    """And say so."""
    data = captures.search_footnotes(MADE).replace(b"Captured (UTC): 2026-11-20T16", b"At: 16")
    assert {paper.published_on for paper in read(data).papers} == {None}
    snapshot = read(data, date(2025, 12, 1))
    assert {paper.published_on for paper in snapshot.papers} == {date(2025, 11, 18)}
    assert any("2025" in note for note in snapshot.notes)
