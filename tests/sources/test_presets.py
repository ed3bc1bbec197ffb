"""Presets: their URLs as the sites document them, and that a format reads what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from newsletter import formats
from newsletter.config.values import duration
from newsletter.errors import UsageError
from newsletter.sources import presets
from newsletter.sources.presets import Chosen, chosen
from tests.support import format_captures as captures
from tests.support.captures import MADE, api_json


def choose(name: str, *arguments: str) -> Chosen:
    """Returns the source of a preset, which exists."""
    found = chosen(name, arguments)
    assert found
    return found


@pytest.mark.parametrize(
    ("words", "name", "url"),
    [
        (
            ["hf-daily"],
            "hf-daily",
            "https://huggingface.co/api/daily_papers?date={date}",
        ),
        (
            ["arxiv", "cs.CL", "cs.LG", "cs.CL"],
            "arxiv-cs.CL-cs.LG",
            "https://rss.arxiv.org/rss/cs.CL+cs.LG",
        ),
        (
            ["arxiv", "hep-ph", "physics.acc-ph", "cond-mat.soft"],
            "arxiv-hep-ph-physics.acc-ph-cond-mat.soft",
            "https://rss.arxiv.org/rss/hep-ph+physics.acc-ph+cond-mat.soft",
        ),
        (
            ["biorxiv", "neuroscience"],
            "biorxiv-neuroscience",
            "https://connect.biorxiv.org/biorxiv_xml.php?subject=neuroscience",
        ),
        (
            ["biorxiv", "Cell", "Biology"],
            "biorxiv-cell-biology",
            "https://connect.biorxiv.org/biorxiv_xml.php?subject=cell_biology",
        ),
        (
            ["medrxiv"],
            "medrxiv-all",
            "https://connect.medrxiv.org/medrxiv_xml.php?subject=all",
        ),
    ],
)
def test_urls(words: Sequence[str], name: str, url: str) -> None:
    """Each is one URL, with a name of its own."""
    found = choose(*words)
    assert (found.name, found.url) == (name, url)


@pytest.mark.parametrize(
    "query", ['all:"world model"', "ti:a+b & cat:cs.LG", "au:müller AND (abs:{date} OR #1)"]
)
def test_a_query_is_encoded(query: str) -> None:
    """arXiv gets the query as it was written, newest first and with a limit."""
    url = choose("arxiv-query", query).url
    asked = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert asked == {
        "search_query": [query],
        "sortBy": ["submittedDate"],
        "sortOrder": ["descending"],
        "max_results": ["100"],
    }
    assert url.isascii()
    assert "{date}" not in url


def test_a_query_of_pubmed_is_encoded() -> None:
    """Europe PMC gets it in brackets, for PubMed only, newest first and with abstracts."""
    url = choose("pubmed", 'TITLE:"lamp {date}"', "OR buoy & bell").url
    asked = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert asked == {
        "query": ['(TITLE:"lamp {date}" OR buoy & bell) AND SRC:MED'],
        "resultType": ["core"],
        "format": ["json"],
        "pageSize": ["100"],
        "sort": ["P_PDATE_D desc"],
    }
    assert "{date}" not in url


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hf-daily", "x"], "takes no arguments"),
        (["arxiv"], "needs a category"),
        (["arxiv", "cs.CL", "cs.cl"], "“cs.cl” is not a category such as cs.CL"),
        (["arxiv", "cs.CL/../x"], "is not a category"),
        (["arxiv-query", " "], "needs a query"),
        (["biorxiv", "a&b"], "“a&b” is not a subject such as neuroscience"),
        (["openreview", "ICLR.cc/2026/Conference"], "browsers and signed-in users"),
        (["pubmed", ""], "needs a query"),
    ],
)
def test_wrong_arguments(words: Sequence[str], said: str) -> None:
    """The error says what to write instead."""
    with pytest.raises(UsageError, match=said) as raised:
        choose(*words)
    assert str(raised.value).startswith(f"{words[0]}: ")
    assert raised.value.hint


def test_other_words_are_no_presets() -> None:
    """They are URLs and paths."""
    assert chosen("https://example.org/feed", ()) is None
    assert chosen("./arxiv", ()) is None


ANSWERS = {
    "hf-daily": ([], api_json(MADE), "api-json"),
    "arxiv": (["cs.LG"], captures.arxiv_rss(MADE), "arxiv-feed"),
    "arxiv-query": (["all:lamps"], captures.arxiv_api(MADE), "arxiv-api"),
    "pubmed": (["lamps"], captures.europe_pmc(MADE), "europe-pmc"),
    "biorxiv": (["neuroscience"], captures.preprint_rss(MADE), "feed"),
    "medrxiv": ([], captures.preprint_rss(MADE, "medrxiv"), "feed"),
}
"""The arguments of each preset, an answer of its site, and the format that reads it."""


@pytest.mark.parametrize("name", presets.PRESETS)
def test_the_answer_of_each_preset_is_read(name: str) -> None:
    """All papers have their title, abstract, authors and an exact key; the dates are explained."""
    arguments, answer, expected = ANSWERS[name]
    found = choose(name, *arguments)
    assert duration(found.every)
    assert found.dates.startswith("The date is the day on which ")
    reading = formats.read(answer, day=date(2026, 11, 20))
    assert (reading.format, reading.snapshot.doubts) == (expected, ())
    papers = reading.snapshot.papers
    assert [paper.title for paper in papers] == [paper.title for paper in MADE]
    for paper in papers:
        assert paper.abstract
        assert paper.arxiv_id or paper.doi
        assert paper.listed_on or paper.published_on


def test_preprints_have_a_doi_a_day_and_authors_with_initials() -> None:
    """bioRxiv writes `Last, F., Last, F.` in one element; the version is only in the link."""
    first = formats.parse(captures.preprint_rss(MADE)).papers[0]
    assert first.doi == "10.64898/2026.11.17.700000"
    assert first.published_on == date(2026, 11, 18)
    assert first.authors == ("M. A. Okafor", "J. Lindqvist", "Lamp Consortium")
