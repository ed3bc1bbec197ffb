"""Known results for real captures in these formats."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from newsletter import formats
from newsletter.app.throw_away import throw_away
from newsletter.papers.report import CaptureReport
from newsletter.text.dates import day_in
from tests.support.real_captures import real_captures


def replayed(*paths: Path) -> list[CaptureReport]:
    """Returns the reports of these captures, in order."""
    with throw_away() as app:
        return list(app.sources.replay([str(path) for path in paths]))


def test_a_feed_of_the_page_polled_for_two_weeks() -> None:
    """A weekend without changes, growth, a duplicate in one capture, and a paper that comes
    back.
    """
    reports = replayed(real_captures("hf_page_rss"))
    assert [r.counts.new for r in reports] == [55, 63, 3, 0, 40, 62, 47, 42, 0, 0, 29, 29]
    assert [r.counts.relisted for r in reports] == [0] * 11 + [1]
    assert sum(r.counts.updated for r in reports) == 0
    assert {r.format for r in reports} == {"feed"}
    assert not any(r.held for r in reports)


@pytest.mark.parametrize(
    ("folder", "name", "format_", "new"),
    [
        ("arxiv", "distill_arxiv_cs_ai", "arxiv-feed", 3),
        ("arxiv", "distill_arxiv_cs_cl", "arxiv-feed", 3),
        ("arxiv", "zotero", "arxiv-feed", 7),
        ("arxiv", "allnewsai", "arxiv-feed", 0),
        ("arxiv", "brevio", "arxiv-api", 20),
        ("arxiv", "sotawhat", "arxiv-api", 5),
        ("arxiv", "q_testing", "arxiv-api", 10),
        ("arxiv", "id_0000", "arxiv-api", 0),
        ("arxiv", "id_astro", "arxiv-api", 1),
        ("feeds", "takara", "feed", 50),
        ("feeds", "distill_bair", "feed", 3),
        ("feeds", "distill_gradient", "feed", 3),
        ("feeds", "full.json", "json-feed", 2),
        ("feeds", "unknown", "json-feed", 0),
        ("feeds", "full.rss", "feed", 2),
        ("feeds", "full.atom", "feed", 2),
        ("feeds", "relative", "feed", 1),
        ("hf_search_text", "firecrawl", "search-text", 2),
        ("hf_search_text", "notebooklm", "search-text", 4),
        ("hf_search_text", "text_browser", "search-text", 3),
        ("hf_api_legacy_shapes", "2024-12-11", "api-legacy-json", 26),
        ("hf_api_legacy_shapes", "2025-01-10", "api-legacy-json", 9),
        ("hf_api_legacy_shapes", "2024-05-28", "api-json", 15),
        ("hf_html", "trending", "daily-papers-cards", 1),
        ("hf_html", "slbqc", "daily-papers-html", 13),
    ],
)
def test_each_alone(folder: str, name: str, format_: str, new: int) -> None:
    """The right format, the right number of papers, and nothing held."""
    (path,) = (p for p in real_captures(folder).iterdir() if p.name.startswith(name))
    (report,) = replayed(path)
    assert (report.format, report.counts.new, report.held) == (format_, new, None)


@pytest.mark.parametrize(
    ("folder", "name", "said"),
    [
        ("arxiv", "id_abc", "incorrect id format"),
        ("feeds", "invalid.json", "not a valid JSON Feed"),
        ("feeds", "empty.atom", "none of the 1 items"),
        ("feeds", "kylejohnston", "not a capture of papers"),
    ],
)
def test_held_captures(folder: str, name: str, said: str) -> None:
    """With the reason."""
    (path,) = (p for p in real_captures(folder).iterdir() if p.name.startswith(name))
    (report,) = replayed(path)
    assert said in (report.held or "")


def test_the_page_of_2024_by_its_cards() -> None:
    """The same papers, order, votes and day as in its embedded list."""
    page = (real_captures("hf_html") / "slbqc_huggingface_papers.html").read_bytes()
    by_list = formats.parse(page).papers
    by_cards = formats.parse(re.sub(rb'data-props="[^"]*"', b"", page)).papers
    for name in ("arxiv_id", "title", "upvotes", "listed_on"):
        assert [getattr(p, name) for p in by_cards] == [getattr(p, name) for p in by_list]


def test_formats_do_not_conflict() -> None:
    """A second format that recognises a capture finds the same papers, or refuses it.

    The lists whose fields have any names come after all others of their kind.
    """
    for path in sorted(real_captures(".").glob("*/*")):
        document = formats.Document(path.read_bytes(), day_in(path.name))
        signs = {
            f.name for f in formats.FORMATS if path.parent.name != "pairs" and f.recognise(document)
        }
        assert (
            signs <= {"feed", "arxiv-feed"}
            or signs <= {"feed", "arxiv-api"}
            or len(signs - {"daily-papers-cards", "json-list"}) <= 1
        ), path.name


def test_the_days_of_arxiv_and_of_other_feeds() -> None:
    """An arXiv announcement has its own day; elsewhere an item's time is its publication."""
    folder = real_captures("arxiv")
    (listed,) = {
        p.listed_on for p in formats.parse((folder / "distill_arxiv_cs_ai.xml").read_bytes()).papers
    }
    assert listed == date(2026, 4, 27)
    feed = formats.parse(next(real_captures("feeds").glob("takara*")).read_bytes())
    assert {(p.listed_on, p.published_on) for p in feed.papers} == {(None, date(2026, 4, 29))}
