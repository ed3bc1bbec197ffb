"""The HTML of feeds as text: markup is removed, other text in angle brackets stays."""

from __future__ import annotations

import pytest

from newsletter.formats.markup import text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Let's <think> about Lamps", "Let's <think> about Lamps"),
        ("<analyze>, <verify>, <refine>", "<analyze>, <verify>, <refine>"),
        ("<subject, object, predicate>", "<subject, object, predicate>"),
        ("LMK > CLS with <1 GB VRAM & a<b", "LMK > CLS with <1 GB VRAM & a<b"),
        ("<p>Oil <think> and <1 GB</p><p>x<b and y>z</p>", "Oil <think> and <1 GB x<b and y>z"),
        ("<p>The <object> and <time> of <mask></p>", "The <object> and <time> of <mask>"),
        ("<p><time datetime='2026'>now</time></p>", "now"),
        ("ξ<sub>ion</sub> of 10<sup>5</sup> H<sub>2</sub>O", "ξion of 10⁵ H₂O"),
        ("One<br/>two<!-- <p>three -->", "One two"),
        ("<style>p { x: y }</style><p>Lamps</p><script>alert(1)</script>", "Lamps"),
        ("Lamps &percnt; oil &amp; wicks &#8217; &nope;", "Lamps % oil & wicks ’ &nope;"),
        ("AT&T and ?a=1&para=2", "AT&T and ?a=1&para=2"),
        ("<p>&lt;script&gt; is text</p>", "<script> is text"),
        ('See <a href="https://l.example/x">this https URL</a>.', "See https://l.example/x."),
        ("<jats:p>Lamps</jats:p>", "Lamps"),
        ("</div></article>", "</div></article>"),
    ],
)
def test_only_markup_is_removed(value: str, text: str) -> None:
    """HTML tags, comments and entities, and nothing that may be part of a title."""
    assert text_of(value) == text


def test_plain_text_keeps_its_entities() -> None:
    """Text without a sign of HTML stays as written."""
    assert text_of("&lt;b&gt; & <think>", plain=True) == "&lt;b&gt; & <think>"
    assert text_of("<p>a &amp; b</p>", plain=True) == "a & b"


@pytest.mark.parametrize(
    "piece", ['<a "', "<a '<b \"", '<a x="', "<!--", "<style", "<p ", "</p", "<", "& ", "<sub>"]
)
def test_broken_markup_takes_linear_time(piece: str) -> None:
    """A megabyte of it; quadratic time would be hours."""
    assert text_of("</p>" + piece * (1_000_000 // len(piece))) is not None
