"""Remarks about sources that were added to the configuration or removed from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from newsletter.app.source_remarks import RECENT, KnownSource, Remark, source_remarks

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
PLACE = "https://example.org/papers"


def known(name: str, first: int | None = 1, last: int | None = None, **said: object) -> KnownSource:
    """Returns a source that was captured yesterday, unless otherwise given."""
    values: dict[str, object] = {"captured_at": NOW - timedelta(days=1), "origin": PLACE} | said
    return KnownSource(name, first_snapshot=first, last_snapshot=last or first, **values)  # type: ignore[arg-type]


def remarks(configured: dict[str, str] | list[str], *found: KnownSource) -> list[Remark]:
    """Returns the remarks; a source's place matters only where it is given."""
    places = configured if isinstance(configured, dict) else dict.fromkeys(configured, "elsewhere")
    return source_remarks(places, found, NOW)


def test_known_and_configured_sources_have_no_remarks() -> None:
    """Nor has an empty list."""
    assert remarks(["a"], known("a")) == []
    assert remarks([]) == []


def test_a_source_that_was_never_captured_is_new() -> None:
    """Whether the database has never heard of it, or only of its failures."""
    for found in ([], [known("a", None, captured_at=None)]):
        (one,) = remarks(["a"], *found)
        assert one == Remark(
            "a", "a is new: its first capture announces only the papers of its latest day"
        )


def test_a_removed_source_is_mentioned_for_a_month() -> None:
    """After that it has been removed on purpose."""
    (one,) = remarks(["b"], known("a", 2), known("b", 1))
    assert one == Remark("a", "a was captured before, but is not in the configuration")
    assert remarks(["b"], known("a", 2, captured_at=NOW - RECENT), known("b", 1))
    old = known("a", 2, captured_at=NOW - RECENT - timedelta(seconds=1))
    assert remarks(["b"], old, known("b", 1)) == []


def test_captures_named_on_the_command_line_are_not_missed() -> None:
    """They were never in the configuration."""
    assert remarks(["b"], known("manual", watched=False), known("b", 2)) == []
    assert remarks([], known("manual", watched=False)) == []


def test_a_new_source_may_be_a_renamed_one() -> None:
    """However long ago the old one was captured, because otherwise it has no history."""
    gone, begins = remarks(["the new"], known("it's", captured_at=NOW - 3 * RECENT))
    assert gone.rename_to == "the new"
    assert "while the new begins there without its history" in gone.text
    assert """`newsletter sources rename 'it'"'"'s' 'the new'`""" in gone.text
    assert begins.source == "the new"


def test_a_source_that_began_later_may_be_a_renamed_one() -> None:
    """But not one that was captured while the old one still was."""
    (gone,) = remarks(["b"], known("a", 1, 3), known("b", 4, 9))
    assert (gone.rename_to, "while b began there since" in gone.text) == ("b", True)
    (gone,) = remarks(["b"], known("a", 1, 5), known("b", 4, 9))
    assert gone.rename_to is None
    old = known("a", 1, 3, captured_at=NOW - 2 * RECENT)
    assert remarks(["b"], old, known("b", 4, 9)) == []


def test_the_likeliest_rename_is_suggested() -> None:
    """The one at the same place, or else the most similar name; each new name is used once."""
    found = [known("hf", origin="https://x.org/d?date=2026-11-20"), known("arxiv-lg", 2)]
    places = {"arxiv": "https://y.org/a", "zebra": "https://x.org/d?date={date}"}
    assert _pairs(places, *found) == {"hf": "zebra", "arxiv-lg": "arxiv"}
    folder = {"b": "/data/captures", "hf-2": "/data/other"}
    assert _pairs(folder, known("hf", origin="/data/captures/2026-11-20.json")) == {"hf": "b"}
    assert _pairs(["one"], known("two"), known("ones", 2)) == {"ones": "one", "two": None}


def _pairs(configured: dict[str, str] | list[str], *found: KnownSource) -> dict[str, str | None]:
    gone = {one.name for one in found}
    return {one.source: one.rename_to for one in remarks(configured, *found) if one.source in gone}
