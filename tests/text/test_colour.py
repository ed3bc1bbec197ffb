"""Contrast, and the nearest readable shade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.text.colour import AA, PAGE_DARK, PAGE_LIGHT, contrast, is_colour, readable

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
PAGES = st.sampled_from([PAGE_LIGHT, PAGE_DARK])


@pytest.mark.parametrize("colour", ["#112", "#1d4fb8", "#ABCDEF", "#fff"])
def test_hex_colours_are_colours(colour: str) -> None:
    """Three or six hexadecimal digits after `#`, in either case."""
    assert is_colour(colour)


@pytest.mark.parametrize(
    "text", ["", "#", "blue", "#12", "#1234", "#1d4fb8ff", "1d4fb8", "#1d4fbg", "#112\n", " #112"]
)
def test_nothing_else_is_a_colour(text: str) -> None:
    """Names, other lengths and text around the digits are not colours."""
    assert not is_colour(text)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#112", PAGE_LIGHT, 18.6),
        ("#345", PAGE_LIGHT, 10.0),
        ("#567", PAGE_LIGHT, 5.9),
        ("#8fb4ff", PAGE_DARK, 8.6),
    ],
)
def test_known_ratios(one: str, other: str, ratio: float) -> None:
    """The ratios that WCAG's formula gives."""
    assert contrast(one, other) == pytest.approx(ratio, abs=0.06)


@given(COLOURS, COLOURS)
def test_contrast_is_symmetric_and_bounded(one: str, other: str) -> None:
    """Both orders give the same ratio, between 1 and 21."""
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= 21.001


@given(COLOURS)
def test_a_colour_has_contrast_1_with_itself(colour: str) -> None:
    """This is the minimum."""
    assert contrast(colour, colour) == 1


def test_three_digits_mean_six() -> None:
    """`#abc` is `#aabbcc`."""
    assert contrast("#abc", "#aabbcc") == 1


@given(COLOURS, PAGES)
def test_a_readable_shade_has_enough_contrast(colour: str, page: str) -> None:
    """Applying `readable` again changes nothing."""
    shade = readable(colour, page)
    assert contrast(shade, page) >= AA
    assert readable(shade, page) == shade


@given(COLOURS, PAGES)
def test_a_readable_colour_is_unchanged(colour: str, page: str) -> None:
    """Only colours with too little contrast are changed."""
    if contrast(colour, page) >= AA:
        assert readable(colour, page) == colour


@given(COLOURS)
def test_the_shade_is_mixed_away_from_the_page(colour: str) -> None:
    """On the white page it gets darker, on the dark page lighter."""
    if contrast(colour, PAGE_LIGHT) < AA:
        assert int(readable(colour, PAGE_LIGHT)[1:3], 16) <= int(colour[1:3], 16)
    if contrast(colour, PAGE_DARK) < AA:
        assert int(readable(colour, PAGE_DARK)[1:3], 16) >= int(colour[1:3], 16)
