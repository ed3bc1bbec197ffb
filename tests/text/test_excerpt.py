"""Excerpts: where they begin and end, and how sentences are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.text.excerpt import excerpt, sentences

words = st.sampled_from(
    [
        *(
            "we",
            "propose",
            "show",
            "introduce",
            "this",
            "paper",
            "a",
            "model,",
            "e.g.",
            "et",
            "al.",
        ),
        *(
            "$a+b$",
            "\\(x$",
            "(with",
            "https://example.org/x.y",
            "It’s",
            "“good”",
            "—",
            "Fig.",
            "3.5",
        ),
        *("e\u0301", "模型", "很好。"),
    ]
)
sentence = st.builds(
    lambda chosen, end: " ".join(chosen).capitalize() + end,
    st.lists(words, min_size=1, max_size=25),
    st.sampled_from([".", "!", "?", ".)", ""]),
)
abstracts = st.lists(sentence, max_size=6).map(" ".join) | st.text(max_size=200)


@given(abstracts, st.integers(-2, 250))
def test_an_excerpt_is_part_of_the_abstract_within_the_limit(abstract: str, limit: int) -> None:
    """Only ` …` may be added."""
    result = excerpt(abstract, limit)
    assert len(result) <= max(limit, 0)
    assert result in abstract or result.removesuffix(" …") in abstract


@given(abstracts)
def test_sentences_contain_the_whole_text(text: str) -> None:
    """Only white space between them is dropped."""
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "contribution",
    [
        "We introduce Foo.",
        "In this paper, we therefore propose a method.",
        "To this end, we first formally define and present a task.",
        "This work describes a system.",
        "This technical report presents Bar.",
        "We have developed a tool.",
        "In this paper, a new solver is proposed.",
        "We treat it as a long and winding kind of search problem and propose Foo.",
        "We take a small step towards closing it by introducing Foo.",
    ],
)
def test_an_excerpt_begins_with_what_the_authors_made(contribution: str) -> None:
    """Background sentences before it are skipped."""
    assert excerpt(f"Models are large. We study them. {contribution}", 200) == contribution


@pytest.mark.parametrize(
    "contribution",
    [
        "We show that it holds.",
        "Here we ask whether it holds.",
        "This paper is about it.",
        "In this work, we investigate it.",
        "Our analysis tells why.",
    ],
)
def test_otherwise_it_begins_with_what_the_authors_found(contribution: str) -> None:
    """It is the first sentence about the authors' work."""
    assert excerpt(f"Models are large. Others propose more. {contribution}", 200) == contribution


def test_otherwise_it_begins_with_the_first_sentence() -> None:
    """Abstracts in other languages are an example."""
    assert excerpt("Modelle sind groß. Das ist so.", 200) == "Modelle sind groß. Das ist so."
    assert excerpt("模型很大。我们提出一种方法。", 8) == "模型很大。"


def test_a_code_release_is_not_a_contribution() -> None:
    """A sentence about the work is preferred."""
    text = "It is hard. We study why. We release our code at https://example.org/x."
    assert excerpt(text, 30) == "We study why."


def test_an_excerpt_does_not_begin_with_a_sequel() -> None:
    """A sentence that continues an earlier one is used only if there is no other."""
    text = "It is hard. We study why. We further propose a cure."
    assert excerpt(text, 200) == "We study why. We further propose a cure."
    assert excerpt("It is hard. Second, we propose a cure.", 200) == "Second, we propose a cure."


def test_whole_sentences_follow_while_they_fit() -> None:
    """A further sentence that does not fit is left out, not cut."""
    text = "Old. We propose Foo. It is fast. It has been tried on very many examples."
    assert excerpt(text, 40) == "We propose Foo. It is fast."
    assert excerpt(text, 16) == "We propose Foo."


def test_a_long_first_sentence_is_cut_at_a_word() -> None:
    """It ends in ` …`."""
    assert excerpt("We propose a remarkable thing.", 20) == "We propose a …"
    assert excerpt("We propose a remarkable thing.", 29) == "We propose a remarkable …"


@pytest.mark.parametrize("limit", range(15, 24))
def test_a_cut_leaves_no_comma_or_opening_bracket(limit: int) -> None:
    """They are removed before ` …`."""
    kept = excerpt("We propose Foo, (a “) thing of many words.", limit).removesuffix(" …")
    assert kept[-1] not in ",(“"


@pytest.mark.parametrize("limit", range(14, 44))
def test_formulas_and_urls_are_not_cut(limit: int) -> None:
    """They are kept whole or left out."""
    for whole in (r"$\foo a + b + c + d$", r"\(\foo a + b + c\)", "https://example.org/a,b/c.d"):
        kept = excerpt(f"We propose {whole} and many more words after that.", limit)
        assert whole in kept or kept == "We propose …"


def test_the_excerpt_is_empty_if_nothing_readable_fits() -> None:
    """A very long word is broken, unless it is a URL."""
    assert excerpt("", 200) == ""
    assert excerpt("We propose.", 2) == ""
    assert excerpt("https://example.org/" + "x" * 50, 20) == ""
    assert excerpt("x" * 50, 10) == "x" * 8 + " …"


def test_text_without_spaces_is_cut_between_characters() -> None:
    """A comma before the cut is removed."""
    assert excerpt("本文提出一种新的方法，速度很快", 10) == "本文提出一种新的 …"
    assert excerpt("本文提出一种新的方法，速度很快", 13) == "本文提出一种新的方法 …"


@pytest.mark.parametrize(
    "text",
    [
        "We use it, e.g. Foo, i.e. that, cf. Bar.",
        "Smith et al. (2020) and J. Smith vs. K. Lee agree.",
        "See Fig. 2 and Eq. (3) w.r.t. Table 4.",
        "It gains 3.5 points over v1.5.2 and 96.4 % overall.",
        "The U.S. Army did.",
        "It holds $a. B$ here.",
        "Sorted, etc. and so on.",
        "It is 4% of Avg. and more.",
    ],
)
def test_stops_that_do_not_end_a_sentence(text: str) -> None:
    """They belong to abbreviations, initials, numbers and formulas."""
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It helps LLMs.", "However, not always."),
        ("See https://example.org/a.b.", "We go on."),
        ("Is it (or is it not?)", "Yes."),
        ("It was called “good.”", "It was."),
        ("Due to Smith et al.", "We disagree."),
        ("Of type A.", "The rest is B."),
        ("It ends.", "mT5 begins."),
        ("It ends.", "1. One thing."),
        ("It ends in 2020.", "2021 begins."),
        ("Really?!", "Yes"),
        ("यह है।", "वह है।"),
    ],
)
def test_stops_that_end_a_sentence(first: str, second: str) -> None:
    """White space and the beginning of a sentence follow."""
    assert sentences(f"{first} {second}") == [first, second]


def test_sentences_without_space() -> None:
    """Wide stops need no space after them, and a missing space is detected."""
    assert sentences("很好。真的吗？「是。」完") == ["很好。", "真的吗？", "「是。」", "完"]
    assert sentences("It is one.This is two.") == ["It is one.", "This is two."]


@pytest.mark.parametrize(
    "piece", [".", ". ", ")", "$", "$a. ", "We ", "a-", "(", "。", "A. ", "\\("]
)
def test_long_runs_take_linear_time(piece: str) -> None:
    """The runs are as long as no abstract."""
    assert len(excerpt(piece * 20_000, 200)) <= 200
