"""The archive finds all announced papers and nothing else, whatever a visitor types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection

from newsletter.messages import tokens
from newsletter.models import Capture, Entry, Rendered
from newsletter.papers.ingest import Ingest
from newsletter.storage import archive, backups, editions, log
from newsletter.storage.archive import DayCount, PublicEdition
from newsletter.storage.database import Database
from tests.support.builders import DAY, HOSTILE, day

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
WITHDRAWN = "This paper has been withdrawn by the authors due to an error."
VOCABULARY = ("lamp", "lamps", "lantern", "oil", "Öl", "the", "NEAR", "OR")


def publish(
    database: Database,
    *titles: str,
    on: date | None = DAY,
    first: int = 1,
    source: str = "s",
    **said: Any,
) -> None:
    """Ingests a day's page that lists papers with these titles, numbered from `first`."""
    rows = []
    for number, title in enumerate(titles, first):
        inner = {"id": f"2611.{number:05}", "title": title, "summary": f"About {number}.", **said}
        if on:
            inner["submittedOnDailyAt"] = f"{on}T00:00:00.000Z"
        rows.append({"paper": inner, "title": title})
    capture = Capture(json.dumps(rows).encode(), "a.json", NOW)
    (report,) = Ingest(database, lambda: NOW).captures(source, [capture], announce_all=True)
    assert report.held is None


def backfill(database: Database, *titles: str) -> None:
    """Ingests these papers as the older days of a first capture, so that they are not announced."""
    rows = [
        {
            "paper": {
                "id": f"2611.{number:05}",
                "title": title,
                "submittedOnDailyAt": f"{on}T00:00:00.000Z",
            },
            "title": title,
        }
        for number, (on, title) in enumerate([(DAY, "Today"), *((day(-1), t) for t in titles)], 1)
    ]
    capture = Capture(json.dumps(rows).encode(), "b.json", NOW)
    list(Ingest(database, lambda: NOW).captures("other", [capture]))


def found(database: Database, words: str, limit: int = 50, before: int | None = None) -> list[int]:
    """Returns the positions of the papers found."""
    with database.read() as tx:
        return positions(archive.search(tx, words, limit, before))


def positions(entries: Sequence[Entry]) -> list[int]:
    """Returns the entries' positions in the log."""
    return [entry.position for entry in entries]


def pass_over(database: Database, *at: int) -> None:
    """Passes over these entries, as the operator can."""
    with database.write() as tx:
        editions.pass_over(tx, at)


def pages(read: Callable[[int | None], Sequence[int]]) -> list[int]:
    """Reads all pages, each from where the one before it ended."""
    seen: list[int] = []
    while page := read(seen[-1] if seen else None):
        seen += page
    return seen


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An archive of papers with hostile titles, and with one to three words of the vocabulary."""
    with Database(f"sqlite:///{tmp_path_factory.mktemp('library')}/a.db") as opened:
        titles = [f"{one} {two} {one}" for one in VOCABULARY for two in VOCABULARY]
        publish(opened, *titles, summary="")
        publish(opened, *HOSTILE, first=500)
        yield opened


SYNTAX = (
    *"\"'*^-+:(){}\\%;\0 ",
    "{{", "NEAR(", "AND", "OR", "NOT", "title:", "lamp", "oil",
    "🏮", "\u030b", "\ud800", "👩\u200d👩\u200d👧",
)  # fmt: skip


@given(
    st.text(st.characters(exclude_categories=()))
    | st.lists(st.sampled_from(SYNTAX) | st.text(max_size=3)).map("".join)
)
@example('"')
@example("NEAR(lamp oil, 2)")
@example("lamp AND NOT oil")
@example('title:"lamp')
@example("-lamp* ^oil {{7*7}}")
@example("a" * 100_000)
@example("lamp " * 10_000)
def test_any_text_is_a_valid_query(library: Database, words: str) -> None:
    """No text raises an error, and text without a word finds nothing."""
    at = found(library, words)
    assert at == sorted(set(at), reverse=True)
    if not any(character.isalnum() for character in words):
        assert at == []


@given(
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4),
    st.sampled_from([" ", "-", '" "', " * ", ":", "("]),
    st.integers(1, 7),
)
def test_all_words_must_occur_and_the_last_may_be_a_prefix(
    library: Database, words: list[str], between: str, messages: int
) -> None:
    """A search finds the titles that a scan would find; punctuation only separates words."""
    last = words.pop()[:messages]

    def fits(title: str) -> bool:
        has = re.findall(r"\w+", plain(title))
        return all(plain(word) in has for word in words) and any(
            one.startswith(plain(last)) for one in has
        )

    with library.read() as tx:
        new = [e for e in log.new_entries(tx) if e.position <= len(VOCABULARY) ** 2]
        expected = [e.position for e in reversed(new) if fits(e.paper.title)]
    limit = len(VOCABULARY) ** 2 + len(HOSTILE)
    at = found(library, between.join([*words, last]), limit)
    assert [one for one in at if one <= len(VOCABULARY) ** 2] == expected


def plain(text: str) -> str:
    """Returns text as words are compared: without case and accents."""
    return text.lower().replace("ö", "o")


@pytest.mark.parametrize("words", ["erdos", "ERDŐS", "Erdős", "Erdo\u030bs", "erd", "paul erdos"])
def test_search_ignores_accents_and_case(database: Database, words: str) -> None:
    """A name is found however it is typed, also among the authors."""
    publish(database, "On Lamps", authors=[{"name": "Paul Erdős"}, {"name": "共感 Ōe"}])
    publish(database, "Erdős and Lamps", first=2, authors=[{"name": "Paul"}])
    publish(database, "Others", first=3)
    assert found(database, words) == [2, 1]


def test_a_rewritten_paper_is_found_by_its_new_words_only(database: Database) -> None:
    """The old words no longer find it, and it is shown with its text as announced."""
    publish(database, "Lamps", "Ships", summary="Burning oil.", authors=[{"name": "Ada Grün"}])
    for due_action, abstract in enumerate(("Burning gas.", "Burning wax."), 1):
        publish(database, "Lanterns", "Ships", summary=abstract, on=day(due_action))
    assert found(database, "wax lanterns") == [1]
    assert found(database, "wax ships grun") == [2]
    assert found(database, "burning") == [2, 1]
    for old in ("lamps", "gas", "oil"):
        assert found(database, old) == []
    with database.read() as tx:
        (entry,) = archive.search(tx, "wax lanterns", 1)
    assert entry.paper.title == "Lamps"


def test_accepting_a_snapshot_again_indexes_nothing_twice(database: Database) -> None:
    """Words indexed twice would remain when the text changes."""
    publish(database, "Lamps", "Ships")
    with database.write() as tx:
        tx.exec_driver_sql("UPDATE snapshots SET state = 'captured'")
        tx.exec_driver_sql("UPDATE snapshots SET state = 'accepted'")
    publish(database, "Lanterns", on=day(1), summary="Rewritten")
    assert found(database, "lamps") == []
    assert found(database, "lanterns") == [1]


def test_backfilled_papers_are_not_in_the_archive(database: Database) -> None:
    """They were never announced. A change of their text makes no difference."""
    backfill(database, "Lamps")
    rows: dict[str, Any] = {"on": day(3), "source": "other", "summary": "Lamps"}
    publish(database, "Lanterns", "Lighthouses", first=2, **rows)
    with database.read() as tx:
        texts = tx.exec_driver_sql("SELECT max(version) FROM texts").scalar()
        at = positions([one.entry for one in archive.latest(tx, 9)])
    assert texts == 2
    assert len(at) == 2
    assert found(database, "lam") == [max(at)]
    assert found(database, "today") == [min(at)]


def test_passed_over_and_withdrawn_papers_are_not_in_the_archive(database: Database) -> None:
    """They are not in a search, not in a day and not among the latest."""
    publish(database, "Lamp one", "Lamp two", "Lamp three")
    publish(database, "Lamp four", first=4, on=day(1))
    publish(database, "Lamp two", first=2, on=day(2), summary=WITHDRAWN)
    pass_over(database, 3, 4)
    assert found(database, "lamp") == [1]
    assert found(database, "withdrawn") == []
    with database.read() as tx:
        assert positions([one.entry for one in archive.latest(tx, 9)]) == [1]
        assert archive.days(tx, 9) == [DayCount(DAY, 1)]
        assert positions(archive.day_entries(tx, DAY)) == [1]
        assert archive.day_entries(tx, day(1)) == []
        assert archive.neighbours(tx, day(2)) == (DAY, None)


def test_pages_of_a_search_have_no_gap_and_no_repeat(database: Database) -> None:
    """Each page begins where the one before it ended, also where papers are left out."""
    publish(database, *(f"Lamp {number}" for number in range(1, 24)))
    pass_over(database, 5, 6, 7, 8, 9, 10, 23)
    everything = found(database, "lamp")
    assert everything == [*range(22, 10, -1), 4, 3, 2, 1]
    for size in (1, 4, 5, 16):
        assert pages(lambda before, size=size: found(database, "la", size, before)) == everything  # type: ignore[misc]


def test_the_latest_papers_have_the_time_of_their_announcement(database: Database) -> None:
    """The newest come first, up to the limit."""
    publish(database, *(f"Lamp {number}" for number in range(1, 6)), on=None)
    with database.read() as tx:
        latest = archive.latest(tx, 3)
    assert [(one.entry.position, one.at) for one in latest] == [(5, NOW), (4, NOW), (3, NOW)]


def test_days_have_a_paper_count_and_neighbours(database: Database) -> None:
    """Days without papers are not neighbours, and papers without a day belong to none."""
    publish(database, "One", "Two", on=day(0))
    publish(database, "Three", first=3, on=day(-3))
    publish(database, "Four", first=4, on=day(5))
    publish(database, "Five", first=5, on=None)
    counts = [DayCount(day(5), 1), DayCount(day(0), 2), DayCount(day(-3), 1)]
    with database.read() as tx:
        assert archive.days(tx, 9) == counts
        assert archive.days(tx, 1) == counts[:1]
        assert archive.days(tx, 9, before=day(5)) == counts[1:]
        assert positions(archive.day_entries(tx, day(0))) == [1, 2]
        assert archive.neighbours(tx, day(0)) == (day(-3), day(5))
        assert archive.neighbours(tx, day(2)) == (day(0), day(5))
        assert archive.neighbours(tx, day(-3)) == (None, day(0))


def test_an_empty_log_has_an_empty_archive(database: Database) -> None:
    """Every query returns an empty result and raises no error."""
    with database.read() as tx:
        lists = (archive.latest(tx, 9), archive.days(tx, 9), archive.editions(tx, 9))
        assert lists == ([], [], [])
        assert archive.search(tx, "lamp", 9) == archive.edition_entries(tx, "none") == []
        assert archive.latest_edition(tx) is archive.edition(tx, "none") is None
        assert archive.neighbours(tx, DAY) == (None, None)


def freeze(tx: Connection, at: Sequence[int], **said: Any) -> str:
    """Stores an edition with these entries and returns its key.

    It is marked as sent unless it is held or `sent` is false.
    """
    sent = said.pop("sent", "held" not in said)
    key = editions.key_of(at, "en", "default", "look")
    parts = [Rendered(f"{len(at)} papers", "<p>", ""), Rendered("more", "<p>", "")]
    row = editions.freeze(tx, key, at, "en", "default", parts, NOW, **said)
    if sent:
        editions.note_planned(tx, row.id, NOW + timedelta(hours=1))
    return key


def test_editions_are_listed_when_they_are_public_and_sent(database: Database) -> None:
    """A private edition has only its own URL; one that was not planned for anyone has none."""
    publish(database, "One", "Two", "Three")
    with database.write() as tx:
        first = freeze(tx, [2, 1], public=True)
        private = freeze(tx, [1])
        second = freeze(tx, [3], public=True)
        hidden = [
            freeze(tx, [3, 2], public=True, held="too many"),
            freeze(tx, [3, 1], public=True, sent=False),
        ]
    with database.read() as tx:
        newest, oldest = archive.editions(tx, 9)
        assert oldest == PublicEdition(1, first, "2 papers", 2, NOW)
        assert newest.key == second
        assert archive.editions(tx, 1) == [newest]
        assert archive.editions(tx, 9, before=newest.id) == [oldest]
        assert archive.latest_edition(tx) == newest
        assert archive.edition(tx, first) == oldest
        assert archive.edition(tx, first[:8]) is None
        unlisted = archive.edition(tx, private)
        assert unlisted is not None
        assert unlisted.papers == 1
        for key in hidden:
            assert archive.edition(tx, key) is None
            assert archive.edition_entries(tx, key) == []


def test_an_edition_shows_what_was_sent(database: Database) -> None:
    """It has its own order, and its papers' text at that time, whatever happened to them since."""
    publish(database, "One", "Two", "Three")
    with database.write() as tx:
        key = freeze(tx, [3, 1, 2])
    publish(database, "Uno", on=day(1), summary="Other")
    publish(database, "Two", first=2, on=day(2), summary=WITHDRAWN)
    pass_over(database, 3)
    with database.read() as tx:
        titles = [entry.paper.title for entry in archive.edition_entries(tx, key)]
    assert titles == ["Three", "One", "Two"]


def test_a_long_edition_is_complete(database: Database) -> None:
    """It has more papers than one SQL statement can have parameters."""
    publish(database, *(f"Lamp {number}" for number in range(1, 1203)))
    at = list(range(1202, 0, -1))
    with database.write() as tx:
        key = freeze(tx, at)
    with database.read() as tx:
        assert positions(archive.edition_entries(tx, key)) == at


def test_a_restored_log_can_be_searched(tmp_path: Path) -> None:
    """Papers that were added or changed since the backup are found too, and each only once."""
    file, copy = tmp_path / "a.db", tmp_path / "copy.db"
    with Database(f"sqlite:///{file}") as database:
        publish(database, "Lamps", "Ships")
        backups.copy(file, copy)
        publish(database, "Lanterns", on=day(1), summary="Rewritten")
        publish(database, "Harbours", first=3, on=day(2))
    backups.take_over(copy, file, tokens.suppression_hash, NOW)
    with Database(f"sqlite:///{copy}") as database:
        assert found(database, "about") == [4, 2]
        assert found(database, "lanterns") == [1]
        assert found(database, "lamps") == []
        publish(database, "Lighthouses", on=day(3), summary="Rewritten again")
        publish(database, "Moles", first=4, on=day(3))
        assert found(database, "rewritten again") == [1]
        assert found(database, "lanterns") == []
        assert found(database, "moles") == [6]
        with database.write() as tx:
            tx.exec_driver_sql("INSERT INTO paper_search (paper_search) VALUES ('integrity-check')")
