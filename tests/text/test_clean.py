"""Cleaning, measuring, cutting and wrapping untrusted text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.text.clean import clean, clean_or_none, cut, isolate, width, without_isolates, wrap
from tests.support.builders import HOSTILE

ANYTHING = st.text(st.characters())  # including surrogates, controls and non-characters
CLEAN = ANYTHING.map(clean)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(ANYTHING)
def test_cleaned_text_has_no_controls_and_can_be_encoded(dirty: str) -> None:
    """Line ends, bidi marks, non-characters and surrogates are removed as well."""
    cleaned = clean(dirty)
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(cleaned) & set(BIDI)
    assert not [c for c in cleaned if ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF]
    cleaned.encode()


@given(ANYTHING)
def test_clean_is_one_line_with_single_spaces(dirty: str) -> None:
    """White space is collapsed and trimmed, and cleaning twice changes nothing."""
    cleaned = clean(dirty)
    assert cleaned == " ".join(cleaned.split())
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=("C", "Z"))))
def test_clean_keeps_every_visible_character(visible: str) -> None:
    """Nothing visible is removed."""
    assert clean(visible) == visible


@pytest.mark.parametrize("mark", [*BIDI, "\x00", "\x0b", "\x1f", "\x7f", "\x85", "\x9f", "\u2028"])
def test_controls_become_a_space(mark: str) -> None:
    """So do bidi marks; words stay separate."""
    assert clean(f"one{mark}two") == "one two"


@pytest.mark.parametrize("broken", ["\ufffe", "\uffff", "\ufdd0", "\U0001fffe", "\ud800", "\udfff"])
def test_unencodable_characters_become_the_replacement_character(broken: str) -> None:
    """Non-characters and lone surrogates become U+FFFD."""
    assert clean(f"one{broken}two") == "one\ufffdtwo"


@pytest.mark.parametrize(
    "kept", ["<think>", "{{7*7}}", "=?UTF-8?Q?x?=", "]]>", "a & b", "\\emph{x}"]
)
def test_markup_stays_as_text(kept: str) -> None:
    """Cleaning does not escape: markup, templates and encoded words stay as written."""
    assert clean(kept) == kept


def test_joined_emoji_stay_whole() -> None:
    """Zero-width joiners, which some scripts need too, are kept."""
    assert clean("👩‍👩‍👧 क्‍ष") == "👩‍👩‍👧 क्‍ष"


@pytest.mark.parametrize("value", [None, 7, ["x"], b"x", {}, "", " \x00 "])
def test_clean_or_none_returns_none_without_visible_text(value: object) -> None:
    """The value is not a string, or is empty after cleaning."""
    assert clean_or_none(value) is None


def test_clean_or_none_cleans_strings() -> None:
    """The result is that of `clean`."""
    assert clean_or_none(" a\nb ") == "a b"


@pytest.mark.parametrize("plain", ["", "Lamps", "Müller", "灯台守", "3 + 4"])
def test_left_to_right_text_is_not_isolated(plain: str) -> None:
    """It does not need it."""
    assert isolate(plain) == plain


@pytest.mark.parametrize("other", ["שלום", "Lamps שלום", "سلام", "٣ lamps"])
def test_text_with_another_direction_is_isolated(other: str) -> None:
    """Right-to-left letters and Arabic digits do not affect the text around them."""
    assert isolate(other) == f"\u2068{other}\u2069"


@given(CLEAN)
def test_isolates_can_be_removed(cleaned: str) -> None:
    """`without_isolates` reverses `isolate`."""
    assert without_isolates(isolate(cleaned)) == cleaned


@pytest.mark.parametrize(
    ("measured", "columns"),
    [("", 0), ("lamp", 4), ("灯台", 4), ("Ｌ", 2), ("e\u0301", 1), ("a\u200bb", 2), ("क्ष", 2)],
)
def test_width_is_what_a_terminal_shows(measured: str, columns: int) -> None:
    """Wide characters take two columns, combining and invisible ones none."""
    assert width(measured) == columns


@given(CLEAN, st.integers(2, 80))
def test_cut_text_fits_its_columns(cleaned: str, columns: int) -> None:
    """This holds for every script."""
    assert width(cut(cleaned, columns)) <= columns


@given(CLEAN, st.integers(2, 80))
def test_cut_is_the_text_or_a_beginning_of_it(cleaned: str, columns: int) -> None:
    """Text that fits is unchanged; shortened text is its beginning and ` …`."""
    short = cut(cleaned, columns)
    if width(cleaned) <= columns:
        assert short == cleaned
    else:
        assert short.endswith(" …")
        assert cleaned.startswith(short.removesuffix(" …"))


@pytest.mark.parametrize(
    ("whole", "columns", "short"),
    [
        ("Lamps for every harbour in the north", 20, "Lamps for every …"),
        ("Lamps, and more lamps", 9, "Lamps …"),
        ("Lamps: a harbour view", 9, "Lamps …"),
        ("Lamps (and oil) for all", 11, "Lamps …"),
        ("Lamplighterlamplighter", 10, "Lampligh …"),
        ("灯台守のための灯", 10, "灯台守の …"),
    ],
)
def test_cut_ends_at_a_word(whole: str, columns: int, short: str) -> None:
    """No punctuation is left at the end; a very long word is broken."""
    assert cut(whole, columns) == short


def test_cut_keeps_a_word_that_fits() -> None:
    """A word that ends exactly at the limit is kept."""
    assert cut("hello world again", 13) == "hello world …"


@given(st.lists(st.text("abcdefg", min_size=1, max_size=12), max_size=40), st.integers(12, 40))
def test_wrap_keeps_every_word_in_order(words: list[str], columns: int) -> None:
    """The lines fit, and joined by spaces they are the text."""
    lines = wrap(" ".join(words), columns)
    assert all(len(line) <= columns for line in lines)
    assert " ".join(lines) == " ".join(words)


@given(CLEAN, st.integers(4, 40))
def test_wrap_whole_breaks_at_spaces_only(cleaned: str, columns: int) -> None:
    """With `whole`, the lines joined by spaces are the text."""
    assert " ".join(wrap(cleaned, columns, whole=True)) == cleaned


@given(CLEAN, st.integers(4, 40))
def test_wrap_loses_no_character(cleaned: str, columns: int) -> None:
    """Wide text may break between characters, but none is lost or added."""
    wrapped = "".join("".join(wrap(cleaned, columns)).split())
    assert wrapped == "".join(cleaned.split())


@given(st.text("灯台守のための", min_size=1, max_size=90), st.integers(4, 40))
def test_wide_text_breaks_anywhere(wide: str, columns: int) -> None:
    """Text of wide characters without spaces always fits."""
    assert all(width(line) <= columns for line in wrap(wide, columns))


def test_a_long_url_stays_on_one_line() -> None:
    """A word longer than the line has a line of its own and is never broken."""
    url = "https://example.org/" + "x" * 90
    assert wrap(f"see {url} there", 40) == ["see", url, "there"]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_do_not_become_empty(title: str) -> None:
    """Some readable text is left of every title."""
    assert clean(title)
