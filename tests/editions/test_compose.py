"""The content of an edition: order, days, excerpts, subject, preheader, bylines, links."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.editions.compose import compose, in_order
from newsletter.editions.content import Block, Content, Detail, Part, details
from newsletter.editions.paper_block import META_COLUMNS, byline, page_of, title_of
from newsletter.editions.subject import short_title
from newsletter.models import Entry, Paper
from newsletter.text.clean import clean, width
from tests.support.builders import DAY, HOSTILE, bare, day, entries, entry, paper

FULL = details(12)[0]
NAMES = ("Mira Okafor", "Jonas Lindqvist", "Ana Beltrán", "Yuki Tanaka", "Efua Brandvold")


def content(papers: Sequence[Paper], detail: Detail = FULL, **options: Any) -> Content:
    """Returns the content of an edition of these papers."""
    return compose(entries(papers), detail, **options)


def block(one: Paper, detail: Detail = FULL) -> Block:
    """Returns the paper as the only one of an edition."""
    (shown,) = content([one], detail).blocks
    return shown


def several(count: int, **fields: Any) -> list[Paper]:
    """Returns `count` papers of one day."""
    return [paper(number, **fields) for number in range(1, count + 1)]


# --- order


def test_the_newest_day_is_first_and_undated_papers_are_last() -> None:
    """Days without a year come between them."""
    rows = [
        entry(1, bare("undated")),
        entry(2, bare("label", day_label="11 March")),
        entry(3, bare("old", listed_on=day(-1))),
        entry(4, bare("new", listed_on=DAY)),
    ]
    assert [e.paper.title for e in in_order(rows)] == ["new", "old", "label", "undated"]


def test_papers_of_a_day_are_ordered_by_votes_then_source_order() -> None:
    """Equal and unknown votes keep the source's order."""
    votes = [None, 3, 0, 9, 3, None]
    rows = [entry(n, paper(n, upvotes=v)) for n, v in enumerate(votes, 1)]
    assert [e.position for e in in_order(rows)] == [4, 2, 5, 1, 3, 6]


PAPERS = st.builds(
    Paper,
    title=st.sampled_from(HOSTILE).map(clean),
    upvotes=st.none() | st.integers(0, 3),
    listed_on=st.none() | st.dates(day(-2), day(0)),
    day_label=st.none() | st.sampled_from(["11 March", "2 March"]),
    authors=st.lists(st.sampled_from(NAMES), max_size=5).map(tuple),
    abstract=st.none() | st.sampled_from(["We light lamps.", "Oil burns. We ask why it does."]),
)
ENTRIES = st.lists(PAPERS, min_size=1, max_size=12).map(entries)


@given(ENTRIES.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_input_order_does_not_matter(orders: tuple[list[Entry], list[Entry]]) -> None:
    """The same entries in any order yield the same edition."""
    one, other = orders
    assert compose(one, FULL) == compose(other, FULL)


@given(ENTRIES, st.sampled_from(details(3)))
def test_every_paper_is_shown_once_in_reading_order(rows: list[Entry], detail: Detail) -> None:
    """No paper is lost or repeated at any level of detail."""
    made = compose(rows, detail)
    assert list(made.titles) == [title_of(e.paper) for e in in_order(rows)]
    assert [b.number for b in made.blocks] == list(range(1, len(rows) + 1))
    assert made.count == len(rows) == sum(d.count for d in made.days)


# --- days


def test_a_single_day_has_no_heading() -> None:
    """Its date is in the dateline."""
    (only,) = content(several(3)).days
    assert (only.heading, only.short) == ("", "Friday")


def test_several_days_have_headings() -> None:
    """The short name of a day is its weekday."""
    days = content(
        [paper(1), paper(2, listed_on=day(-1)), bare("A"), bare("B", day_label="11 March")]
    ).days
    assert [d.heading for d in days] == [
        "Friday, 20 November",
        "Thursday, 19 November",
        "11 March",
        "Without a day",
    ]
    assert [d.short for d in days] == ["Friday", "Thursday", "11 March", ""]


def test_an_edition_of_undated_papers_has_one_group_without_a_heading() -> None:
    """No day is assumed."""
    (only,) = content([bare("A"), bare("B")]).days
    assert (only.heading, only.short, only.count) == ("", "", 2)


# --- papers with and without an excerpt


@pytest.mark.parametrize(
    ("sizes", "excerpts", "shares"),
    [
        ([40], 12, [12]),
        ([8], 12, [8]),
        ([20, 20], 12, [6, 6]),
        ([30, 10], 12, [9, 3]),
        ([38, 2], 12, [11, 2]),
        ([36, 4], 12, [11, 3]),
        ([10, 10, 10, 10, 10], 12, [3, 3, 3, 3, 3]),
        ([10], 1, [3]),
        ([2], 1, [2]),
        ([40], 0, [0]),
    ],
)
def test_excerpts_are_distributed_in_proportion(
    sizes: list[int], excerpts: int, shares: list[int]
) -> None:
    """Each day has its share, at least three; with zero excerpts, there are none."""
    rows = [
        paper(100 * n + m, listed_on=day(-n)) for n, size in enumerate(sizes) for m in range(size)
    ]
    made = content(rows, Detail(excerpts, 320, 200))
    assert [len(d.full) for d in made.days] == shares
    assert [d.count for d in made.days] == sizes


def test_the_lead_is_the_first_paper_with_an_excerpt() -> None:
    """There is only one, and none in an edition of titles only."""
    made = content([*several(5), paper(6, listed_on=day(-1))])
    assert [b.lead for b in made.blocks] == [True, False, False, False, False, False]
    assert not any(b.lead for b in content(several(5), details(12)[-1]).blocks)


def test_papers_without_an_excerpt_have_a_short_byline() -> None:
    """It has the first author and the number of others."""
    brief = content(several(20, authors=NAMES)).days[0].briefs[0]
    assert brief.brief
    assert (brief.excerpt, brief.byline) == ("", "Mira Okafor +4")


@pytest.mark.parametrize(
    ("authors", "written"),
    [
        ((), ""),
        (NAMES[:1], "Mira Okafor"),
        (NAMES[:2], "Mira Okafor +1"),
        (NAMES, "Mira Okafor +4"),
    ],
)
def test_the_short_byline(authors: tuple[str, ...], written: str) -> None:
    """Its form is `First +n`."""
    assert block(paper(authors=authors), details(12)[-1]).byline == written


@given(st.integers(1, 60))
def test_excerpts_have_a_maximum_length(number: int) -> None:
    """It is 320 characters for the lead and 200 for the others, less at the next level."""
    long = " ".join(f"We introduce lamp {n} and light it." for n in range(number))
    for detail in details(12):
        for shown in content(several(3, abstract=long), detail).blocks:
            assert len(shown.excerpt) <= (detail.lead if shown.lead else detail.excerpt)


def test_the_levels_of_detail_decrease() -> None:
    """Each level shows less than the one before; the last shows only titles."""
    first, second, last = details(12)
    assert (first.excerpts, first.lead, first.excerpt) == (12, 320, 200)
    assert second.excerpt == 140
    assert second.lead < first.lead
    assert (last.excerpts, last.lead, last.excerpt) == (0, 0, 0)


# --- subject


def test_the_subject_is_the_first_title_and_the_number_of_others() -> None:
    """It never begins with the number."""
    assert content(several(12)).subject == "Lamp 1: Answering Question 1 in the Harbour + 11 more"


def test_a_title_of_48_columns_is_not_cut_in_the_subject() -> None:
    """Longer titles are cut at a word, with ` …`."""
    whole = "Lamps and the Forty-Eight Columns of a Subject 1"
    assert width(whole) == 48
    assert content([bare(whole), bare("B")]).subject == f"{whole} + 1 more"
    longer = content([bare(f"{whole}2"), bare("B")]).subject
    assert longer == "Lamps and the Forty-Eight Columns of a Subject … + 1 more"


def test_the_subject_of_a_single_paper_is_its_title() -> None:
    """It is not cut at 48 columns."""
    title = "Lamps, Oil and Questions: a Report in Rather More than Sixty-Two Columns"
    assert 62 < width(title) <= 90
    assert content([bare(title)]).subject == title


@given(st.lists(st.text().map(clean).filter(bool), min_size=1, max_size=5), st.integers(1, 12))
def test_the_length_of_a_subject_is_limited(titles: list[str], parts: int) -> None:
    """It has at most 62 columns, or 90 for a single paper."""
    rows = [bare(title) for title in titles]
    subject = content(rows).subject
    assert subject
    assert width(subject) <= (62 if len(rows) > 1 else 90)
    assert width(content(rows, part=Part(1, parts)).subject) <= 90


def test_the_subject_of_a_part_has_its_number() -> None:
    """With `(1/2)`, the parts can be distinguished."""
    rows = several(4)
    assert content(rows, part=Part(1, 2, 0, 2)).subject.endswith(" + 3 more (1/2)")
    assert content(rows, part=Part(2, 2, 2, 4)).subject.endswith(" + 3 more (2/2)")


def test_large_numbers_in_a_subject_have_a_thousands_separator() -> None:
    """So have they everywhere."""
    assert content([bare(f"L{n}") for n in range(1_235)]).subject == "L0 + 1,234 more"


# --- preheader


def test_the_preheader_names_the_next_papers() -> None:
    """Their short titles come first, then the number of papers and the reading time."""
    papers = [bare(t) for t in ("First: Lamps", "Wick: Oil", "Harbour: Light", "Tide: Time", "E")]
    assert content(papers).preheader == "Also: Wick, Harbour and Tide. 5 new papers, 1 minute."


def test_the_preheader_of_several_days_has_their_counts() -> None:
    """An example is `3 papers on Friday, 2 on Thursday.`"""
    papers = [*several(3), *(paper(n, listed_on=day(-1)) for n in (4, 5))]
    assert (
        content(papers).preheader
        == "3 papers on Friday, 2 on Thursday. Also: Lamp 2, Lamp 3 and Lamp 4."
    )


def test_the_preheader_counts_papers_with_incomplete_dates() -> None:
    """Some have a day without a year, some have no day."""
    papers = [bare("A", day_label="11 March"), bare("B"), bare("C")]
    assert content(papers).preheader.startswith("1 paper on 11 March, 2 without a day.")


def test_the_preheader_names_at_most_three_days() -> None:
    """`and more` follows."""
    text = content([paper(n, listed_on=day(-n)) for n in range(5)]).preheader
    assert text.startswith("1 paper on Friday, 1 on Thursday, 1 on Wednesday, and more.")


def test_the_preheader_of_a_single_paper_is_a_sentence_of_its_abstract() -> None:
    """It is the first sentence of the excerpt."""
    assert content([paper(1)]).preheader == (
        "We introduce Lamp 1, a small set of 1 lamps that answer one question each."
    )


def test_a_single_paper_without_an_abstract_has_a_preheader() -> None:
    """It is a full sentence."""
    assert content([bare("Lamps")]).preheader == "One new paper, 1 minute."


@given(ENTRIES)
def test_the_length_of_a_preheader_is_limited(rows: list[Entry]) -> None:
    """It has at most 110 columns, and is one line and never empty."""
    text = compose(rows, FULL).preheader
    assert text
    assert width(text) <= 110
    assert text == " ".join(text.split())


@given(st.lists(st.text().map(clean).filter(bool), min_size=1, max_size=9))
def test_the_length_of_a_preheader_is_limited_for_all_titles(titles: list[str]) -> None:
    """The titles include wide characters and very long words."""
    assert 0 < width(content([bare(title) for title in titles]).preheader) <= 110


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("MMAE: A Massive Audio Editing Lamp", "MMAE"),
        ("Direct 3D-Aware Object Insertion for Lamps", "Direct 3D-Aware Object Insertion"),
        ("Lamp: Oil: Wick", "Lamp"),
        ("(AQI) : Beyond Lamps", "(AQI)"),
        (": A Colon First of All", ": A Colon First"),
        ("DINOv3", "DINOv3"),
        ("One Two", "One Two"),
        ("Position: Lamps", "Position"),
    ],
)
def test_a_short_title_ends_at_the_colon_or_after_four_words(title: str, short: str) -> None:
    """It is the text before the first colon, or the first four words."""
    assert short_title(title) == short


@given(st.text().map(clean).filter(bool))
def test_a_short_title_is_short_and_never_empty(title: str) -> None:
    """It has at most 40 columns."""
    short = short_title(title)
    assert short
    assert width(short) <= 40


# --- dateline and minutes


@pytest.mark.parametrize(
    ("papers", "dateline"),
    [
        ([paper(1)], "Friday, 20 November · 1 minute"),
        ([paper(1), paper(2, listed_on=day(-1))], "19–20 November · 1 minute"),
        ([bare("A", day_label="11 March")], "11 March · 1 minute"),
        ([paper(1), bare("A", day_label="11 March")], "Friday, 20 November, 11 March · 1 minute"),
        ([bare("A")], "1 minute"),
    ],
)
def test_the_dateline_has_days_and_minutes(papers: list[Paper], dateline: str) -> None:
    """Unknown days are left out."""
    assert content(papers).dateline == dateline


@given(st.integers(1, 90))
def test_the_reading_time_counts_the_words_shown(count: int) -> None:
    """It assumes 230 words per minute, rounded up to at least one minute."""
    made = content(several(count), Detail(40, 320, 200))
    words = sum(len(f"{b.title} {b.byline} {b.excerpt}".split()) for b in made.blocks)
    minutes = max(1, math.ceil(words / 230))
    assert made.dateline.endswith(f" · {minutes} minute{'s' * (minutes > 1)}")


# --- bylines


@pytest.mark.parametrize(
    ("authors", "written"),
    [
        ([], ""),
        (NAMES[:1], "Mira Okafor"),
        (NAMES[:3], "Mira Okafor, Jonas Lindqvist, Ana Beltrán"),
        (NAMES[:4], "Mira Okafor, Jonas Lindqvist … Yuki Tanaka (4)"),
        (NAMES, "Mira Okafor, Jonas Lindqvist … Efua Brandvold (5)"),
    ],
)
def test_bylines_are_short(authors: Sequence[str], written: str) -> None:
    """Three authors are named; of more, the first two, the last and their number."""
    assert byline(authors, 66) == written


def test_the_second_author_is_left_out_first() -> None:
    """The line would not fit otherwise."""
    assert byline(NAMES, 30) == "Mira Okafor … Efua Brandvold (5)"


def test_right_to_left_names_are_isolated() -> None:
    """They do not affect the direction of the text around them."""
    assert byline(["Mira Okafor", "שלום עולם"], 66) == "Mira Okafor, \u2068שלום עולם\u2069"


@given(
    st.integers(0, 30_000),
    st.sampled_from(["", "Harbour Board", "Board of the Harbours of the Whole of the North"]),
    st.lists(st.text("abcdef", min_size=1, max_size=14), min_size=4, max_size=9),
)
def test_a_meta_line_fits_66_columns_if_possible(
    votes: int, organisation: str, authors: list[str]
) -> None:
    """It has a second author exactly if it then still fits."""
    shown = block(paper(authors=tuple(authors), organisation=organisation, upvotes=votes))
    line = " · ".join(
        filter(None, (f"▲ {votes:,}" if votes else "", shown.byline, shown.organisation))
    )
    with_second = f"{authors[0]}, {authors[1]} … {authors[-1]} ({len(authors)})"
    if shown.byline == with_second:
        assert width(line) <= META_COLUMNS
    else:
        assert width(line.replace(shown.byline, with_second)) > META_COLUMNS


def test_a_meta_line_counts_the_votes_as_displayed() -> None:
    """The comma in `1,234` takes a column."""
    authors = tuple(letter * 16 for letter in "abcd")
    shown = block(paper(authors=authors, upvotes=1_234))
    assert width(f"▲ 1,234 · {shown.byline}") <= META_COLUMNS


def test_a_long_organisation_is_cut_at_a_word() -> None:
    """The limit is 40 columns."""
    shown = block(paper(organisation="Board of the Harbours of the Whole of the North"))
    assert shown.organisation == "Board of the Harbours of the Whole of …"


def test_missing_fields_are_left_out() -> None:
    """If only the title is known, only the title is shown."""
    shown = block(bare("Lamps"))
    assert shown == Block(1, "Lamps", None, 0, "", "", "", "", (), lead=True)


# --- titles


def test_tex_in_a_title_becomes_readable() -> None:
    """Accents and simple formulas become Unicode."""
    assert title_of(bare('T\\"ulu Lamps of $\\phi$')) == "Tülu Lamps of φ"


def test_a_title_is_cut_only_if_it_is_extremely_long() -> None:
    """The limit is 500 columns."""
    assert title_of(bare("x " * 249 + "xx")) == "x " * 249 + "xx"
    assert width(title_of(bare("lamp " * 200))) <= 500


@pytest.mark.parametrize("title", HOSTILE)
def test_no_title_is_ever_empty(title: str) -> None:
    """This holds even if it is broken TeX."""
    assert title_of(bare(clean(title)))


# --- links


@pytest.mark.parametrize(
    ("fields", "page"),
    [
        ({"url": "https://example.org/a"}, "https://example.org/a"),
        ({"url": "https://example.org/a", "arxiv_id": "2611.00001"}, "https://example.org/a"),
        (
            {"url": "http://example.org/a", "arxiv_id": "2611.00001"},
            "https://arxiv.org/abs/2611.00001",
        ),
        ({"url": "http://arxiv.org/abs/2611.00001"}, "https://arxiv.org/abs/2611.00001"),
        ({"url": "javascript:alert(1)", "doi": "10.1000/a"}, "https://doi.org/10.1000/a"),
        ({"url": "javascript:alert(1)"}, None),
        ({}, None),
    ],
)
def test_a_title_links_to_the_best_safe_page(fields: dict[str, Any], page: str | None) -> None:
    """This is its page at the source, else arXiv, else its DOI, else none."""
    assert page_of(bare("Lamps", **fields)) == page


def links_of(**fields: Any) -> list[tuple[str, str | None]]:
    """Returns the links of a paper."""
    return [(link.label, link.url) for link in block(bare("Lamps", **fields)).links]


def test_links_have_a_fixed_order() -> None:
    """The order is arXiv, PDF, Code, Project."""
    assert links_of(
        url="https://huggingface.co/papers/2611.00001",
        arxiv_id="2611.00001",
        code_url="https://github.com/lamps/a",
        project_url="https://lamps.example.org",
    ) == [
        ("arXiv", "https://arxiv.org/abs/2611.00001"),
        ("PDF", "https://arxiv.org/pdf/2611.00001"),
        ("Code", "https://github.com/lamps/a"),
        ("Project", "https://lamps.example.org"),
    ]


def test_the_page_of_the_title_is_not_linked_twice() -> None:
    """A paper whose page is arXiv's has no second link to it."""
    assert "arXiv" not in dict(links_of(arxiv_id="2611.00001"))
    assert links_of(url="https://example.org/a", project_url="https://example.org/a") == []


def test_code_is_found_in_the_abstract() -> None:
    """It is used if the source does not give a URL."""
    found = links_of(abstract="Code: github.com/lamps/harbour.")
    assert found == [("Code", "https://github.com/lamps/harbour")]


@pytest.mark.parametrize("field", ["url", "pdf_url", "code_url", "project_url"])
@pytest.mark.parametrize("bad", ["javascript:alert(1)", "data:text/html,x", "https://a@b.example/"])
def test_an_unsafe_url_is_never_a_link(field: str, bad: str) -> None:
    """This holds for every field."""
    shown = block(bare("Lamps", **{field: bad}))
    assert shown.url is None
    assert [link for link in shown.links if link.url] == []


@pytest.mark.parametrize("field", ["project_url", "code_url"])
def test_an_http_url_is_shown_as_text(field: str) -> None:
    """It is not lost, but not a link: promise 6."""
    address = "http://lamps.example.org/a"
    shown = block(bare("Lamps", arxiv_id="2611.00001", **{field: address}))
    assert [link for link in shown.links if link.url == address] == []
    assert any(address in link.label for link in shown.links)


def test_an_http_page_of_a_paper_without_an_id_is_shown_as_text() -> None:
    """It is the only URL of the paper."""
    assert links_of(url="http://lamps.example.org/a") == [("http://lamps.example.org/a", None)]


# --- parts


@given(st.integers(2, 60), st.integers(2, 6))
def test_parts_contain_every_paper_once(count: int, of: int) -> None:
    """Together they are the edition, with continuous numbers."""
    rows = entries([paper(n, listed_on=day(-(n % 3))) for n in range(count)])
    bounds = [round(count * at / of) for at in range(of + 1)]
    parts = [
        compose(rows, details(0)[-1], part=Part(at + 1, of, bounds[at], bounds[at + 1]))
        for at in range(of)
    ]
    blocks = [b for part in parts for b in part.blocks]
    assert [b.number for b in blocks] == list(range(1, count + 1))
    assert [b.title for b in blocks] == [title_of(e.paper) for e in in_order(rows)]
    assert all(part.count == count and part.more == 0 for part in parts)


def test_papers_that_are_only_on_the_web_page_are_counted() -> None:
    """The count is that of the papers not shown."""
    made = content(several(10), details(0)[-1], part=Part(last=7), more_on_web=True)
    assert (made.more, len(made.titles), made.count) == (3, 7, 10)


def test_a_part_of_one_day_of_several_keeps_its_heading() -> None:
    """Whether there is a heading depends on the edition, not on the part."""
    rows = [*several(3), *(paper(n, listed_on=day(-1)) for n in (4, 5))]
    (only,) = content(rows, part=Part(1, 2, 0, 2)).days
    assert only.heading == "Friday, 20 November"


def test_sources_and_credits_are_passed_on() -> None:
    """Each source is listed once."""
    made = content(several(3), credits=[("Harbour", None)])
    assert made.sources == ("harbour",)
    assert made.credits == (("Harbour", None),)


def test_votes_are_shown_if_there_are_any() -> None:
    """Zero and unknown votes are not shown."""
    assert content(several(2, upvotes=3)).votes
    assert not content([paper(1, upvotes=0), paper(2)]).votes


@given(ENTRIES)
def test_composing_is_deterministic(rows: list[Entry]) -> None:
    """It uses no clock and no randomness."""
    assert compose(rows, FULL) == compose(rows, FULL)


def test_papers_of_different_years_are_ordered_by_date() -> None:
    """The year is part of the date."""
    rows = [entry(1, listed_on=date(2025, 12, 31)), entry(2, listed_on=date(2026, 1, 1))]
    assert [e.position for e in in_order(rows)] == [2, 1]


def test_content_can_be_compared_and_copied() -> None:
    """It is a frozen dataclass."""
    made = content(several(2))
    assert dataclasses.replace(made) == made
