"""A source polled daily for a long time: every paper is announced once, whatever the page does.

The captures have the shape of a feed made from a daily page: a list of weekdays that
freezes over the weekend, grows between two polls, and is nearly empty now and then.
"""

from __future__ import annotations

from collections import Counter

from newsletter.papers.ingest import Ingest
from newsletter.storage import log
from newsletter.storage.database import Database
from tests.support.polls import START, feed, polls


def test_each_paper_of_a_long_run_is_announced_once(database: Database) -> None:
    """Nothing is held, weekend repeats announce nothing, and no id is lost or repeated."""
    expected: set[str] = set()
    previous: set[int] = set()
    for ids, at in polls():
        (report,) = Ingest(database, lambda: START).captures("page", [feed(ids, at)])
        assert report.held is None
        assert report.counts.new == len(set(ids) - previous), at
        expected |= {f"2511.{n:05}" for n in ids}
        previous = set(ids) | previous
    with database.read() as tx:
        announced = Counter(entry.paper.arxiv_id for entry in log.new_entries(tx))
    assert announced == Counter(expected)
