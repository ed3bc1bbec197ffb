"""Capture → log: what is announced, what is held, and what a crash leaves."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newsletter.errors import SnapshotUnreadable, SourceMissing, UsageError
from newsletter.models import Capture, EntryKind, NotModified, SnapshotState
from newsletter.papers.ingest import Ingest
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.sources import Captured
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


def row(number: int, title: str = "", **paper: Any) -> dict[str, Any]:
    """Returns a row of the API with an invented id."""
    title = title or f"Paper number {number} about lanterns"
    inner = {"id": f"2611.{number:05}", "title": title, "summary": f"We light {number}.", **paper}
    return {"paper": inner, "title": title}


def api(*rows: dict[str, Any], day: date | None = None, name: str = "a.json") -> Capture:
    """Returns a capture of the API."""
    for one in rows:
        if day:
            one["paper"].setdefault("submittedOnDailyAt", f"{day}T00:00:00.000Z")
    return Capture(json.dumps(rows).encode(), name, NOW)


def text(*titles: str, name: str = "a.txt") -> Capture:
    """Returns a text capture, without ids and days."""
    lines = ["Get trending papers in your email inbox once a day!", "Subscribe"]
    for title in titles:
        lines += [title, f"About {title}. ".ljust(230, "x") + "."]
    return Capture("\n".join(lines).encode(), name, NOW)


class IngestHarness:
    """Ingests captures into one database, and reads the log."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database, lambda: NOW)
        self.review = SnapshotReview(database, lambda: NOW)

    def __call__(
        self, *captured: Captured, source: str = "s", **options: Any
    ) -> list[CaptureReport]:
        options.setdefault("announce_all", True)
        return list(self.ingest.captures(source, captured, **options))

    def kinds(self) -> list[str]:
        """Returns the kinds of all entries, in log order."""
        with self.database.read() as tx:
            rows = tx.exec_driver_sql("SELECT kind FROM entries ORDER BY position").scalars()
            return list(rows)

    def announced(self) -> list[str]:
        """Returns the titles of all announced papers, in log order."""
        with self.database.read() as tx:
            return [entry.paper.title for entry in log.new_entries(tx)]


@pytest.fixture
def harness(database: Database) -> IngestHarness:
    """An empty log."""
    return IngestHarness(database)


def test_each_paper_is_announced_by_the_first_capture_that_has_it(harness: IngestHarness) -> None:
    """Of overlapping captures, each announces the papers that no earlier one had, in its order."""
    first, second = harness(api(row(1), row(2)), api(row(3), row(2), row(4)))
    assert [e.paper.arxiv_id for e in first.new] == ["2611.00001", "2611.00002"]
    assert [e.paper.arxiv_id for e in second.new] == ["2611.00003", "2611.00004"]
    assert second.counts.papers == 3


def test_the_same_bytes_are_not_parsed_again(harness: IngestHarness) -> None:
    """A capture equal to the source's newest one is the same snapshot, and announces nothing."""
    first, second = harness(api(row(1)), api(row(1)))
    assert second.unchanged
    assert second.snapshot == first.snapshot
    assert (second.counts.papers, second.counts.new) == (1, 0)


def test_unchanged_urls_of_one_source_are_not_parsed_again(harness: IngestHarness) -> None:
    """Yesterday's and today's list of one source, both unchanged: always two snapshots."""
    days = [api(row(n), name=f"https://example.org/{n}") for n in (1, 2)]
    harness(*days)
    assert [report.unchanged for report in harness(*days, *days)] == [True] * 4


def test_a_source_that_is_not_modified(harness: IngestHarness) -> None:
    """Its newest snapshot from this URL stays current; nothing is parsed."""
    harness(api(row(1), name="https://example.org/1"))
    (report,) = harness(NotModified("https://example.org/1", NOW))
    assert (report.unchanged, report.snapshot, report.counts.papers) == (True, 1, 1)
    (report,) = harness(NotModified("https://example.org/other", NOW))
    assert (report.unchanged, report.snapshot, report.held) == (True, None, None)


def test_validators_are_those_of_the_newest_answer(harness: IngestHarness) -> None:
    """They are stored by URL, in the same transaction as the bytes."""
    first = dataclasses.replace(api(row(1), name="https://example.org/1"), etag='"a"')
    later = dataclasses.replace(api(row(2), name="https://example.org/1"), etag='"b"')
    harness(first, later)
    with harness.database.read() as tx:
        assert sources.validators_of(tx, "s") == {"https://example.org/1": ('"b"', None)}


def test_a_paper_gains_its_id_later(harness: IngestHarness) -> None:
    """A paper listed without an id and later with one is one paper, and stays one."""
    harness(text("Lanterns at Sea"))
    (later,) = harness(api(row(7, "Lanterns at Sea")))
    assert later.counts.new == 0
    (again,) = harness(api(row(7, "Lanterns at Sea, Revised Edition")))
    assert (again.counts.new, again.counts.updated) == (0, 1)


def test_two_ids_with_one_title_are_two_papers(harness: IngestHarness) -> None:
    """Equal titles never merge two ids, in one capture or in two."""
    (both,) = harness(api(row(1, "Fused Chat"), row(2, "Fused Chat")))
    assert both.counts.new == 2
    (third,) = harness(api(row(3, "Fused Chat")))
    assert third.counts.new == 1
    (without,) = harness(text("Fused Chat"))
    assert without.counts.new == 0


def test_a_retitled_paper_keeps_its_old_text_in_its_old_entry(harness: IngestHarness) -> None:
    """The log has the text as it was; only the newest text changes."""
    harness(api(row(1, "Old Title")))
    (report,) = harness(api(row(1, "New Title")))
    assert (report.counts.new, report.counts.updated) == (0, 1)
    assert harness.kinds() == ["new", "updated"]
    assert harness.announced() == ["Old Title"]


def test_an_update_is_counted_once(harness: IngestHarness) -> None:
    """The changed text is the known text from then on."""
    harness(api(row(1, "Old Title")))
    harness(api(row(1, "New Title")))
    (again,) = harness(api(row(1, "New Title"), row(2)))
    assert (again.counts.new, again.counts.updated) == (1, 0)


def test_two_sources_with_different_words_do_not_update_each_other(harness: IngestHarness) -> None:
    """A source is compared with its own earlier text, so two do not fill the log with updates."""
    harness(api(row(1, "One Wording")), source="a")
    (other,) = harness(api(row(1, "Another Wording")), source="b")
    assert other.counts.updated == 1
    for number in range(2, 6):
        (a,) = harness(api(row(1, "One Wording"), row(number)), source="a")
        (b,) = harness(api(row(1, "Another Wording"), row(number)), source="b")
        assert a.counts.updated == b.counts.updated == 0


def test_an_entry_has_the_newest_votes_and_the_first_text(harness: IngestHarness) -> None:
    """A late edition shows the newest votes."""
    harness(api(row(1, upvotes=3)), api(row(1, upvotes=9), row(2)))
    with harness.database.read() as tx:
        assert [e.paper.upvotes for e in log.new_entries(tx)] == [9, None]


def test_relisting_by_day(harness: IngestHarness) -> None:
    """It is listed for a later day, after a day on which the source did not list it."""
    days = [date(2026, 6, 10) + timedelta(days=n) for n in range(3)]
    harness(api(row(1), day=days[0]))
    (next_day,) = harness(api(row(1), row(2), day=days[1]))
    assert next_day.counts.relisted == 0
    harness(api(row(3), day=days[2]))
    (later,) = harness(api(row(1), row(4), day=date(2026, 6, 16)))
    assert (later.counts.relisted, later.counts.new) == (1, 1)
    assert harness.kinds().count("relisted") == 1


def test_relisting_without_days(harness: IngestHarness) -> None:
    """Without days, it was absent from the source's previous snapshot."""
    harness(text("One", "Two"), text("Two", "Three"))
    (report,) = harness(text("One", "Two"))
    assert (report.counts.new, report.counts.relisted) == (0, 1)


def test_withdrawn_papers_are_logged_and_not_sent(harness: IngestHarness) -> None:
    """A paper withdrawn before the edition is left out; an unknown one is not announced."""
    harness(api(row(1), row(2)))
    notice = "This paper has been withdrawn by the authors due to an error."
    (report,) = harness(api(row(1, summary=notice), row(3, summary=notice)))
    assert (report.counts.withdrawn, report.counts.new) == (2, 0)
    assert harness.announced() == ["Paper number 2 about lanterns"]
    (again,) = harness(api(row(1, summary=notice), row(3, summary=notice), row(4)))
    assert again.counts.withdrawn == 0


def test_a_paper_twice_in_a_capture_counts_once(harness: IngestHarness) -> None:
    """Duplicates in a capture are one paper."""
    (report,) = harness(api(row(1), row(2), row(1)))
    assert (report.counts.papers, report.counts.new) == (3, 2)


def test_a_url_shared_by_many_rows_is_no_key(harness: IngestHarness) -> None:
    """A list whose rows all link to one page loses none of them."""
    rows = [
        {"title": f"Work {n}", "paper": {"id": "front-page", "title": f"Work {n}"}}
        for n in range(4)
    ]
    (report,) = harness(Capture(json.dumps(rows).encode(), "a.json", NOW))
    assert report.counts.new == 4


# --- the first ingest of a source


def test_a_first_capture_announces_only_its_latest_day(harness: IngestHarness) -> None:
    """The others are backfilled: known from then on, but never announced."""
    old, new = date(2026, 6, 8), date(2026, 6, 9)
    both = json.loads(api(row(1), day=old).data) + json.loads(api(row(2), day=new).data)
    (report,) = harness(Capture(json.dumps(both).encode(), "a.json", NOW), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (1, 1)
    (later,) = harness(api(row(1), row(3), day=old), announce_all=False)
    assert (later.counts.new, later.counts.learnt) == (1, 0)


def test_a_folders_first_ingest_announces_its_latest_day(harness: IngestHarness) -> None:
    """It is the latest day of all its files, whichever is read first."""
    reports = harness(
        api(row(1), day=date(2026, 6, 8), name="1"),
        api(row(2), day=date(2026, 6, 10), name="2"),
        api(row(3), day=date(2026, 6, 9), name="3"),
        announce_all=False,
        whole_folder=True,
    )
    assert [r.counts.new for r in reports] == [0, 1, 0]
    again = harness(
        api(row(1), day=date(2026, 6, 8), name="1"),
        api(row(9), day=date(2026, 6, 8), name="9"),
        announce_all=False,
        whole_folder=True,
    )
    assert [r.unchanged for r in again] == [True, False]
    assert [r.counts.new for r in again] == [0, 1]


def test_a_first_ingest_without_days_announces_its_last_capture(harness: IngestHarness) -> None:
    """If days are unknown, the last capture counts as the latest day."""
    reports = harness(text("One", "Two"), text("Two", "Three"), announce_all=False)
    assert [(r.counts.new, r.counts.learnt) for r in reports] == [(0, 2), (1, 0)]


def test_a_first_capture_that_is_held_does_not_open_the_source(harness: IngestHarness) -> None:
    """The first capture that is accepted opens it, by the same rule."""
    (held,) = harness(Capture(b"[{", "cut.json", NOW), announce_all=False)
    assert held.held
    old, new = row(1), row(2)
    old["paper"]["submittedOnDailyAt"] = "2026-06-08T00:00:00.000Z"
    new["paper"]["submittedOnDailyAt"] = "2026-06-09T00:00:00.000Z"
    (report,) = harness(api(old, new), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (1, 1)


# --- held captures


def test_an_unreadable_capture_is_held_and_the_others_are_announced(harness: IngestHarness) -> None:
    """One line has the reason and what to do; none of its papers is announced."""
    bad, good = harness(Capture(b'{"error":"Sorry"}', "bad.json", NOW), api(row(1)))
    assert bad.held is not None
    assert "error answer saved as data" in bad.held
    assert "\n" not in bad.held
    assert good.counts.new == 1
    with harness.database.read() as tx:
        assert snapshots.data_of(tx, bad.snapshot or 0) == b'{"error":"Sorry"}'


def test_held_bytes_that_come_again_are_the_same_snapshot(harness: IngestHarness) -> None:
    """A page that stays broken does not pile up."""
    first, second = harness(Capture(b"[{", "x", NOW), Capture(b"[{", "x", NOW))
    assert first.snapshot == second.snapshot
    assert second.held == first.held


def test_a_flood_is_held_after_five_snapshots_and_released_by_the_operator(
    harness: IngestHarness,
) -> None:
    """A flood is more than ten times the median of at least five earlier snapshots."""
    for number in range(1, 6):
        harness(api(row(number)))
    flood = api(*(row(number) for number in range(100, 111)))
    (held,) = harness(flood)
    assert held.held is not None
    assert "11 papers" in held.held
    assert held.counts.new == 0
    released = harness.review.release(held.snapshot or 0)
    assert released.counts.new == 11
    assert released.held is None


def test_a_flood_is_not_held_without_history(harness: IngestHarness) -> None:
    """A new source has no usual size."""
    for number in range(1, 5):
        harness(api(row(number)))
    (report,) = harness(api(*(row(number) for number in range(100, 150))))
    assert report.held is None


def test_changed_ids_are_held_and_can_be_released_silently(harness: IngestHarness) -> None:
    """Known titles with other ids of the same kind: the source changed its ids."""
    titles = [f"A study of harbour {n}" for n in range(12)]
    harness(api(*(row(n, t) for n, t in enumerate(titles))))
    (held,) = harness(api(*(row(500 + n, t) for n, t in enumerate(titles))))
    assert held.held is not None
    assert "12 of 12" in held.held
    released = harness.review.release(held.snapshot or 0, silent=True)
    assert (released.counts.new, released.counts.learnt) == (0, 12)
    (after,) = harness(api(*(row(500 + n, t) for n, t in enumerate(titles)), row(900)))
    assert after.counts.new == 1


def test_an_unreadable_snapshot_stays_held_when_released(harness: IngestHarness) -> None:
    """The error has the reason again."""
    (held,) = harness(Capture(b"[{", "x", NOW))
    with pytest.raises(SnapshotUnreadable):
        harness.review.release(held.snapshot or 0)
    with harness.database.read() as tx:
        assert snapshots.get(tx, held.snapshot or 0).state is SnapshotState.HELD


def test_releasing_an_unknown_snapshot_is_a_usage_error(harness: IngestHarness) -> None:
    """There is nothing to release."""
    with pytest.raises(UsageError, match="no snapshot 99"):
        harness.review.release(99)


def test_a_truncated_text_capture_is_held(harness: IngestHarness) -> None:
    """A last abstract without an end is a doubt; once released, its papers are announced."""
    whole = text("One Lantern", "Two Lanterns").data
    (held,) = harness(Capture(whole[:-40], "cut.txt", NOW))
    assert held.held is not None
    assert "may be cut" in held.held
    assert harness.review.release(held.snapshot or 0).counts.new == 2


# --- failures and crashes


def test_a_failing_source_is_reported_and_recorded(harness: IngestHarness) -> None:
    """The time of its first failure is kept until the whole source works again."""
    missing = SourceMissing("no such file", where="x.json")
    first, second = harness(missing, api(row(1)), watched=True)
    assert first.held == "x.json: no such file"
    assert (first.snapshot, first.format) == (None, None)
    assert second.counts.new == 1
    with harness.database.read() as tx:
        (fares,) = sources.all_status(tx)
    assert fares.failing_since == NOW
    harness(api(row(2)), watched=True)
    with harness.database.read() as tx:
        (fares,) = sources.all_status(tx)
    assert fares.failing_since is None


def test_snapshots_left_by_a_crash_are_settled_first(harness: IngestHarness) -> None:
    """Stored bytes that are not in the log yet enter it with the next ingest."""
    with harness.database.write() as tx:
        source = sources.ensure(tx, "s")
        snapshots.store(tx, source.id, api(row(1)), opening=False)
    left, given = harness(api(row(1), row(2)))
    assert [left.counts.new, given.counts.new] == [1, 1]


def test_an_interrupted_first_ingest_still_announces_its_latest_day(harness: IngestHarness) -> None:
    """When the captures come again after a crash, stored ones are not taken for known."""
    captures = [text(f"Lantern {n}", f"Lantern {n + 1}", name=str(n)) for n in range(4)]
    running = harness.ingest.captures("s", captures)
    next(running)
    del running
    harness(*captures, announce_all=False)
    assert harness.announced() == ["Lantern 4"]
    (later,) = harness(text("Lantern 8", "Lantern 9"), announce_all=False)
    assert later.counts.new == 2


def _folder_of_days(*days: int) -> list[Capture]:
    return [api(row(day), day=date(2026, 6, day), name=str(day)) for day in days]


@pytest.mark.parametrize("reports", [1, 2])
def test_an_interrupted_first_ingest_keeps_its_rule(harness: IngestHarness, reports: int) -> None:
    """What a folder's first ingest announces is stored before anything is announced."""
    days = _folder_of_days(10, 3, 4)
    running = harness.ingest.captures("s", days, whole_folder=True)
    for _ in range(reports):
        next(running)
    del running
    harness(*days, announce_all=False, whole_folder=True)
    assert harness.announced() == ["Paper number 10 about lanterns"]
    assert sorted(harness.kinds()) == ["learnt", "learnt", "new"]


def test_a_first_ingest_interrupted_while_storing_considers_all_captures(
    harness: IngestHarness,
) -> None:
    """Killed with half of a folder stored, it announces only the latest day of the whole folder."""
    days = _folder_of_days(1, 2, 3, 4, 5, 6)
    with harness.database.write() as tx:
        source = sources.ensure(tx, "s")
        for day in days[:3]:
            snapshots.store(tx, source.id, day, opening=True)
    harness(*days, announce_all=False, whole_folder=True)
    assert harness.announced() == ["Paper number 6 about lanterns"]


def test_a_future_day_is_not_the_latest(harness: IngestHarness) -> None:
    """A row dated 2099 does not make all others old, neither at first nor for new subscribers."""
    wrong, right = row(1), [row(n) for n in range(2, 6)]
    wrong["paper"]["submittedOnDailyAt"] = "2099-01-01T00:00:00.000Z"
    for one in right:
        one["paper"]["submittedOnDailyAt"] = "2026-11-20T00:00:00.000Z"
    (report,) = harness(Capture(json.dumps([wrong, *right]).encode(), "a", NOW), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (5, 0)
    with harness.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 1


def test_leftovers_of_any_source_are_settled(harness: IngestHarness) -> None:
    """They do not have to wait until their own source is captured again."""
    with harness.database.write() as tx:
        snapshots.store(tx, sources.ensure(tx, "gone").id, api(row(1)), opening=False)
    (report,) = harness.ingest.leftovers()
    assert (report.source, report.counts.new) == ("gone", 1)
    assert list(harness.ingest.leftovers()) == []


def test_a_held_capture_is_read_as_the_given_format(harness: IngestHarness) -> None:
    """Bytes of no recognised format are announced once their format is named."""
    odd = Capture(b" " * 5000 + api(row(1)).data, "odd", NOW)
    (held,) = harness(odd)
    assert held.held
    (read,) = harness(odd, format="api-json")
    assert (read.snapshot, read.counts.new, read.held) == (held.snapshot, 1, None)


def test_a_bug_in_a_format_holds_one_capture(harness: IngestHarness) -> None:
    """It stops neither other captures nor, permanently, the source."""
    page = b'<html data-props="&#' + b"9" * 5000 + b';{dailyPapers}">'
    bad, good = harness(Capture(page, "bad.html", NOW), api(row(1)))
    assert bad.held
    assert good.counts.new == 1


def test_text_that_cannot_be_encoded_is_held(harness: IngestHarness) -> None:
    """A lone surrogate in an error page reaches neither the database nor a message."""
    (held, good) = harness(Capture(b'{"error":"\\ud800 oops"}', "a", NOW), api(row(1)))
    assert held.held is not None
    assert held.held.encode()
    assert good.counts.new == 1


def test_the_operators_decision_applies_to_the_same_bytes(harness: IngestHarness) -> None:
    """Released bytes are not held when they come again later."""
    cut = Capture(text("One Lantern").data[:-40], "cut.txt", NOW)
    (held,) = harness(cut)
    harness.review.release(held.snapshot or 0)
    harness(api(row(1)))
    (again,) = harness(cut)
    assert (again.held, again.counts.new) == (None, 0)


def test_an_empty_first_capture_does_not_open_the_source(harness: IngestHarness) -> None:
    """The first capture with papers opens it."""
    harness(Capture(b"[]", "a", NOW), announce_all=False)
    reports = harness(*_folder_of_days(1, 2), announce_all=False)
    assert [(r.counts.new, r.counts.learnt) for r in reports] == [(0, 1), (1, 0)]


def test_repeated_papers_are_counted_in_a_note(harness: IngestHarness) -> None:
    """Nine rows may be seven papers; the note explains the difference."""
    (report,) = harness(api(row(1), row(2), row(1)))
    assert report.notes == ("1 of 3 rows repeated papers of the same list",)


def test_an_archive_is_held_even_without_history(harness: IngestHarness) -> None:
    """No list of a day has 20,000 papers."""
    rows = [{"paper": {"title": f"Lamp {n}"}} for n in range(20_001)]
    (held,) = harness(Capture(json.dumps(rows).encode(), "a", NOW))
    assert held.held is not None
    assert "20,001 papers" in held.held


def test_an_id_that_is_a_url_links_to_the_paper(harness: IngestHarness) -> None:
    """Ids with hosts, prefixes and versions are ids; nothing else gets into a link."""
    ids = ["https://arxiv.org/abs/2611.00001v2", "arXiv:2611.00002", "../../evil?x#y"]
    rows = [{"title": f"Lamp {n}", "paper": {"id": id_}} for n, id_ in enumerate(ids)]
    (report,) = harness(Capture(json.dumps(rows).encode(), "a", NOW))
    assert [entry.paper.url for entry in report.new] == [
        "https://huggingface.co/papers/2611.00001",
        "https://huggingface.co/papers/2611.00002",
        None,
    ]


def test_a_snapshot_in_the_log_cannot_be_released_or_rejected(harness: IngestHarness) -> None:
    """Announced papers cannot be recalled."""
    (report,) = harness(api(row(1)))
    for decide in (harness.review.release, harness.review.reject):
        with pytest.raises(UsageError, match="its papers are in the log"):
            decide(report.snapshot or 0)
    assert harness.announced() == ["Paper number 1 about lanterns"]


def test_a_row_without_a_title_does_not_change_the_title(harness: IngestHarness) -> None:
    """A placeholder made from the id is neither an update nor a key; a title replaces it."""
    harness(api(row(1, "Real Lamps")))
    nameless = {"paper": {"id": "2611.00001"}}
    other = {"paper": {"id": "2611.00002"}}
    (report,) = harness(Capture(json.dumps([nameless, other]).encode(), "a", NOW))
    assert (report.counts.new, report.counts.updated) == (1, 0)
    (later,) = harness(api(row(2, "Named Lamps"), row(3)))
    assert (later.counts.new, later.counts.updated) == (1, 0)
    assert harness.announced()[0] == "Real Lamps"


def test_a_snapshot_released_late_overwrites_nothing_newer(harness: IngestHarness) -> None:
    """Its new papers are announced; what the source has said since is kept."""
    for number in range(1, 6):
        harness(api(row(number)))
    flood = [row(number, f"Old {number}", upvotes=1) for number in range(100, 112)]
    (held,) = harness(api(*flood))
    harness(api(row(100, "Newer Title", upvotes=9)))
    released = harness.review.release(held.snapshot or 0)
    assert (released.counts.new, released.counts.updated) == (11, 0)
    (again,) = harness(api(row(100, "Newer Title", upvotes=9), row(500)))
    assert (again.counts.updated, again.counts.relisted, again.counts.new) == (0, 0, 1)


def test_one_ingest_at_a_time_for_each_source(tmp_path: Path) -> None:
    """A second process waits for the first one, and then finds its papers known."""
    url = f"sqlite:///{tmp_path}/together.db"
    with Database(url) as database:
        running = Ingest(database, lambda: NOW).captures("s", [api(row(1)), api(row(2))])
        next(running)
        code = (
            "import sys, tests.papers.test_ingest as t\n"
            "print('waits', flush=True)\n"
            "harness = t.IngestHarness(t.Database(sys.argv[1]))\n"
            "print([r.counts.new for r in harness(t.api(t.row(1)), announce_all=False)])"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code, url],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "waits\n"
        list(running)
        assert other.communicate()[0] == "[0]\n"


def test_a_crash_between_captures_loses_and_repeats_nothing(harness: IngestHarness) -> None:
    """Reports are yielded one by one; the next run ingests the rest."""
    captures = [api(row(n), row(n + 1), name=str(n)) for n in range(5)]
    running: Iterator[CaptureReport] = harness.ingest.captures("s", captures, announce_all=True)
    next(running)
    next(running)
    del running
    harness(*captures)
    assert sorted(harness.announced()) == sorted(
        {f"Paper number {n} about lanterns" for n in range(6)}
    )


def test_positions_have_no_gaps_and_number_the_papers(harness: IngestHarness) -> None:
    """Positions come from one row; a paper's id is the position at which it entered."""
    harness(api(row(1), row(2)), api(row(1, "Changed"), row(3)))
    with harness.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT position, kind, paper_id FROM entries ORDER BY 1").all()
        assert log.head(tx) == 4
    assert [tuple(r) for r in rows] == [
        (1, EntryKind.NEW, 1),
        (2, EntryKind.NEW, 2),
        (3, EntryKind.UPDATED, 1),
        (4, EntryKind.NEW, 4),
    ]


def test_a_new_subscriber_starts_before_the_latest_day(harness: IngestHarness) -> None:
    """They start at the latest day's papers, or without days at the last snapshot's."""
    with harness.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 0
    harness(text("One", "Two"), text("Two", "Three"), text("Two", "Three"))
    with harness.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 2
    harness(api(row(1), day=date(2026, 6, 8)), api(row(2), day=date(2026, 6, 9)))
    with harness.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 4


def test_files_are_private(harness: IngestHarness, tmp_path: Path) -> None:
    """The database and the files that SQLite creates beside it are readable only by their owner."""
    harness(api(row(1)))
    with harness.database.write():
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("test.db*")}
    assert modes
    assert set(modes.values()) == {0o600}
