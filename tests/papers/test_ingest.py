"""Capture → log: what is announced, what is held, what a crash leaves."""

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
    """A row of the API with an invented id."""
    title = title or f"Paper number {number} about lanterns"
    inner = {"id": f"2611.{number:05}", "title": title, "summary": f"We light {number}.", **paper}
    return {"paper": inner, "title": title}


def api(*rows: dict[str, Any], day: date | None = None, name: str = "a.json") -> Capture:
    """A capture of the API."""
    for one in rows:
        if day:
            one["paper"].setdefault("submittedOnDailyAt", f"{day}T00:00:00.000Z")
    return Capture(json.dumps(rows).encode(), name, NOW)


def text(*titles: str, name: str = "a.txt") -> Capture:
    """A text capture, without ids and days."""
    lines = ["Get trending papers in your email inbox once a day!", "Subscribe"]
    for title in titles:
        lines += [title, f"About {title}. ".ljust(230, "x") + "."]
    return Capture("\n".join(lines).encode(), name, NOW)


class Paperboy:
    """A test's hand on one database: captures in, reports out."""

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
        """The kinds of all entries, in log order."""
        with self.database.read() as tx:
            rows = tx.exec_driver_sql("SELECT kind FROM entries ORDER BY position").scalars()
            return list(rows)

    def announced(self) -> list[str]:
        """The titles of all announced papers, in log order."""
        with self.database.read() as tx:
            return [entry.paper.title for entry in log.new_entries(tx)]


@pytest.fixture
def boy(database: Database) -> Paperboy:
    """An empty log."""
    return Paperboy(database)


def test_each_paper_is_announced_by_the_first_capture_that_has_it(boy: Paperboy) -> None:
    """Of overlapping captures, each announces what no earlier one had, in its order."""
    first, second = boy(api(row(1), row(2)), api(row(3), row(2), row(4)))
    assert [e.paper.arxiv_id for e in first.new] == ["2611.00001", "2611.00002"]
    assert [e.paper.arxiv_id for e in second.new] == ["2611.00003", "2611.00004"]
    assert second.counts.papers == 3


def test_the_same_bytes_cost_no_parse_and_announce_nothing(boy: Paperboy) -> None:
    """A capture equal to the source's newest is the same snapshot."""
    first, second = boy(api(row(1)), api(row(1)))
    assert second.unchanged
    assert second.snapshot == first.snapshot
    assert (second.counts.papers, second.counts.new) == (1, 0)


def test_addresses_that_answer_in_turn_cost_no_parse(boy: Paperboy) -> None:
    """Yesterday's and today's list of one source, each as it was: two snapshots for ever."""
    days = [api(row(n), name=f"https://example.org/{n}") for n in (1, 2)]
    boy(*days)
    assert [report.unchanged for report in boy(*days, *days)] == [True] * 4


def test_a_source_that_says_nothing_changed(boy: Paperboy) -> None:
    """Its newest snapshot from there stands; nothing is parsed."""
    boy(api(row(1), name="https://example.org/1"))
    (report,) = boy(NotModified("https://example.org/1", NOW))
    assert (report.unchanged, report.snapshot, report.counts.papers) == (True, 1, 1)
    (report,) = boy(NotModified("https://example.org/other", NOW))
    assert (report.unchanged, report.snapshot, report.held) == (True, None, None)


def test_validators_are_those_of_the_newest_answer(boy: Paperboy) -> None:
    """Kept by address, in the transaction that keeps the bytes."""
    first = dataclasses.replace(api(row(1), name="https://example.org/1"), etag='"a"')
    later = dataclasses.replace(api(row(2), name="https://example.org/1"), etag='"b"')
    boy(first, later)
    with boy.database.read() as tx:
        assert sources.validators_of(tx, "s") == {"https://example.org/1": ('"b"', None)}


def test_a_title_without_id_joins_its_id_later(boy: Paperboy) -> None:
    """A paper met without an id and then with one is one paper, and stays one."""
    boy(text("Lanterns at Sea"))
    (later,) = boy(api(row(7, "Lanterns at Sea")))
    assert later.counts.new == 0
    (again,) = boy(api(row(7, "Lanterns at Sea, Revised Edition")))
    assert (again.counts.new, again.counts.updated) == (0, 1)


def test_two_ids_with_one_title_are_two_papers(boy: Paperboy) -> None:
    """Equal titles never merge two ids, in one capture or in two."""
    (both,) = boy(api(row(1, "Fused Chat"), row(2, "Fused Chat")))
    assert both.counts.new == 2
    (third,) = boy(api(row(3, "Fused Chat")))
    assert third.counts.new == 1
    (without,) = boy(text("Fused Chat"))
    assert without.counts.new == 0


def test_a_retitled_paper_is_updated_and_keeps_its_old_text_in_its_old_entry(boy: Paperboy) -> None:
    """The log holds the text as it was; only the newest text changes."""
    boy(api(row(1, "Old Title")))
    (report,) = boy(api(row(1, "New Title")))
    assert (report.counts.new, report.counts.updated) == (0, 1)
    assert boy.kinds() == ["new", "updated"]
    assert boy.announced() == ["Old Title"]


def test_an_update_is_counted_once(boy: Paperboy) -> None:
    """The changed text is the known text from then on."""
    boy(api(row(1, "Old Title")))
    boy(api(row(1, "New Title")))
    (again,) = boy(api(row(1, "New Title"), row(2)))
    assert (again.counts.new, again.counts.updated) == (1, 0)


def test_two_sources_that_word_it_differently_do_not_take_turns(boy: Paperboy) -> None:
    """A source is compared with what it said itself, so two never fill the log by turns."""
    boy(api(row(1, "One Wording")), source="a")
    (other,) = boy(api(row(1, "Another Wording")), source="b")
    assert other.counts.updated == 1
    for number in range(2, 6):
        (a,) = boy(api(row(1, "One Wording"), row(number)), source="a")
        (b,) = boy(api(row(1, "Another Wording"), row(number)), source="b")
        assert a.counts.updated == b.counts.updated == 0


def test_votes_are_the_newest_and_the_text_is_the_first(boy: Paperboy) -> None:
    """A late edition shows the newest votes."""
    boy(api(row(1, upvotes=3)), api(row(1, upvotes=9), row(2)))
    with boy.database.read() as tx:
        assert [e.paper.upvotes for e in log.new_entries(tx)] == [9, None]


def test_relisted_by_day(boy: Paperboy) -> None:
    """Listed for a later day, with a listing day between that had it not."""
    days = [date(2026, 6, 10) + timedelta(days=n) for n in range(3)]
    boy(api(row(1), day=days[0]))
    (next_day,) = boy(api(row(1), row(2), day=days[1]))
    assert next_day.counts.relisted == 0
    boy(api(row(3), day=days[2]))
    (later,) = boy(api(row(1), row(4), day=date(2026, 6, 16)))
    assert (later.counts.relisted, later.counts.new) == (1, 1)
    assert boy.kinds().count("relisted") == 1


def test_relisted_without_days(boy: Paperboy) -> None:
    """Without days: absent from the source's previous snapshot."""
    boy(text("One", "Two"), text("Two", "Three"))
    (report,) = boy(text("One", "Two"))
    assert (report.counts.new, report.counts.relisted) == (0, 1)


def test_withdrawn_papers_are_logged_and_left_out(boy: Paperboy) -> None:
    """A withdrawal before the edition leaves the paper out; one nobody knew is not announced."""
    boy(api(row(1), row(2)))
    notice = "This paper has been withdrawn by the authors due to an error."
    (report,) = boy(api(row(1, summary=notice), row(3, summary=notice)))
    assert (report.counts.withdrawn, report.counts.new) == (2, 0)
    assert boy.announced() == ["Paper number 2 about lanterns"]
    (again,) = boy(api(row(1, summary=notice), row(3, summary=notice), row(4)))
    assert again.counts.withdrawn == 0


def test_one_paper_twice_in_a_capture_counts_once(boy: Paperboy) -> None:
    """Duplicates inside a capture are one paper."""
    (report,) = boy(api(row(1), row(2), row(1)))
    assert (report.counts.papers, report.counts.new) == (3, 2)


def test_an_address_shared_by_many_rows_is_no_key(boy: Paperboy) -> None:
    """A list whose rows all link to one page loses none of them."""
    rows = [
        {"title": f"Work {n}", "paper": {"id": "front-page", "title": f"Work {n}"}}
        for n in range(4)
    ]
    (report,) = boy(Capture(json.dumps(rows).encode(), "a.json", NOW))
    assert report.counts.new == 4


# --- the first ingest of a source


def test_a_first_capture_announces_only_its_latest_day(boy: Paperboy) -> None:
    """The rest is learnt: never announced, and known from then on."""
    old, new = date(2026, 6, 8), date(2026, 6, 9)
    both = json.loads(api(row(1), day=old).data) + json.loads(api(row(2), day=new).data)
    (report,) = boy(Capture(json.dumps(both).encode(), "a.json", NOW), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (1, 1)
    (later,) = boy(api(row(1), row(3), day=old), announce_all=False)
    assert (later.counts.new, later.counts.learnt) == (1, 0)


def test_a_folders_first_ingest_announces_its_latest_day(boy: Paperboy) -> None:
    """Over all its files; whichever is read first."""
    reports = boy(
        api(row(1), day=date(2026, 6, 8), name="1"),
        api(row(2), day=date(2026, 6, 10), name="2"),
        api(row(3), day=date(2026, 6, 9), name="3"),
        announce_all=False,
        whole_folder=True,
    )
    assert [r.counts.new for r in reports] == [0, 1, 0]
    again = boy(
        api(row(1), day=date(2026, 6, 8), name="1"),
        api(row(9), day=date(2026, 6, 8), name="9"),
        announce_all=False,
        whole_folder=True,
    )
    assert [r.unchanged for r in again] == [True, False]
    assert [r.counts.new for r in again] == [0, 1]


def test_a_first_ingest_without_days_announces_its_last_capture(boy: Paperboy) -> None:
    """Where days are not known, the last capture is the latest day."""
    reports = boy(text("One", "Two"), text("Two", "Three"), announce_all=False)
    assert [(r.counts.new, r.counts.learnt) for r in reports] == [(0, 2), (1, 0)]


def test_a_first_capture_that_is_held_does_not_open_the_source(boy: Paperboy) -> None:
    """The rule is kept for the first capture that is accepted."""
    (held,) = boy(Capture(b"[{", "cut.json", NOW), announce_all=False)
    assert held.held
    old, new = row(1), row(2)
    old["paper"]["submittedOnDailyAt"] = "2026-06-08T00:00:00.000Z"
    new["paper"]["submittedOnDailyAt"] = "2026-06-09T00:00:00.000Z"
    (report,) = boy(api(old, new), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (1, 1)


# --- holds


def test_what_cannot_be_read_is_held_with_its_bytes_and_the_others_go_on(boy: Paperboy) -> None:
    """One line says what and what to do; nothing of it is announced."""
    bad, good = boy(Capture(b'{"error":"Sorry"}', "bad.json", NOW), api(row(1)))
    assert bad.held is not None
    assert "error answer saved as data" in bad.held
    assert "\n" not in bad.held
    assert good.counts.new == 1
    with boy.database.read() as tx:
        assert snapshots.data_of(tx, bad.snapshot or 0) == b'{"error":"Sorry"}'


def test_held_bytes_given_again_are_the_same_snapshot(boy: Paperboy) -> None:
    """A page that stays broken does not pile up."""
    first, second = boy(Capture(b"[{", "x", NOW), Capture(b"[{", "x", NOW))
    assert first.snapshot == second.snapshot
    assert second.held == first.held


def test_a_flood_is_held_after_five_snapshots_and_released_by_the_operator(boy: Paperboy) -> None:
    """More than ten times the median of at least five earlier snapshots."""
    for number in range(1, 6):
        boy(api(row(number)))
    flood = api(*(row(number) for number in range(100, 111)))
    (held,) = boy(flood)
    assert held.held is not None
    assert "11 papers" in held.held
    assert held.counts.new == 0
    released = boy.review.release(held.snapshot or 0)
    assert released.counts.new == 11
    assert released.held is None


def test_a_flood_is_not_held_without_history(boy: Paperboy) -> None:
    """A young source has no usual size."""
    for number in range(1, 5):
        boy(api(row(number)))
    (report,) = boy(api(*(row(number) for number in range(100, 150))))
    assert report.held is None


def test_changed_ids_are_held_and_can_be_learnt_silently(boy: Paperboy) -> None:
    """Known titles under other ids of the same kind: the source changed its ids."""
    titles = [f"A study of harbour {n}" for n in range(12)]
    boy(api(*(row(n, t) for n, t in enumerate(titles))))
    (held,) = boy(api(*(row(500 + n, t) for n, t in enumerate(titles))))
    assert held.held is not None
    assert "12 of 12" in held.held
    released = boy.review.release(held.snapshot or 0, silent=True)
    assert (released.counts.new, released.counts.learnt) == (0, 12)
    (after,) = boy(api(*(row(500 + n, t) for n, t in enumerate(titles)), row(900)))
    assert after.counts.new == 1


def test_releasing_what_cannot_be_read_keeps_it_held(boy: Paperboy) -> None:
    """The operator is told again why."""
    (held,) = boy(Capture(b"[{", "x", NOW))
    with pytest.raises(SnapshotUnreadable):
        boy.review.release(held.snapshot or 0)
    with boy.database.read() as tx:
        assert snapshots.get(tx, held.snapshot or 0).state is SnapshotState.HELD


def test_releasing_an_unknown_snapshot_is_a_usage_error(boy: Paperboy) -> None:
    """There is nothing to release."""
    with pytest.raises(UsageError, match="no snapshot 99"):
        boy.review.release(99)


def test_a_text_capture_that_was_cut_is_held(boy: Paperboy) -> None:
    """A last abstract without an end is a doubt; released, its papers are announced."""
    whole = text("One Lantern", "Two Lanterns").data
    (held,) = boy(Capture(whole[:-40], "cut.txt", NOW))
    assert held.held is not None
    assert "may be cut" in held.held
    assert boy.review.release(held.snapshot or 0).counts.new == 2


# --- failures and crashes


def test_a_source_that_fails_has_its_report_and_is_remembered(boy: Paperboy) -> None:
    """Since when it fails is kept until it gives something, and all of it, again."""
    missing = SourceMissing("no such file", where="x.json")
    first, second = boy(missing, api(row(1)), watched=True)
    assert first.held == "x.json: no such file"
    assert (first.snapshot, first.format) == (None, None)
    assert second.counts.new == 1
    with boy.database.read() as tx:
        (fares,) = sources.all_status(tx)
    assert fares.failing_since == NOW
    boy(api(row(2)), watched=True)
    with boy.database.read() as tx:
        (fares,) = sources.all_status(tx)
    assert fares.failing_since is None


def test_what_a_crash_left_stored_is_settled_first(boy: Paperboy) -> None:
    """Bytes that are safe and not yet in the log enter it with the next ingest."""
    with boy.database.write() as tx:
        source = sources.ensure(tx, "s")
        snapshots.store(tx, source.id, api(row(1)), opening=False)
    left, given = boy(api(row(1), row(2)))
    assert [left.counts.new, given.counts.new] == [1, 1]


def test_a_first_ingest_that_dies_still_announces_its_latest(boy: Paperboy) -> None:
    """Given again after a crash, the captures that were safe are not taken for known."""
    captures = [text(f"Lantern {n}", f"Lantern {n + 1}", name=str(n)) for n in range(4)]
    running = boy.ingest.captures("s", captures)
    next(running)
    del running
    boy(*captures, announce_all=False)
    assert boy.announced() == ["Lantern 4"]
    (later,) = boy(text("Lantern 8", "Lantern 9"), announce_all=False)
    assert later.counts.new == 2


def _folder_of_days(*days: int) -> list[Capture]:
    return [api(row(day), day=date(2026, 6, day), name=str(day)) for day in days]


@pytest.mark.parametrize("reports", [1, 2])
def test_a_first_ingest_that_dies_decides_by_one_rule(boy: Paperboy, reports: int) -> None:
    """What a folder's first ingest announces is written down before anything is announced."""
    days = _folder_of_days(10, 3, 4)
    running = boy.ingest.captures("s", days, whole_folder=True)
    for _ in range(reports):
        next(running)
    del running
    boy(*days, announce_all=False, whole_folder=True)
    assert boy.announced() == ["Paper number 10 about lanterns"]
    assert sorted(boy.kinds()) == ["learnt", "learnt", "new"]


def test_a_first_ingest_that_dies_while_storing_decides_over_all(boy: Paperboy) -> None:
    """Killed with half of a folder stored: only the latest day of all of it is announced."""
    days = _folder_of_days(1, 2, 3, 4, 5, 6)
    with boy.database.write() as tx:
        source = sources.ensure(tx, "s")
        for day in days[:3]:
            snapshots.store(tx, source.id, day, opening=True)
    boy(*days, announce_all=False, whole_folder=True)
    assert boy.announced() == ["Paper number 6 about lanterns"]


def test_a_day_that_has_not_come_is_not_the_latest(boy: Paperboy) -> None:
    """A row dated 2099 does not make all others old, neither at first nor for newcomers."""
    wrong, right = row(1), [row(n) for n in range(2, 6)]
    wrong["paper"]["submittedOnDailyAt"] = "2099-01-01T00:00:00.000Z"
    for one in right:
        one["paper"]["submittedOnDailyAt"] = "2026-11-20T00:00:00.000Z"
    (report,) = boy(Capture(json.dumps([wrong, *right]).encode(), "a", NOW), announce_all=False)
    assert (report.counts.new, report.counts.learnt) == (5, 0)
    with boy.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 1


def test_leftovers_of_any_source_are_settled(boy: Paperboy) -> None:
    """What a run that died has left does not wait for its own source to come again."""
    with boy.database.write() as tx:
        snapshots.store(tx, sources.ensure(tx, "gone").id, api(row(1)), opening=False)
    (report,) = boy.ingest.leftovers()
    assert (report.source, report.counts.new) == ("gone", 1)
    assert list(boy.ingest.leftovers()) == []


def test_what_is_held_is_read_again_as_the_format_asked_for(boy: Paperboy) -> None:
    """Bytes that are recognised as nothing are announced once their format is named."""
    odd = Capture(b" " * 5000 + api(row(1)).data, "odd", NOW)
    (held,) = boy(odd)
    assert held.held
    (read,) = boy(odd, format="api-json")
    assert (read.snapshot, read.counts.new, read.held) == (held.snapshot, 1, None)


def test_a_reader_that_fails_holds_one_capture(boy: Paperboy) -> None:
    """A fault of ours in one page does not stop the others, nor the source for ever."""
    page = b'<html data-props="&#' + b"9" * 5000 + b';{dailyPapers}">'
    bad, good = boy(Capture(page, "bad.html", NOW), api(row(1)))
    assert bad.held
    assert good.counts.new == 1


def test_text_that_no_encoder_takes_is_held_like_others(boy: Paperboy) -> None:
    """A lone surrogate in an error page reaches neither the database nor a message."""
    (held, good) = boy(Capture(b'{"error":"\\ud800 oops"}', "a", NOW), api(row(1)))
    assert held.held is not None
    assert held.held.encode()
    assert good.counts.new == 1


def test_the_operators_decision_counts_for_the_same_bytes(boy: Paperboy) -> None:
    """What was released is not held again when it comes again later."""
    cut = Capture(text("One Lantern").data[:-40], "cut.txt", NOW)
    (held,) = boy(cut)
    boy.review.release(held.snapshot or 0)
    boy(api(row(1)))
    (again,) = boy(cut)
    assert (again.held, again.counts.new) == (None, 0)


def test_an_empty_first_capture_opens_nothing(boy: Paperboy) -> None:
    """The first capture with papers is the first."""
    boy(Capture(b"[]", "a", NOW), announce_all=False)
    reports = boy(*_folder_of_days(1, 2), announce_all=False)
    assert [(r.counts.new, r.counts.learnt) for r in reports] == [(0, 1), (1, 0)]


def test_rows_that_were_one_paper_are_counted_in_a_note(boy: Paperboy) -> None:
    """Nine rows and seven papers: the difference is said."""
    (report,) = boy(api(row(1), row(2), row(1)))
    assert report.notes == ("1 of 3 rows repeated papers of the same list",)


def test_an_archive_is_held_without_history_too(boy: Paperboy) -> None:
    """No list of a day has 20,000 papers."""
    rows = [{"title": f"Lamp {n}"} for n in range(20_001)]
    (held,) = boy(Capture(json.dumps(rows).encode(), "a", NOW))
    assert held.held is not None
    assert "20,001 papers" in held.held


def test_an_id_that_is_an_address_leads_to_the_paper(boy: Paperboy) -> None:
    """Ids with hosts, prefixes and versions are ids; nothing else gets into a link."""
    ids = ["https://arxiv.org/abs/2611.00001v2", "arXiv:2611.00002", "../../evil?x#y"]
    rows = [{"title": f"Lamp {n}", "paper": {"id": id_}} for n, id_ in enumerate(ids)]
    (report,) = boy(Capture(json.dumps(rows).encode(), "a", NOW))
    assert [entry.paper.url for entry in report.new] == [
        "https://huggingface.co/papers/2611.00001",
        "https://huggingface.co/papers/2611.00002",
        None,
    ]


def test_a_snapshot_in_the_log_cannot_be_released_or_rejected(boy: Paperboy) -> None:
    """What is announced is announced."""
    (report,) = boy(api(row(1)))
    for decide in (boy.review.release, boy.review.reject):
        with pytest.raises(UsageError, match="its papers are in the log"):
            decide(report.snapshot or 0)
    assert boy.announced() == ["Paper number 1 about lanterns"]


def test_a_row_without_a_title_changes_no_title(boy: Paperboy) -> None:
    """A stand-in made from the id is neither an update nor a key, and gives way to a title."""
    boy(api(row(1, "Real Lamps")))
    nameless = {"paper": {"id": "2611.00001"}}
    other = {"paper": {"id": "2611.00002"}}
    (report,) = boy(Capture(json.dumps([nameless, other]).encode(), "a", NOW))
    assert (report.counts.new, report.counts.updated) == (1, 0)
    (later,) = boy(api(row(2, "Named Lamps"), row(3)))
    assert (later.counts.new, later.counts.updated) == (1, 0)
    assert boy.announced()[0] == "Real Lamps"


def test_an_old_snapshot_released_late_puts_nothing_over_what_is_newer(boy: Paperboy) -> None:
    """Its new papers are announced; what the source said since stands."""
    for number in range(1, 6):
        boy(api(row(number)))
    flood = [row(number, f"Old {number}", upvotes=1) for number in range(100, 112)]
    (held,) = boy(api(*flood))
    boy(api(row(100, "Newer Title", upvotes=9)))
    released = boy.review.release(held.snapshot or 0)
    assert (released.counts.new, released.counts.updated) == (11, 0)
    (again,) = boy(api(row(100, "Newer Title", upvotes=9), row(500)))
    assert (again.counts.updated, again.counts.relisted, again.counts.new) == (0, 0, 1)


def test_one_ingest_a_source_at_a_time(tmp_path: Path) -> None:
    """A second process waits for the first, and then finds its papers known."""
    url = f"sqlite:///{tmp_path}/together.db"
    with Database(url) as database:
        running = Ingest(database, lambda: NOW).captures("s", [api(row(1)), api(row(2))])
        next(running)
        code = (
            "import sys, tests.papers.test_ingest as t\n"
            "print('waits', flush=True)\n"
            "boy = t.Paperboy(t.Database(sys.argv[1]))\n"
            "print([r.counts.new for r in boy(t.api(t.row(1)), announce_all=False)])"
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


def test_a_crash_in_the_middle_of_captures_loses_and_repeats_nothing(boy: Paperboy) -> None:
    """Reports are taken one by one; what was not reached comes with the next run."""
    captures = [api(row(n), row(n + 1), name=str(n)) for n in range(5)]
    running: Iterator[CaptureReport] = boy.ingest.captures("s", captures, announce_all=True)
    next(running)
    next(running)
    del running
    boy(*captures)
    assert sorted(boy.announced()) == sorted({f"Paper number {n} about lanterns" for n in range(6)})


def test_positions_have_no_gap_and_papers_are_numbered_by_them(boy: Paperboy) -> None:
    """Positions come from one row; a paper's number is where it entered."""
    boy(api(row(1), row(2)), api(row(1, "Changed"), row(3)))
    with boy.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT position, kind, paper_id FROM entries ORDER BY 1").all()
        assert log.head(tx) == 4
    assert [tuple(r) for r in rows] == [
        (1, EntryKind.NEW, 1),
        (2, EntryKind.NEW, 2),
        (3, EntryKind.UPDATED, 1),
        (4, EntryKind.NEW, 4),
    ]


def test_a_newcomer_starts_before_the_latest_day(boy: Paperboy) -> None:
    """With days, the latest day's papers; without, those of the last snapshot with any."""
    with boy.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 0
    boy(text("One", "Two"), text("Two", "Three"), text("Two", "Three"))
    with boy.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 2
    boy(api(row(1), day=date(2026, 6, 8)), api(row(2), day=date(2026, 6, 9)))
    with boy.database.read() as tx:
        assert log.newcomer_cursor(tx, NOW.date()) == 4


def test_files_are_private(boy: Paperboy, tmp_path: Path) -> None:
    """The database and what SQLite puts beside it are readable by their owner only."""
    boy(api(row(1)))
    with boy.database.write():
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("test.db*")}
    assert modes
    assert set(modes.values()) == {0o600}
