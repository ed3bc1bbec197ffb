"""Results of the Europe PMC API."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.models import Paper, Snapshot
from newsletter.papers.identity import keys_of
from tests.support.captures import MADE
from tests.support.format_captures import europe_pmc


def answer(*results: dict[str, Any]) -> bytes:
    """Returns an answer of the API."""
    return json.dumps({"hitCount": len(results), "resultList": {"result": results}}).encode()


def read(data: bytes) -> Snapshot:
    """Reads a capture, whose format is recognised."""
    found = formats.read(data)
    assert found.format == "europe-pmc"
    return found.snapshot


def only(result: dict[str, Any]) -> Paper:
    """Returns the paper of one result."""
    (paper,) = read(answer(result)).papers
    return paper


def test_a_result_with_everything() -> None:
    """Tags are removed, and so is the full stop of the title."""
    paper = only(
        {
            "id": "41000001",
            "source": "MED",
            "pmid": "41000001",
            "doi": "10.1234/Lamp.7",
            "title": "Lamps in <i>winter</i> harbours &amp; H<sub>2</sub>O.",
            "abstractText": "<h4>Background</h4>We light lamps. <h4>Results</h4>They shine.",
            "authorList": {
                "author": [
                    {"fullName": "Okafor M", "firstName": "Mira", "lastName": "Okafor"},
                    {"fullName": "Lindqvist J"},
                    {"collectiveName": "The Group"},
                ]
            },
            "keywordList": {"keyword": ["Lamps", "Winter"]},
            "firstPublicationDate": "2026-11-18",
        }
    )
    assert paper.title == "Lamps in winter harbours & H₂O"
    assert paper.abstract == "Background We light lamps. Results They shine."
    assert paper.authors == ("Mira Okafor", "Lindqvist J", "The Group")
    assert (paper.doi, paper.url) == ("10.1234/lamp.7", "https://pubmed.ncbi.nlm.nih.gov/41000001/")
    assert paper.categories == ("Lamps", "Winter")
    assert paper.published_on == date(2026, 11, 18)


@pytest.mark.parametrize(
    ("result", "url"),
    [
        (
            {"source": "PPR", "id": "PPR1", "doi": "10.1101/2026.11.1"},
            "https://doi.org/10.1101/2026.11.1",
        ),
        ({"source": "AGR", "id": "IND1"}, "https://europepmc.org/article/AGR/IND1"),
        ({"source": "../x", "id": "IND1"}, None),
        ({"pmid": "1/../2"}, None),
    ],
)
def test_links(result: dict[str, Any], url: str | None) -> None:
    """Papers that PubMed does not have link elsewhere; nothing odd is linked to."""
    paper = only({"title": "Lamps", "authorString": "Okafor M, Lindqvist J.", **result})
    assert paper.url == url
    assert paper.authors == ("Okafor M", "Lindqvist J")


def test_a_preprint_of_arxiv_is_the_paper_that_daily_papers_listed() -> None:
    """Its DOI contains the id."""
    for made, paper in zip(MADE, read(europe_pmc(MADE)).papers, strict=True):
        assert paper.arxiv_id == made.arxiv_id
        assert set(keys_of(paper)) & set(keys_of(made))


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("[Lampen im Winter].", "[Lampen im Winter]"),
        ("Lamps of the U.S.", "Lamps of the U.S."),
        ("Which lamps?", "Which lamps?"),
        ("Lamps and so on...", "Lamps and so on..."),
    ],
)
def test_the_full_stop_of_a_title(title: str, shown: str) -> None:
    """Only the one that PubMed adds is removed."""
    assert only({"title": title}).title == shown


def test_answers_that_have_no_papers() -> None:
    """No results are an empty list; other shapes are unreadable."""
    assert read(answer()).papers == ()
    assert "1 of 2 results had no title" in read(answer({"title": "A"}, {})).notes
    for broken in (answer({}), b'{"hitCount": 1, "resultList": {"result": [1]}}'):
        with pytest.raises(SnapshotUnreadable):
            formats.read(broken)
