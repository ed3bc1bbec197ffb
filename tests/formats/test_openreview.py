"""Notes of the OpenReview API."""

from __future__ import annotations

import json
from datetime import date

import pytest

from newsletter import formats
from newsletter.errors import SnapshotUnreadable
from newsletter.models import Snapshot
from tests.support.captures import MADE
from tests.support.format_captures import openreview


def read(data: bytes) -> Snapshot:
    """Reads a capture, whose format is recognised."""
    found = formats.read(data)
    assert found.format == "openreview"
    return found.snapshot


def test_submissions_are_read_and_reviews_are_not() -> None:
    """With the forum's id, its pages, keywords and day."""
    snapshot = read(openreview(MADE))
    assert [paper.title for paper in snapshot.papers] == [paper.title for paper in MADE]
    assert snapshot.notes == (f"1 of {len(MADE) + 1} notes are no submissions",)
    first = snapshot.papers[0]
    assert first.authors == ("Mira Okafor", "Jonas Lindqvist")
    assert first.openreview_id == "Lamp000000"
    assert first.url == "https://openreview.net/forum?id=Lamp000000"
    assert first.pdf_url == "https://openreview.net/pdf?id=Lamp000000"
    assert first.categories == ("lamps", "harbours")
    assert first.published_on == date(2025, 11, 19)


def test_notes_of_the_first_version() -> None:
    """Their fields are plain values; a forum that is no id is not linked to."""
    content = {"title": "Lamps", "abstract": "We light lamps.", "authors": ["Mira Okafor"]}
    notes = [
        {"forum": "abc", "invitation": "x", "content": content},
        {"forum": "a/../b", "invitation": "x", "content": content},
    ]
    (paper,) = read(json.dumps({"notes": notes}).encode()).papers
    assert (paper.openreview_id, paper.pdf_url, paper.published_on) == ("abc", None, None)


@pytest.mark.parametrize(
    "notes",
    ["none", [1], [{"forum": "a", "invitation": "x", "content": {"rating": {"value": 8}}}]],
)
def test_other_notes_are_unreadable(notes: object) -> None:
    """A list of reviews has no papers."""
    with pytest.raises(SnapshotUnreadable):
        formats.read(json.dumps({"notes": notes}).encode(), format="openreview")
