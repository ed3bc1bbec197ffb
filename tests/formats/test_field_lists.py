"""Lists of papers under names of their own: JSON of any shape, CSV and TSV."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.models import Paper, Snapshot

ABSTRACT = "We light a lamp on every night of one long winter, and count the ships."


def read(value: Any, **options: Any) -> Snapshot:
    """Parses text, or values as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return formats.parse(text.encode(), **options)


def only(value: Any, **options: Any) -> Paper:
    """Returns the only paper, about which there is no doubt."""
    snapshot = read(value, **options)
    assert snapshot.doubts == ()
    (paper,) = snapshot.papers
    return paper


def test_an_archive_of_daily_pages() -> None:
    """Every field of the shape in which archives keep the page."""
    row = {
        "title": "Lamps",
        "url": "https://huggingface.co/papers/2611.00001",
        "authors": ["Mira Okafor", "Ana Beltrán"],
        "pdf_url": "https://arxiv.org/pdf/2611.00001",
        "abstract": ABSTRACT,
        "upvotes": 7,
    }
    assert only({"date": "2026-11-20", "papers": [row]}) == Paper(
        title="Lamps",
        abstract=ABSTRACT,
        authors=("Mira Okafor", "Ana Beltrán"),
        arxiv_id="2611.00001",
        url="https://huggingface.co/papers/2611.00001",
        pdf_url="https://arxiv.org/pdf/2611.00001",
        upvotes=7,
        listed_on=date(2026, 11, 20),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            [
                {
                    "paperId": "a1",
                    "externalIds": {"ArXiv": "2611.00001", "DOI": "10.5555/lamps"},
                    "title": "Lamps",
                    "abstract": ABSTRACT,
                    "authors": [{"authorId": "1", "name": "Mira Okafor"}],
                    "publicationDate": "2026-11-18",
                }
            ],
            Paper(
                "Lamps", ABSTRACT, ("Mira Okafor",), "2611.00001", "10.5555/lamps",
                published_on=date(2026, 11, 18),
            ),
            id="scholarly-graph",
        ),
        pytest.param(
            {
                "status": "ok",
                "message": {
                    "items": [
                        {
                            "DOI": "10.5555/lamps",
                            "title": "Lamps",
                            "abstract": ABSTRACT,
                            "author": [{"given": "Mira", "family": "Okafor"}],
                        }
                    ]
                },
            },
            Paper("Lamps", ABSTRACT, ("Mira Okafor",), doi="10.5555/lamps"),
            id="registry",
        ),
        pytest.param(
            {
                "collection": [
                    {
                        "doi": "10.5555/lamps",
                        "title": "Lamps",
                        "authors": "Okafor, M.; Beltrán, A.",
                        "date": "2026-11-18",
                        "category": "neuroscience",
                        "abstract": ABSTRACT,
                    }
                ]
            },
            Paper(
                "Lamps", ABSTRACT, ("Okafor, M.", "Beltrán, A."), doi="10.5555/lamps",
                categories=("neuroscience",), published_on=date(2026, 11, 18),
            ),
            id="preprint-server",
        ),
        pytest.param(
            {
                "2611.00001": {"paper_title": "Lamps", "paper_abstract": ABSTRACT, "repo": None},
                "2611.00002": {"other": "no title"},
            },
            Paper("Lamps", ABSTRACT, arxiv_id="2611.00001"),
            id="by-id",
        ),
        pytest.param(
            [
                {
                    "Title": "Lamps",
                    "Link": "https://arxiv.org/abs/2611.00001v2",
                    "Summary": ABSTRACT,
                    "Tags": ["cs.LG", "cs.RO", "cs.LG"],
                    "GitHub": "https://github.com/harbour/lamps",
                    "Likes": "12",
                }
            ],
            Paper(
                "Lamps", ABSTRACT, arxiv_id="2611.00001",
                url="https://arxiv.org/abs/2611.00001v2",
                code_url="https://github.com/harbour/lamps",
                categories=("cs.LG", "cs.RO"), upvotes=12,
            ),
            id="capital-letters",
        ),
        pytest.param(
            "title\tauthors\tdoi\nLamps\tMira Okafor and Ana Beltrán\t10.5555/lamps\n",
            Paper("Lamps", authors=("Mira Okafor", "Ana Beltrán"), doi="10.5555/lamps"),
            id="tsv",
        ),
        pytest.param(
            'Title;Abstract\n"Lamps";"A semicolon; and a\nline end"\n',
            Paper("Lamps", "A semicolon; and a line end"),
            id="semicolons",
        ),
    ],
)  # fmt: skip
def test_other_shapes(value: Any, expected: Paper) -> None:
    """Other names, nesting and separators."""
    assert only(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        [{"name": "lamps", "full_name": "harbour/lamps", "description": "Code", "stars": 3}],
        [{"title": "Lamp", "price": 3, "sku": "L-1"}],
        [{"title": "Lamp", "price": 3, "url": "https://shop.example/lamp", "description": "Brass"}],
        [{"title": "Harbour", "year": 1999, "director": "A. Keeper"}],
        [{"title": "Ask the harbour", "by": "keeper", "score": 3, "url": "https://a.example/1"}],
        [
            {
                "title": "Fix the lamp",
                "number": 3,
                "html_url": "https://git.example/i/3",
                "body": "?",
            }
        ],
        {"events": [{"title": "Meeting", "start": "2026-11-20", "link": "https://a.example/m"}]},
        {"jobs": [{"title": "Keeper", "company": "Harbour", "url": "https://jobs.example/1"}]},
        {"title": "One page", "url": "https://a.example", "items": [1, 2, 3]},
        {"type": "FeatureCollection", "features": [{"title": "Quay", "geometry": {}}]},
        "title,price\nLamp,3\n",
        "title,url,price\nLamp,https://shop.example/lamp,3\n",
    ],
)
def test_lists_of_something_else_are_held(value: Any) -> None:
    """Unreadable, or with a doubt that holds them for review."""
    try:
        snapshot = read(value)
    except SnapshotUnreadable as error:
        assert error.hint
    else:
        assert snapshot.doubts


def test_several_lists_are_doubtful() -> None:
    """Only the longest was read."""
    rows = [{"title": f"Lamps {number}", "abstract": ABSTRACT} for number in range(3)]
    snapshot = read({"new": rows, "old": rows[:1]})
    assert len(snapshot.papers) == 3
    assert "2 lists of papers" in snapshot.doubts[0]


def test_the_day_of_the_name_is_used_without_another() -> None:
    """As for every format without a day of its own."""
    day = date(2026, 11, 20)
    row = {"title": "Lamps", "abstract": ABSTRACT}
    assert only([row], day=day).listed_on == day
    assert only({"day": "2026-11-19", "list": [row]}, day=day).listed_on == date(2026, 11, 19)


def test_a_table_that_was_cut() -> None:
    """Its last line may be incomplete."""
    assert read("title,abstract,doi\nLamps,We light,10.5555/a\nOil,We b").doubts
    with pytest.raises(SnapshotUnreadable, match="the table is broken"):
        read('title,abstract\nLamps,"We light')
