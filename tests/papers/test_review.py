"""When a snapshot is held for review."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import Snapshot
from newsletter.papers.review import History, of_one_feed, reason_to_hold, remark
from tests.support.builders import paper

PAPERS = tuple(paper(number) for number in range(1, 301))


def snapshot(rows: int, *doubts: str) -> Snapshot:
    """Returns a snapshot of this many papers."""
    return Snapshot("api-json", PAPERS[:rows], doubts=doubts)


def reason(rows: int, *sizes: int, renamed: int = 0) -> str | None:
    """Returns why a snapshot of this size is held after snapshots of those sizes, or `None`."""
    return reason_to_hold(snapshot(rows), History(sizes, renamed))


def test_an_ordinary_snapshot_is_not_held() -> None:
    """A history makes no difference."""
    assert reason(30) is None
    assert reason(30, 30, 31, 29, 30, 30) is None


def test_the_first_doubt_is_the_reason() -> None:
    """The format's own words are shown."""
    assert reason_to_hold(snapshot(5, "one", "two"), History()) == "one"


@pytest.mark.parametrize(("rows", "held"), [(99, False), (100, False), (101, True), (300, True)])
def test_more_than_ten_times_the_usual_is_held(rows: int, *, held: bool) -> None:
    """Ten times the median is still usual; one more is not."""
    assert (reason(rows, 10, 10, 10, 10, 10) is not None) is held


def test_the_usual_size_is_the_median() -> None:
    """An earlier flood and an empty day do not change it."""
    assert reason(101, 10, 10, 1, 250, 10) is not None
    assert reason(101, 11, 11, 1, 250, 11) is None


def test_four_snapshots_are_not_enough_history() -> None:
    """The usual size is known from the fifth on."""
    assert reason(300, 1, 1, 1, 1) is None
    assert reason(300, 1, 1, 1, 1, 1) is not None


def test_empty_snapshots_do_not_count_for_the_usual_size() -> None:
    """A feed that is empty at weekends is not held on Mondays."""
    assert reason(30, 0, 0, 0, 0, 0, 0) is None
    assert reason(30, 0, 0, 0, 30, 30) is None


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 9))
def test_fewer_papers_than_usual_are_not_held(sizes: list[int], rows: int) -> None:
    """An empty snapshot is not held either."""
    assert reason(rows, *[size + 1 for size in sizes]) is None


@pytest.mark.parametrize(
    ("rows", "renamed", "held"),
    [(9, 9, False), (10, 5, False), (10, 6, True), (11, 6, True), (20, 10, False), (20, 11, True)],
)
def test_many_known_titles_with_other_ids_are_held(rows: int, renamed: int, *, held: bool) -> None:
    """More than half of at least ten rows."""
    assert (reason(rows, renamed=renamed) is not None) is held


@given(st.integers(0, 300), st.lists(st.integers(0, 400)), st.integers(0, 300))
def test_a_reason_is_one_line_or_none(rows: int, sizes: list[int], renamed: int) -> None:
    """It is shown in one row of a report."""
    why = reason(rows, *sizes, renamed=min(renamed, rows))
    assert why is None or (why and "\n" not in why)


def test_a_reason_has_its_numbers() -> None:
    """The operator sees the numbers on which to decide."""
    assert "101 papers" in (reason(101, 10, 10, 10, 10, 10) or "")
    assert "11 of 20" in (reason(20, renamed=11) or "")


def test_sizes_are_compared_within_a_feed() -> None:
    """Where captures of several feeds are in one source: by format, and by name but its numbers."""
    before = [("rss", f"lg-2026-11-{day:02}.xml", 200) for day in range(1, 7)]
    before += [("rss", "math-2026-11-01.xml", 4), ("json", "lg-2026-11-01.json", 9)]
    alike, feed = of_one_feed("rss", "math-2026-11-02.xml", before)
    assert (list(alike), list(feed)) == ([200] * 6 + [4], [4])
    assert remark(snapshot(3), History(alike, feed_sizes=feed)) is None
    assert remark(snapshot(3), History(alike)) == "3 papers, where 200 are usual"
    assert of_one_feed("html", "lg-2026-11-09.xml", before) == ([], [])
