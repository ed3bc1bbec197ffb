"""What a capture changes: new, backfilled, updated, relisted, withdrawn or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import Change, EntryKind, KnownPaper, Paper, Sighting
from newsletter.papers.changes import captured_papers, changes, is_withdrawal, merged
from newsletter.papers.identity import Identities, keys_of
from tests.support.builders import bare, day, paper

MON, TUE, WED, THU = (day(offset) for offset in (3, 4, 5, 6))


def run(
    rows: Sequence[Paper],
    known: Sequence[KnownPaper] = (),
    listing_days: Sequence[date] = (),
    *,
    announced: bool = True,
) -> list[Change]:
    """Returns the changes that these rows make; the known papers are numbered from 1."""
    owners = {key: n for n, one in enumerate(known, 1) for key in keys_of(one.paper)}
    numbered = dict(enumerate(known, 1))
    return changes(
        captured_papers(rows), Identities(owners), numbered, listing_days, lambda _: announced
    )


def listed(one: Paper, *, withdrawn: bool = False, **facts: Any) -> KnownPaper:
    """Returns a paper that this source listed before, and that was announced."""
    facts.setdefault("last_day", one.listed_on)
    sighting = Sighting(one.record(), withdrawn=withdrawn, **facts)
    return KnownPaper(one, version=1, announced=True, withdrawn=withdrawn, sighting=sighting)


def known_elsewhere(one: Paper, **facts: Any) -> KnownPaper:
    """Returns a paper that only another source has mentioned."""
    return KnownPaper(one, version=1, **facts)


def kind(row: Paper, known: KnownPaper, *listing_days: date) -> EntryKind | None:
    """Returns the kind of the entry that one row of a known paper makes."""
    (change,) = run([row], [known], listing_days)
    assert change.paper == 1
    return change.kind


# --- unseen papers


def test_an_unseen_paper_is_new() -> None:
    """Its text is version 1, and it has all its keys."""
    (change,) = run([paper(1)])
    assert (change.kind, change.text, change.version) == (EntryKind.NEW, paper(1), 1)
    assert change.paper < 0
    assert change.claims == keys_of(paper(1))


def test_an_unseen_paper_that_is_not_announced_is_backfilled() -> None:
    """It enters the log and is never announced."""
    (change,) = run([paper(1)], announced=False)
    assert change.kind is EntryKind.LEARNT


def test_a_revision_of_an_unseen_paper_is_backfilled() -> None:
    """A replacement means that the paper is older than our records."""
    (change,) = run([paper(1, revision=True)])
    assert change.kind is EntryKind.LEARNT


def test_a_withdrawal_of_an_unseen_paper_is_not_announced() -> None:
    """There is nothing left to read."""
    (change,) = run([paper(1, abstract="This paper has been withdrawn by the authors.")])
    assert change.kind is EntryKind.WITHDRAWN


def test_rows_keep_their_order() -> None:
    """Changes have the order of the capture."""
    made = run([paper(n) for n in (3, 1, 2)])
    assert [change.row for change in made] == [paper(n) for n in (3, 1, 2)]


def test_two_rows_of_one_paper_are_merged() -> None:
    """A paper listed twice in a capture is announced once, with all facts and keys of both rows."""
    without, with_id = bare("Lamps"), bare("Lamps", arxiv_id="2611.00001", abstract="Other.")
    (change,) = run([without, with_id])
    assert change.row == with_id
    assert set(change.claims) == {"title:lamps", "arxiv:2611.00001"}


def test_a_known_paper_listed_twice_makes_one_change() -> None:
    """The second row may even differ."""
    one = paper(1)
    assert len(run([one, dataclasses.replace(one, title="Other")], [listed(one)])) == 1


def test_an_empty_capture_changes_nothing() -> None:
    """Without rows there are no changes."""
    assert run([], [listed(paper(1))]) == []


# --- papers mentioned by another source

NOTICE = "This paper has been withdrawn by the authors."


def test_a_paper_backfilled_by_another_source_is_new_when_this_one_lists_it() -> None:
    """It only matters that the paper was never announced."""
    assert kind(paper(1), known_elsewhere(paper(1))) is EntryKind.NEW


def test_an_announced_paper_is_not_announced_again() -> None:
    """Another source does not announce it either."""
    assert kind(paper(1), known_elsewhere(paper(1), announced=True)) is None


def test_a_silently_released_paper_is_never_announced() -> None:
    """The decision applies to the paper, whatever source lists it."""
    assert kind(paper(1), known_elsewhere(paper(1), silent=True)) is None


def test_a_silent_release_applies_to_every_source() -> None:
    """It marks the papers that were not announced, and no others."""
    known = [known_elsewhere(paper(1)), known_elsewhere(paper(2), announced=True)]
    owners = {key: n for n, one in enumerate(known, 1) for key in keys_of(one.paper)}
    made = changes(
        captured_papers([paper(1), paper(2), paper(3)]),
        Identities(owners),
        dict(enumerate(known, 1)),
        (),
        lambda _: False,
        silent=True,
    )
    assert [change.silent for change in made] == [True, False, True]
    assert [change.kind for change in made] == [EntryKind.LEARNT, None, EntryKind.LEARNT]


@pytest.mark.parametrize(
    "mention", [{"revision": True}, {"abstract": NOTICE}], ids=["revised", "withdrawn"]
)
def test_a_paper_that_a_source_only_mentioned_is_new_once_it_lists_it(
    mention: dict[str, Any],
) -> None:
    """A revision or a withdrawal does not list a paper."""
    (first,) = run([paper(1, **mention)])
    assert not first.listed
    sighting = Sighting(first.record, listed=False, withdrawn=first.withdrawn)
    known = KnownPaper(first.row, 1, withdrawn=first.withdrawn, sighting=sighting)
    (change,) = run([paper(1)], [known])
    assert (change.kind, change.listed, change.withdrawn) == (EntryKind.NEW, True, False)
    assert change.reinstated is first.withdrawn
    assert (change.text or known.paper).abstract == paper(1).abstract


def test_a_paper_backfilled_by_its_own_source_is_not_announced() -> None:
    """The source listed it before, on an older day of its first capture."""
    row = paper(1)
    known = KnownPaper(row, 1, sighting=Sighting(row.record(), last_day=row.listed_on))
    assert kind(row, known) is None


def test_a_capture_released_late_announces_papers_only_mentioned_since() -> None:
    """What its source has said since is kept."""
    revised = paper(1, title="Revised", revision=True)
    sighting = Sighting(revised.record(), listed=False, later=True)
    (change,) = run([paper(1)], [KnownPaper(revised, 1, sighting=sighting)])
    assert (change.kind, change.text, change.stale) == (EntryKind.NEW, None, True)


# --- rows that change nothing


def test_the_same_row_again_changes_nothing() -> None:
    """There is no entry and no new text."""
    (change,) = run([paper(1)], [listed(paper(1))])
    assert (change.kind, change.text, change.version, change.claims) == (None, None, 1, ())


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("Small Lamps for Harbours", "Small  Lamps\nfor Harbours"),
        ("Small Lamps for Harbours", "small lamps for harbours"),
        ('T\\"ulu Lamps', "Tülu Lamps"),
        ("Lamps of $\\phi$", "Lamps of φ"),
        ("$\\textit{Trans-Lamp}$: Oil", "Trans-Lamp: Oil"),
        ("\\textsc{Lamp-Instruct}", "Lamp-Instruct"),
        ("Oil for SL$^{2}$A", "Oil for SL$^2$A"),
    ],
)
@pytest.mark.parametrize("field", ["title", "abstract"])
def test_white_space_and_tex_make_no_update(field: str, was: str, now: str) -> None:
    """Text that differs only in white space, case and TeX is the same text."""
    before, after = paper(1, **{field: was}), paper(1, **{field: now})
    assert kind(after, listed(before)) is None
    assert kind(before, listed(after)) is None


def test_votes_make_no_update() -> None:
    """They make no new text either."""
    (change,) = run([paper(1, upvotes=99)], [listed(paper(1, upvotes=1))])
    assert (change.kind, change.text) == (None, None)
    assert change.row.upvotes == 99


FACTS: dict[str, Any] = {
    "authors": ("Another Hand",),
    "organisation": "Harbour Board",
    "submitter": "keeper",
    "code_url": "https://github.com/lamps/a",
    "project_url": "https://lamps.example.org",
    "pdf_url": "https://arxiv.org/pdf/2611.00001",
    "categories": ("cs.AI",),
    "published_on": MON,
    "doi": "10.1000/a",
}


@pytest.mark.parametrize("field", FACTS)
def test_other_facts_make_no_update(field: str) -> None:
    """Only title and abstract make an update; other fields keep their first value."""
    before = paper(1, **FACTS)
    other = {**FACTS, field: _other(FACTS[field])}
    (change,) = run([paper(1, **other)], [listed(before)])
    assert change.kind is None
    assert change.text is None


def _other(value: Any) -> Any:
    if isinstance(value, tuple):
        return ("Someone Else",)
    return TUE if isinstance(value, date) else f"{value}-other"


@pytest.mark.parametrize("field", FACTS)
def test_a_fact_that_was_missing_is_added_silently(field: str) -> None:
    """It makes a new text, but no entry."""
    before = paper(1, **{field: () if isinstance(FACTS[field], tuple) else None})
    (change,) = run([paper(1, **{field: FACTS[field]})], [listed(before)])
    assert (change.kind, change.version) == (None, 2)
    assert change.text is not None
    assert getattr(change.text, field) == FACTS[field]


def test_gaining_an_id_makes_no_update() -> None:
    """A record known by its title takes the id, and is not new."""
    before = bare("Lamps", abstract="Lit.", listed_on=MON)
    after = bare("Lamps", abstract="Lit.", listed_on=MON, arxiv_id="2611.00001")
    (change,) = run([after], [listed(before)])
    assert (change.kind, change.claims) == (None, ("arxiv:2611.00001",))
    assert change.text is not None
    assert change.text.arxiv_id == "2611.00001"


def test_gaining_an_abstract_makes_no_update() -> None:
    """Text that was missing before has not changed."""
    (change,) = run([paper(1)], [listed(paper(1, abstract=None))])
    assert change.kind is None
    assert change.text is not None
    assert change.text.abstract == paper(1).abstract


@given(st.sets(st.sampled_from([*FACTS, "abstract", "url", "arxiv_id"])))
def test_a_missing_field_never_changes_a_present_one(missing: set[str]) -> None:
    """Whatever fields a row lacks, the known text keeps them."""
    full = paper(1, **FACTS)
    gone: dict[str, Any] = {f: () if f in ("authors", "categories") else None for f in missing}
    (change,) = run([dataclasses.replace(full, **gone)], [listed(full)])
    assert (change.kind, change.text, change.version) == (None, None, 1)


@given(st.sets(st.sampled_from([*FACTS, "abstract", "url"])))
def test_a_missing_field_survives_an_update(missing: set[str]) -> None:
    """Even if the title changed, fields that the row lacks are kept."""
    full = paper(1, **FACTS)
    gone: dict[str, Any] = {f: () if f in ("authors", "categories") else None for f in missing}
    (change,) = run([dataclasses.replace(full, title="Renamed", **gone)], [listed(full)])
    assert change.kind is EntryKind.UPDATED
    assert change.text == dataclasses.replace(full, title="Renamed")


# --- rows that make an update


@pytest.mark.parametrize("field", ["title", "abstract"])
def test_different_words_make_an_update(field: str) -> None:
    """The row's text becomes the next version of the paper's text."""
    after = paper(1, **{field: "Other words"})
    (change,) = run([after], [listed(paper(1))])
    assert (change.kind, change.text, change.version) == (EntryKind.UPDATED, after, 2)


@pytest.mark.parametrize(("was", "now"), [("Lamps 2", "Lamps 2.5"), ("C Lamps", "C++ Lamps")])
def test_digits_and_plus_signs_count_as_words(was: str, now: str) -> None:
    """A number or a `+` makes a different title."""
    assert kind(paper(1, title=now), listed(paper(1, title=was))) is EntryKind.UPDATED


def test_a_retitled_paper_keeps_its_old_title_as_a_key() -> None:
    """The new title becomes a key beside the old one."""
    (change,) = run([paper(1, title="Renamed")], [listed(paper(1))])
    assert change.claims == ("title:renamed",)


def test_a_source_is_compared_with_its_own_earlier_text() -> None:
    """Two sources with two titles for one id do not update each other for ever."""
    mine, theirs = paper(1, title="Mine"), paper(1, title="Theirs")
    sighting = Sighting(mine.record(), last_day=mine.listed_on)
    assert kind(mine, KnownPaper(theirs, 2, announced=True, sighting=sighting)) is None


def test_a_first_listing_is_compared_with_the_newest_text() -> None:
    """A different title makes an update; the same title makes none."""
    before = known_elsewhere(paper(1), announced=True)
    assert kind(paper(1, title="Theirs"), before) is EntryKind.UPDATED
    assert kind(paper(1), before) is None


# --- withdrawals


@pytest.mark.parametrize(
    "abstract",
    [
        "This paper has been withdrawn by the authors.",
        "This paper has been withdrawn due to an error in the lamps.",
        "The submission was withdrawn.",
        "The manuscript is temporarily withdrawn.",
        "Withdrawn by the author",
        "withdrawn by authors for revision",
    ],
)
def test_a_withdrawal_notice_is_recognised(abstract: str) -> None:
    """It replaces the abstract, and makes a `withdrawn` entry."""
    row = paper(1, abstract=abstract)
    assert is_withdrawal(row)
    assert kind(row, listed(paper(1))) is EntryKind.WITHDRAWN


@pytest.mark.parametrize(
    "abstract",
    [
        None,
        "",
        "We study why papers are withdrawn by the authors.",
        "Lamps were withdrawn by the harbour.",
        "This paper has been with drawn lamps.",
    ],
)
def test_a_paper_about_withdrawals_is_not_withdrawn(abstract: str | None) -> None:
    """Only the notice itself counts, at the beginning of the abstract."""
    assert not is_withdrawal(paper(1, abstract=abstract))


def test_a_withdrawal_makes_one_entry() -> None:
    """The same notice again changes nothing."""
    row = paper(1, abstract="This paper has been withdrawn by the authors.")
    assert kind(row, listed(row, withdrawn=True)) is None


# --- relisting


@pytest.mark.parametrize(
    ("last", "now", "others", "relisted"),
    [
        (MON, WED, [MON, TUE], True),
        (MON, THU, [MON, WED], True),
        (MON, TUE, [MON], False),
        (MON, WED, [MON], False),
        (MON, WED, [MON, WED], False),
        (MON, WED, [MON, TUE, WED, THU], True),
        (MON, MON, [MON, TUE], False),
        (TUE, MON, [MON, TUE], False),
        (THU, MON, [MON, TUE, THU], False),
        (MON, TUE, [], False),
    ],
)
def test_relisting_with_days(last: date, now: date, others: list[date], relisted: bool) -> None:
    """It is listed for a later day, and the source listed other papers on a day between."""
    row, before = paper(1, listed_on=now), listed(paper(1, listed_on=last))
    assert (kind(row, before, *others) is EntryKind.RELISTED) is relisted


@pytest.mark.parametrize(("in_previous", "relisted"), [(True, False), (False, True)])
@pytest.mark.parametrize("days", [(None, None), (MON, None), (None, WED)])
def test_relisting_without_days(
    days: tuple[date | None, date | None], *, in_previous: bool, relisted: bool
) -> None:
    """If days are unknown, it was absent from the source's previous snapshot."""
    last, now = days
    before = listed(paper(1, listed_on=last), in_previous=in_previous)
    row = paper(1, listed_on=now)
    assert (kind(row, before, MON, TUE) is EntryKind.RELISTED) is relisted


@pytest.mark.parametrize("now", [WED, None])
def test_a_paper_this_source_never_listed_is_not_relisted(now: date | None) -> None:
    """A listing by another source does not count."""
    before = known_elsewhere(paper(1), announced=True)
    assert kind(paper(1, listed_on=now), before, MON, TUE) is None


def test_an_update_takes_precedence_over_a_relisting() -> None:
    """A row makes one entry at most."""
    row = paper(1, title="Renamed", listed_on=WED)
    assert kind(row, listed(paper(1, listed_on=MON)), MON, TUE) is EntryKind.UPDATED


def test_a_relisting_changes_no_text() -> None:
    """It is the same paper, listed again."""
    (change,) = run([paper(1, listed_on=WED)], [listed(paper(1, listed_on=MON))], [MON, TUE])
    assert (change.kind, change.text, change.version) == (EntryKind.RELISTED, None, 1)


# --- merging


def test_merging_keeps_first_values() -> None:
    """Title and abstract are replaced only when the paper was rewritten."""
    before = paper(1, organisation="Harbour Board")
    after = paper(1, title="Renamed", organisation="Other Board", submitter="keeper")
    assert merged(before, after, rewritten=False) == dataclasses.replace(before, submitter="keeper")
    assert merged(before, after, rewritten=True) == dataclasses.replace(
        before, submitter="keeper", title="Renamed"
    )


@given(st.booleans())
def test_merging_with_itself_changes_nothing(rewritten: bool) -> None:
    """A row that repeats what is known adds nothing."""
    assert merged(paper(1), paper(1), rewritten=rewritten) == paper(1)
