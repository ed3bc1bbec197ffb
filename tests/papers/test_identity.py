"""Promise 2: which papers are the same, by exact keys only."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from newsletter.models import Paper
from newsletter.papers.identity import KINDS, Identities, Keys, keys_of, keys_of_all, kind_of
from tests.support.builders import bare

TITLES = st.sampled_from(["Small Lamps", "small  lamps", "Lamps 2", "Lamps", "Öl", "Oil"])
ARXIV = st.sampled_from(["2611.00001", "2611.00002", "2611.00003"])
PAPERS = st.builds(
    Paper,
    title=TITLES,
    arxiv_id=st.none() | ARXIV,
    doi=st.none() | st.sampled_from(["10.1000/a", "10.1000/b"]),
    openreview_id=st.none() | st.sampled_from(["aaaa", "bbbb"]),
    url=st.none() | st.sampled_from(["https://example.org/1", "https://example.org/2"]),
)


def numbers(papers: Sequence[Paper], owners: dict[str, int] | None = None) -> list[int]:
    """Returns the number of the paper that each record describes."""
    identities = Identities(owners or {})
    return [identities.match(keys_of(paper)).paper for paper in papers]


def partition(papers: Sequence[Paper]) -> set[frozenset[Paper]]:
    """Groups the records by the paper that they describe."""
    groups: dict[int, set[Paper]] = {}
    for number, paper in zip(numbers(papers), papers, strict=True):
        groups.setdefault(number, set()).add(paper)
    return {frozenset(group) for group in groups.values()}


def _in_two_orders(papers: list[Paper]) -> st.SearchStrategy[tuple[list[Paper], list[Paper]]]:
    return st.tuples(st.just(papers), st.permutations(papers))


# --- keys


@given(PAPERS)
def test_keys_are_ordered_by_strength(paper: Paper) -> None:
    """There is at most one key of each kind; the title is always there, and last."""
    kinds = [kind_of(key) for key in keys_of(paper)]
    assert kinds == [kind for kind in KINDS if kind in kinds]
    assert kinds[-1] == "title"


@pytest.mark.parametrize(
    "paper",
    [
        bare("Lamps", arxiv_id="2611.00001"),
        bare("Lamps", doi="10.48550/arXiv.2611.00001"),
        bare("Lamps", doi="doi:10.48550/arXiv.2611.00001"),
        bare("Lamps", url="http://arxiv.org/abs/2611.00001v3"),
        bare("Lamps", url="https://huggingface.co/papers/2611.00001"),
        bare("Lamps", url="https://doi.org/10.48550/arXiv.2611.00001"),
    ],
)
def test_the_arxiv_key_is_found_in_any_field(paper: Paper) -> None:
    """The id, DOI and URL of an arXiv paper give the same key, without a version."""
    assert keys_of(paper)[0] == "arxiv:2611.00001"


def test_ids_in_an_abstract_are_citations() -> None:
    """An abstract that names another paper does not give a key."""
    paper = bare(
        "Lamps", abstract="We go on from arXiv:2611.00009, https://arxiv.org/abs/2611.00009."
    )
    assert keys_of(paper) == ("title:lamps",)


def test_an_arxiv_url_is_no_key_beside_the_id() -> None:
    """It would only repeat the id in another spelling."""
    keys = keys_of(bare("Lamps", url="https://arxiv.org/abs/2611.00001"))
    assert [kind_of(key) for key in keys] == ["arxiv", "title"]


def test_a_url_shared_by_different_titles_is_no_key() -> None:
    """A feed that links every item to its front page does not make them one paper."""
    front = "https://example.org/"
    rows = keys_of_all([bare("Lamps", url=front), bare("Oil", url=front)])
    assert [kind_of(key) for keys in rows for key in keys] == ["title", "title"]


def test_a_url_repeated_with_the_same_title_is_a_key() -> None:
    """The same row twice does not make its URL a shared one."""
    rows = keys_of_all([bare("Lamps", url="https://example.org/1")] * 2)
    assert all("url:example.org/1" in keys for keys in rows)


def test_shared_ids_stay_keys() -> None:
    """Two titles with one arXiv id are one paper; only shared URLs are ignored."""
    rows = keys_of_all([bare("A", arxiv_id="2611.00001"), bare("B", arxiv_id="2611.00001")])
    assert [keys[0] for keys in rows] == ["arxiv:2611.00001"] * 2


# --- which records are the same paper

PAGE = "https://example.org/paper-of-the-day"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bare("A", arxiv_id="2611.00001"), bare("Quite Another", arxiv_id="2611.00001")),
        (bare("A", doi="10.1000/a"), bare("Quite Another", doi="https://doi.org/10.1000/A")),
        (bare("A", openreview_id="aa"), bare("B", url="https://openreview.net/forum?id=aa")),
        (bare("Oil", url="https://example.org/1"), bare("Oil!", url="http://www.example.org/1/")),
        (bare("Small Lamps", url=PAGE), bare("Small Lamps for Harbours", url=PAGE)),
        (bare("Small Lamps", url=PAGE), bare("Small Boats", url=PAGE)),
        (bare("小さな灯台の光", url=PAGE), bare("小さな灯台の灯", url=PAGE)),
        (bare("2611.00001", url=PAGE, untitled=True), bare("Small Lamps", url=PAGE)),
        (bare("Small Lamps"), bare("small  LAMPS")),
        (bare('T\\"ulu Lamps'), bare("Tülu Lamps")),
        (bare("Lamps of $\\phi$"), bare("Lamps of φ")),
        (bare("Lamps"), bare("Lamps", arxiv_id="2611.00001")),
        (bare("Lamps", url="https://example.org/1"), bare("Lamps", arxiv_id="2611.00001")),
        (bare("Lamps", doi="10.1000/a"), bare("Lamps", openreview_id="aa")),
    ],
)
def test_records_with_a_key_in_common_are_one_paper(one: Paper, other: Paper) -> None:
    """The strongest common key decides, in either order."""
    assert len(set(numbers([one, other]))) == 1
    assert len(set(numbers([other, one]))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bare("Lamps", arxiv_id="2611.00001"), bare("Lamps", arxiv_id="2611.00002")),
        (bare("Small Lamps", url=PAGE), bare("Boats without Oars", url=PAGE)),
        (bare("Small Lamps for Harbours", url=PAGE), bare("Oil for Boats", url=PAGE)),
        (bare("小さな灯台", url=PAGE), bare("大都市の橋", url=PAGE)),
        (bare("Lamps", doi="10.1000/a"), bare("Lamps", doi="10.1000/b")),
        (bare("Lamps", openreview_id="aa"), bare("Lamps", openreview_id="bb")),
        (bare("Lamps", url="https://example.org/1"), bare("Lamps", url="https://example.org/2")),
        (bare("Lamps 2"), bare("Lamps 2.5")),
        (bare("Lamps"), bare("Lamps 2")),
        (bare("PROP: Lamps"), bare("B-PROP: Lamps")),
        (bare("C# Lamps"), bare("C++ Lamps")),
    ],
)
def test_records_without_a_common_key_are_two_papers(one: Paper, other: Paper) -> None:
    """A different key of a kind that both have, or a different title, makes another paper."""
    assert len(set(numbers([one, other]))) == 2
    assert len(set(numbers([other, one]))) == 2


def test_equal_abstracts_do_not_match() -> None:
    """Two papers may have the same abstract."""
    one, other = (bare(title, abstract="The same words.") for title in ("Lamps", "Lamps V2"))
    assert len(set(numbers([one, other]))) == 2


def test_a_url_that_shows_another_paper_each_day() -> None:
    """Each day's paper is a paper of its own, and is recognised when listed again."""
    titles = ("Small Lamps", "Boats without Oars", "Tides of the North", "Small Lamps")
    assert numbers([bare(title, url=PAGE) for title in titles]) == [-1, -2, -3, -1]
    assert numbers([bare(title, url=PAGE) for title in titles[1:] * 2]) == [-1, -2, -3] * 2


# --- promise 2, clause by clause


@given(st.lists(PAPERS, max_size=12))
def test_two_arxiv_ids_are_never_one_paper(papers: list[Paper]) -> None:
    """Titles, other keys and chains of records make no difference."""
    ids: dict[int, set[str]] = {}
    for number, paper in zip(numbers(papers), papers, strict=True):
        if paper.arxiv_id:
            ids.setdefault(number, set()).add(paper.arxiv_id)
    assert all(len(found) == 1 for found in ids.values())


@given(st.lists(PAPERS, max_size=12))
def test_one_arxiv_id_is_one_paper(papers: list[Paper]) -> None:
    """Once an id belongs to a paper, every later record with it is this paper."""
    owner: dict[str, int] = {}
    for number, paper in zip(numbers(papers), papers, strict=True):
        if paper.arxiv_id:
            assert owner.setdefault(paper.arxiv_id, number) == number


@given(st.lists(PAPERS, max_size=12))
def test_a_key_never_moves_to_another_paper(papers: list[Paper]) -> None:
    """Each key is claimed once, by one paper, permanently."""
    identities = Identities({})
    owner: dict[str, int] = {}
    for paper in papers:
        keys = keys_of(paper)
        match = identities.match(keys)
        assert set(match.claims) == {key for key in keys if key not in owner}
        owner.update(dict.fromkeys(match.claims, match.paper))


@given(st.lists(PAPERS, max_size=12))
def test_the_strongest_known_key_decides(papers: list[Paper]) -> None:
    """A record whose strongest key is a known id is the paper with this id."""
    identities = Identities({})
    owner: dict[str, int] = {}
    for paper in papers:
        keys = keys_of(paper)
        match = identities.match(keys)
        if keys[0] in owner and not keys[0].startswith("url:"):
            assert match.paper == owner[keys[0]]
        owner.update(dict.fromkeys(match.claims, match.paper))


@given(st.lists(PAPERS, max_size=12))
def test_nothing_matches_without_a_common_key(papers: list[Paper]) -> None:
    """A record is a known paper only if it has one of this paper's keys."""
    identities = Identities({})
    held: dict[int, set[str]] = {}
    for paper in papers:
        keys = keys_of(paper)
        match = identities.match(keys)
        if match.paper in held:
            assert held[match.paper] & set(keys)
        held.setdefault(match.paper, set()).update(match.claims)


@given(st.lists(PAPERS, max_size=12))
def test_records_seen_again_are_not_new(papers: list[Paper]) -> None:
    """The same records in the same order are the same papers, and claim no keys."""
    identities = Identities({})
    first = [identities.match(keys_of(paper)) for paper in papers]
    again = [identities.match(keys_of(paper)) for paper in papers]
    with_ids = [number for number, paper in enumerate(papers) if paper.arxiv_id]
    assert [first[n].paper for n in with_ids] == [again[n].paper for n in with_ids]
    assert all(not match.claims for match in again)


@given(st.lists(PAPERS.filter(lambda p: bool(p.arxiv_id)), max_size=10), st.randoms())
def test_order_does_not_matter_if_all_have_an_arxiv_id(papers: list[Paper], order: object) -> None:
    """Records with ids are the same papers in any order, whatever their titles."""
    shuffled = sorted(papers, key=lambda paper: (paper.arxiv_id or "", paper.title))
    assert partition(papers) == partition(shuffled) == partition(papers[::-1])


@given(st.permutations([(t, i) for t in "ABC" for i in (True, False)] * 2))
def test_order_does_not_matter_if_each_title_has_one_id(rows: list[tuple[str, bool]]) -> None:
    """Records with and without the id are then one paper, in any order."""
    papers = [
        bare(f"Lamps {t}", arxiv_id=f"2611.0000{ord(t) - 64}" if i else None) for t, i in rows
    ]
    by_title: dict[str, set[int]] = {title: set() for title in "ABC"}
    for number, (title, _) in zip(numbers(papers), rows, strict=True):
        by_title[title].add(number)
    assert all(len(found) == 1 for found in by_title.values())
    assert len(set.union(*by_title.values())) == 3


@given(st.permutations(range(4)))
def test_the_number_of_papers_with_an_id_does_not_depend_on_order(order: list[int]) -> None:
    """Two ids with one title, and records without an id: always two papers, never three."""
    title = "Fused Lamps"
    rows = [
        bare(title, arxiv_id="2611.00001"),
        bare(title, arxiv_id="2611.00002"),
        bare(title),
        bare(title),
    ]
    assert len(set(numbers([rows[n] for n in order]))) == 2


def test_a_title_belongs_to_the_first_id_that_claims_it() -> None:
    """Another id with this title is another paper; a record without an id is the first one."""
    first, second, without = numbers(
        [bare("Lamps", arxiv_id="2611.00001"), bare("Lamps", arxiv_id="2611.00002"), bare("Lamps")]
    )
    assert first != second
    assert without == first


def test_a_record_without_an_id_gains_the_first_id_with_its_title() -> None:
    """Its title is its key, so it is not new when it has its id."""
    without, first, second = numbers(
        [bare("Lamps"), bare("Lamps", arxiv_id="2611.00001"), bare("Lamps", arxiv_id="2611.00002")]
    )
    assert without == first
    assert second != first


def test_a_weaker_key_of_another_paper_is_not_moved() -> None:
    """A record with paper 1's id and paper 2's title is paper 1, and takes no key from paper 2."""
    owners = {"arxiv:2611.00001": 1, "title:lamps": 1, "arxiv:2611.00002": 2, "title:oil": 2}
    identities = Identities(owners)
    match = identities.match(keys_of(bare("Oil", arxiv_id="2611.00001")))
    assert (match.paper, match.claims) == (1, ())
    assert identities.match(keys_of(bare("Oil"))).paper == 2


def test_a_paper_known_by_its_doi_gains_an_arxiv_id() -> None:
    """It takes the id that comes with the DOI."""
    identities = Identities({"doi:10.1000/a": 7, "title:lamps": 7})
    match = identities.match(keys_of(bare("Other", arxiv_id="2611.00001", doi="10.1000/a")))
    assert (match.paper, match.claims) == (7, ("arxiv:2611.00001", "title:other"))


def test_a_doi_does_not_match_across_arxiv_ids() -> None:
    """A paper with a DOI and an id is not a record with the same DOI and another id."""
    identities = Identities({"arxiv:2611.00001": 7, "doi:10.1000/a": 7, "title:lamps": 7})
    match = identities.match(keys_of(bare("Lamps", arxiv_id="2611.00002", doi="10.1000/a")))
    assert match.paper < 0
    assert match.claims == ("arxiv:2611.00002",)


def test_unseen_papers_have_unique_negative_numbers() -> None:
    """Ids in the database are positive, so the two never collide."""
    found = numbers([bare("A"), bare("B"), bare("C")], {"title:b": 5})
    assert found[1] == 5
    assert found[0] < 0
    assert found[2] < 0
    assert found[0] != found[2]


@given(st.lists(PAPERS, max_size=8), st.lists(PAPERS, max_size=8))
def test_stored_keys_count_like_keys_of_the_same_run(
    earlier: list[Paper], later: list[Paper]
) -> None:
    """Keys from the database and keys from the same run give the same results."""
    through = Identities({})
    owners: dict[str, int] = {}
    for paper in earlier:
        match = through.match(keys_of(paper))
        owners.update(dict.fromkeys(match.claims, -match.paper))
    fresh = Identities(owners)
    for paper in later:
        went, came = (one.match(keys_of(paper)) for one in (through, fresh))
        assert went.claims == came.claims
        assert (came.paper == -went.paper) or (
            came.paper < 0 and -went.paper not in owners.values()
        )


# --- changed ids


def known(title: str, *keys: str) -> dict[str, int]:
    """Returns the keys of one known paper."""
    return dict.fromkeys([*keys, *keys_of(bare(title))], 1)


def renamed(owners: dict[str, int], *papers: Paper) -> int:
    """Returns the number of records that look renamed."""
    return Identities(owners).renamed(keys_of(paper) for paper in papers)


def test_a_known_title_with_another_id_is_renamed() -> None:
    """The same title with a different key of a kind that the paper has."""
    owners = known("Lamps", "arxiv:2611.00001")
    assert renamed(owners, bare("Lamps", arxiv_id="2611.00002")) == 1


@pytest.mark.parametrize(
    "paper",
    [
        bare("Lamps", arxiv_id="2611.00001"),
        bare("Lamps"),
        bare("Lamps", doi="10.1000/a"),
        bare("Oil", arxiv_id="2611.00002"),
    ],
)
def test_usual_differences_are_not_renames(paper: Paper) -> None:
    """The same id, no id, an id of another kind and another title are all usual."""
    assert renamed(known("Lamps", "arxiv:2611.00001"), paper) == 0


@given(PAPERS, PAPERS)
def test_counting_renamed_rows_changes_nothing(one: Paper, other: Paper) -> None:
    """It only counts."""
    assume(one != other)
    keys: Keys = keys_of(one)
    asked, fresh = Identities(dict.fromkeys(keys, 1)), Identities(dict.fromkeys(keys, 1))
    asked.renamed([keys_of(other)])
    assert asked.match(keys_of(other)) == fresh.match(keys_of(other))
