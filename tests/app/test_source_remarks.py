"""What is said of sources that are new in the configuration or gone from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from newsletter.app.source_remarks import RECENT, KnownSource, Remark, source_remarks

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
PLACE = "https://example.org/papers"


def known(name: str, first: int | None = 1, last: int | None = None, **said: object) -> KnownSource:
    """A source that was captured yesterday, unless otherwise said."""
    values: dict[str, object] = {"captured_at": NOW - timedelta(days=1), "origin": PLACE} | said
    return KnownSource(name, first_snapshot=first, last_snapshot=last or first, **values)  # type: ignore[arg-type]


def remarks(configured: dict[str, str] | list[str], *found: KnownSource) -> list[Remark]:
    """The remarks; the place of a source matters only where it is given."""
    places = configured if isinstance(configured, dict) else dict.fromkeys(configured, "elsewhere")
    return source_remarks(places, found, NOW)


def test_nothing_is_said_of_sources_that_are_known_and_configured() -> None:
    """Nor of none at all."""
    assert remarks(["a"], known("a")) == []
    assert remarks([]) == []


def test_a_source_that_was_never_captured_begins() -> None:
    """Whether the database has never heard of it, or only of its failures."""
    for found in ([], [known("a", None, captured_at=None)]):
        (one,) = remarks(["a"], *found)
        assert one == Remark(
            "a", "a is new: its first capture announces only the papers of its latest day"
        )


def test_a_source_that_is_gone_is_said_to_be_for_a_month() -> None:
    """Then it has been removed on purpose."""
    (one,) = remarks(["b"], known("a", 2), known("b", 1))
    assert one == Remark("a", "a was captured before, but is not in the configuration")
    assert remarks(["b"], known("a", 2, captured_at=NOW - RECENT), known("b", 1))
    old = known("a", 2, captured_at=NOW - RECENT - timedelta(seconds=1))
    assert remarks(["b"], old, known("b", 1)) == []


def test_captures_named_on_the_command_line_are_not_missed() -> None:
    """The configuration never had them."""
    assert remarks(["b"], known("manual", watched=False), known("b", 2)) == []
    assert remarks([], known("manual", watched=False)) == []


def test_a_source_that_begins_may_be_one_that_is_gone() -> None:
    """However long ago that one was captured: the new one has no history otherwise."""
    gone, begins = remarks(["the new"], known("it's", captured_at=NOW - 3 * RECENT))
    assert gone.rename_to == "the new"
    assert "while the new begins there without its history" in gone.text
    assert """`newsletter sources rename 'it'"'"'s' 'the new'`""" in gone.text
    assert begins.source == "the new"


def test_a_source_that_began_since_may_be_one_that_is_gone() -> None:
    """But not one that was captured while the other still was."""
    (gone,) = remarks(["b"], known("a", 1, 3), known("b", 4, 9))
    assert (gone.rename_to, "while b began there since" in gone.text) == ("b", True)
    (gone,) = remarks(["b"], known("a", 1, 5), known("b", 4, 9))
    assert gone.rename_to is None
    old = known("a", 1, 3, captured_at=NOW - 2 * RECENT)
    assert remarks(["b"], old, known("b", 4, 9)) == []


def test_of_several_the_one_at_the_same_place_is_meant_or_else_the_most_alike() -> None:
    """Each new name for at most one source."""
    found = [known("hf", origin="https://x.org/d?date=2026-11-20"), known("arxiv-lg", 2)]
    places = {"arxiv": "https://y.org/a", "zebra": "https://x.org/d?date={date}"}
    assert _pairs(places, *found) == {"hf": "zebra", "arxiv-lg": "arxiv"}
    folder = {"b": "/data/captures", "hf-2": "/data/other"}
    assert _pairs(folder, known("hf", origin="/data/captures/2026-11-20.json")) == {"hf": "b"}
    assert _pairs(["one"], known("two"), known("ones", 2)) == {"ones": "one", "two": None}


def _pairs(configured: dict[str, str] | list[str], *found: KnownSource) -> dict[str, str | None]:
    gone = {one.name for one in found}
    return {one.source: one.rename_to for one in remarks(configured, *found) if one.source in gone}
